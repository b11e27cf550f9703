"""Where the lines and bars of a chart go."""

from kanal.http.pages.charts import HEIGHT, WIDTH, Series, Unit, lines, stacks

UNITS = [Unit(f"Day {n}", str(n)) for n in range(4)]


def test_a_line_is_broken_where_nothing_was_measured() -> None:
    chart = lines([Series("x", "one", [0, 5, None, 10])], UNITS)
    [line] = chart.lines
    assert chart.ticks == (10, 5, 0)
    assert line.path == f"M125.0 {HEIGHT}.0L375.0 100.0M875.0 0.0"
    assert line.dots.count("M") == 3
    assert not chart.empty


def test_a_bar_stands_on_the_one_below() -> None:
    chart = stacks([Series("low", "one", [1, 0, 0, 3]), Series("high", "two", [1, 0, 2, 0])], UNITS)
    assert [(bar.look, bar.y, bar.height) for bar in chart.bars] == [
        ("one", 150, 50),
        ("two", 100, 50),
        ("two", 100, 100),
        ("one", 50, 150),
    ]
    assert sum(slot.width for slot in chart.slots) == WIDTH


def test_the_top_is_round_and_so_is_its_half() -> None:
    def top(highest: float, *, times: bool = False) -> float:
        return lines([Series("x", "one", [highest])], UNITS[:1], times=times).ticks[0]

    assert [top(each) for each in (0, 1, 3, 4, 5, 10, 11, 41, 999)] == [
        *(2, 2, 4, 4, 6, 10, 20, 60, 1000),
    ]
    assert [top(each, times=True) for each in (0, 120, 121, 5000, 90_000)] == [
        *(120, 120, 240, 7200, 172_800),
    ]
    year = 365 * 86_400
    assert year <= top(year, times=True) < 2 * year


def test_labels_keep_their_distance_and_nothing_is_empty() -> None:
    units = [Unit(f"Day {n}", str(n)) for n in range(366)]
    chart = lines([Series("x", "one", [0] * 366)], units)
    shown = [slot.label for slot in chart.slots if slot.label]
    assert len(shown) == 5
    assert chart.lines[0].dots == ""
    assert chart.empty
    assert not lines([Series("x", "one", [0])], units[:1], times=True).empty
    assert lines([Series("x", "one", [None])], units[:1], times=True).empty
    assert lines([], []).slots == stacks([], []).slots == []
