"""The few statistics that the tables show."""

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of all do not exceed; nan for none."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    place = -(-len(ordered) * percent // 100)
    return ordered[max(0, int(place) - 1)]


class Spread(NamedTuple):
    """A figure taken in several rounds."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(median(values), min(values), max(values))

    def text(self, digits: int = 0) -> str:
        if self.least == self.most:
            return f"{self.median:,.{digits}f}"
        return f"{self.median:,.{digits}f} ({self.least:,.{digits}f}..{self.most:,.{digits}f})"


def ratios(figures: Sequence[float], baselines: Sequence[float]) -> Spread:
    """Of figures and baselines that were taken in the same rounds: noise that lasts hits both."""
    return Spread.of([a / b for a, b in zip(figures, baselines, strict=True)])
