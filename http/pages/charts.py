"""Charts as plain SVG: where lines and bars go. Templates draw them (templates/charts.html), the style sheet colours and
stretches them (static/statistics.css), so words beside them stay as large as all others.
"""

from collections.abc import Sequence
from itertools import accumulate
from math import log10
from typing import Final, NamedTuple

WIDTH: Final = 1000
HEIGHT: Final = 200
"""Units of the drawing."""
MOST_LABELS: Final = 5
"""Below a chart, so that they do not meet on a phone."""
MOST_DOTS: Final = 62
"""Of a line; closer together they are a line themselves."""
MINUTE: Final = 60
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
TOPS_OF_TIMES: Final = (
    *(each * MINUTE for each in (2, 4, 10, 20, 30)),
    *(each * HOUR for each in (1, 2, 4, 8, 12)),
    *(each * DAY for each in (1, 2, 4, 8, 16, 30, 60)),
)
"""Seconds; half of each is a round time too."""


class Series(NamedTuple):
    title: str
    look: str
    """A class of the style sheet."""
    values: Sequence[float | None]
    """None where there is nothing."""


class Line(NamedTuple):
    title: str
    look: str
    path: str
    dots: str


class Bar(NamedTuple):
    x: float
    y: float
    width: float
    height: float
    look: str


class Slot(NamedTuple):
    """Of one day or hour, as wide as all others."""

    x: float
    width: float
    name: str
    label: str
    """The same in few words; "" where it would meet its neighbour."""
    values: tuple[float | None, ...]
    """Of each series."""


class Unit(NamedTuple):
    """A day or hour of a chart's period."""

    name: str
    label: str


class Chart(NamedTuple):
    series: Sequence[Series]
    lines: list[Line]
    bars: list[Bar]
    ticks: tuple[float, float, float]
    """What stands at the top, in the middle, at the bottom."""
    slots: list[Slot]
    times: bool = False
    """Values are seconds."""

    @property
    def empty(self) -> bool:
        """Nothing to see: no value, or no amount but zeros."""
        values = [value for each in self.series for value in each.values if value is not None]
        return not values if self.times else not any(values)


def lines(series: Sequence[Series], units: Sequence[Unit], *, times: bool = False) -> Chart:
    """One line for each."""
    values = [value for each in series for value in each.values if value is not None]
    top = _top(max(values, default=0), times=times)
    drawn = [
        Line(each.title, each.look, *_path([_place(value, top) for value in each.values]))
        for each in series
    ]
    return Chart(series, drawn, [], (top, top / 2, 0), _slots(series, units), times)


def stacks(series: Sequence[Series], units: Sequence[Unit]) -> Chart:
    """One bar for each unit, of all series on top of each other; the first one at the bottom."""
    rows = zip(*(each.values for each in series), strict=True)
    columns = [[value or 0 for value in row] for row in rows]
    top = _top(max(map(sum, columns), default=0), times=False)
    step = WIDTH / max(1, len(units))
    bars = []
    for at, column in enumerate(columns):
        for each, value, upto in zip(series, column, accumulate(column), strict=True):
            if value:
                height = round(value / top * HEIGHT, 1)
                y = round(HEIGHT - upto / top * HEIGHT, 1)
                bars.append(
                    Bar(round((at + 0.15) * step, 1), y, round(step * 0.7, 1), height, each.look)
                )
    return Chart(series, [], bars, (top, top / 2, 0), _slots(series, units))


def _top(highest: float, *, times: bool) -> float:
    """The least round number above, of which half is round too."""
    if times:
        found = next((each for each in TOPS_OF_TIMES if each >= highest), 0)
        return found or -(-highest // (60 * DAY)) * 60 * DAY
    if highest <= 4:
        return 4 if highest > 2 else 2
    scale = 10 ** int(log10(highest))
    return next(float(step * scale) for step in (1, 2, 4, 6, 8, 10) if step * scale >= highest)


def _place(value: float | None, top: float) -> float | None:
    return None if value is None else round(HEIGHT - value / top * HEIGHT, 1)


def _path(heights: Sequence[float | None]) -> tuple[str, str]:
    """The line, broken where there is nothing, and its dots."""
    step = WIDTH / max(1, len(heights))
    line, dots, broken = [], [], True
    for at, y in enumerate(heights):
        if y is not None:
            x = round((at + 0.5) * step, 1)
            line.append(f"{'M' if broken else 'L'}{x} {y}")
            dots.append(f"M{x} {y}h0")
        broken = y is None
    return "".join(line), "".join(dots) if len(heights) <= MOST_DOTS else ""


def _slots(series: Sequence[Series], units: Sequence[Unit]) -> list[Slot]:
    step = WIDTH / max(1, len(units))
    every = max(1, -(-len(units) // MOST_LABELS))
    return [
        Slot(
            x=round(at * step, 1),
            width=round(step, 1),
            name=unit.name,
            label=unit.label if at % every == every // 2 else "",
            values=tuple(each.values[at] if at < len(each.values) else None for each in series),
        )
        for at, unit in enumerate(units)
    ]
