from datetime import UTC, datetime
from email.utils import format_datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kanal.http.dates import LATEST, SECOND, Dates

MOSCOW = Dates(ZoneInfo("Europe/Moscow"))
SEED = int(datetime(2018, 4, 26, 17, 17, 10, tzinfo=UTC).timestamp()) * SECOND


def test_dates_are_shown_as_the_seed_shows_them() -> None:
    assert MOSCOW.render(SEED) == "Thu, 26 Apr 2018 20:17:10 +0300"
    assert MOSCOW.render(SEED + 999_999) == "Thu, 26 Apr 2018 20:17:10 +0300"


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("UTC", "Thu, 26 Apr 2018 17:17:10 +0000"),
        ("America/St_Johns", "Thu, 26 Apr 2018 14:47:10 -0230"),
        ("Asia/Kathmandu", "Thu, 26 Apr 2018 23:02:10 +0545"),
    ],
)
def test_offsets_are_the_zones(zone: str, shown: str) -> None:
    assert Dates(ZoneInfo(zone)).render(SEED) == shown


@given(st.integers(0, LATEST // SECOND))
def test_every_date_is_shown_as_the_standard_library_shows_it(second: int) -> None:
    expected = format_datetime(datetime.fromtimestamp(second, MOSCOW.zone))
    assert MOSCOW.render(second * SECOND) == expected


@given(st.integers(0, LATEST // SECOND))
def test_what_is_shown_is_read_back(second: int) -> None:
    assert MOSCOW.parse(MOSCOW.render(second * SECOND)) == second * SECOND


@pytest.mark.parametrize(
    "given",
    [
        1524763030,
        "1524763030",
        " 1524763030 ",
        "2018-04-26 20:17:10",
        "2018-04-26T20:17:10",
        "2018-04-26T17:17:10Z",
        "2018-04-26T17:17:10.000Z",
        "2018-04-26T17:17:10+00:00",
        "2018-04-26T20:17:10+0300",
        "2018-04-26T20:17:10 03:00",
        "2018-04-26 12:17:10 -05:00",
        "Thu, 26 Apr 2018 20:17:10 +0300",
        "26 Apr 2018 17:17:10 GMT",
        "Thu, 26 Apr 2018 20:17:10  0300",
        "thu, 26 apr 2018 17:17:10 utc",
    ],
)
def test_every_known_form_is_the_same_moment(given: object) -> None:
    assert MOSCOW.parse(given) == SEED


def test_parts_of_a_second_are_kept() -> None:
    assert MOSCOW.parse("2018-04-26T17:17:10.123456789Z") == SEED + 123456
    for timestamp in ("1524763030.5", 1524763030.5):
        assert MOSCOW.parse(timestamp) == SEED + 500000


def test_a_day_begins_in_the_accounts_zone() -> None:
    assert MOSCOW.parse("2014-01-01") == MOSCOW.parse("2013-12-31T20:00:00Z")


def test_everything_and_for_ever_are_dates() -> None:
    assert MOSCOW.parse("1970-01-01") == -3 * 3600 * SECOND
    assert MOSCOW.parse("9999-12-31 23:59:59") == LATEST
    assert MOSCOW.render(LATEST).startswith("Thu, 30 Dec 9999")


@pytest.mark.parametrize(
    "given",
    [
        "",
        "yesterday",
        "2021-13-01",
        "2021-02-30",
        "2021-12-01 25:00:00",
        "2021-12-01T00:00:00+99:99",
        "0000-01-01",
        "1899-12-31",
        "31 Foo 2021 00:00:00 +0000",
        1714977317000,
        "1714977317000",
        10**30,
        -(10**15),
        1e300,
        float("inf"),
        float("nan"),
        True,
        None,
        [],
        {},
        "1" * 1000,
        "٢٠٢١-١٢-٠١",
    ],
)
def test_nonsense_is_refused_with_a_sentence(given: object) -> None:
    with pytest.raises(ValueError, match=r"^must be "):
        MOSCOW.parse(given)


@given(st.text(max_size=70) | st.integers() | st.from_regex(r"\d{4}-\d\d-\d\d( \d\d:\d\d)?"))
def test_whatever_is_given_is_a_time_or_a_sentence(given: object) -> None:
    try:
        at = MOSCOW.parse(given)
    except ValueError as error:
        sentence = str(error)
        assert sentence.startswith("must be")
    else:
        assert MOSCOW.render(at)


@pytest.mark.parametrize(
    ("given", "day"),
    [
        ("2021-12-01", "2021-12-01"),
        (" 01.12.2021 ", "2021-12-01"),
        ("1.2.2021", "2021-02-01"),
        ("0999-12-01", "0999-12-01"),
        ("2021-12-01 23:59:59", "2021-12-01"),
        ("2021-11-30T22:00:00Z", "2021-12-01"),
        ("Tue, 30 Nov 2021 22:00:00 +0000", "2021-12-01"),
        (SEED // SECOND, "2018-04-26"),
        (str(SEED // SECOND), "2018-04-26"),
    ],
)
def test_a_day_is_read_in_every_usual_form(given: object, day: str) -> None:
    assert MOSCOW.day(given) == day


@pytest.mark.parametrize(
    "given", ["2021-02-30", "31.02.2021", "0000-01-01", "12/01/2021", "soon", "", None, True, {}]
)
def test_what_is_no_day_is_refused_with_a_sentence(given: object) -> None:
    with pytest.raises(ValueError, match=r"^must be a date "):
        MOSCOW.day(given)
