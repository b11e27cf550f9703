"""Business hours: worked examples, rules that hold for any calendar, and what may be done to those of an account."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from story import Story, desk

from kanal.domain.business_hours import (
    BUSINESS_HOURS,
    BusinessHoursDeleted,
    BusinessHoursSet,
    Calendar,
    Span,
    add_business_hours,
    business_time,
    change_business_hours,
    delete_business_hours,
    is_open,
    moment_after,
)
from kanal.domain.errors import BusinessHoursNotFound, BusinessHoursTaken, GroupNotFound

MINUTE = 60_000_000
DAY = 24 * 60


def spans(days: range, since: float, until: float) -> tuple[Span, ...]:
    """Hours of some weekdays."""
    return tuple(Span(day, int(since * 60), int(until * 60)) for day in days)


WEEK = spans(range(5), 9, 18)
OFFICE = Calendar("Europe/Berlin", WEEK, ("2026-05-01", "12-25"))
NIGHT = Calendar("Europe/Berlin", spans(range(7), 22, 30))
SHOP = Calendar("Europe/Berlin", spans(range(7), 1, 5))
TWICE = Calendar("UTC", (*spans(range(7), 9, 12), *spans(range(7), 13, 17)))
OVERLAPPING = Calendar("UTC", (*spans(range(7), 20, 34), *spans(range(7), 8, 12)))
SHUT = Calendar("UTC")


def at(text: str, zone: str = "Europe/Berlin") -> int:
    local = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))
    return int(local.timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("calendar", "since", "until", "minutes"),
    [
        (OFFICE, "2026-04-30T17:00", "2026-04-30T17:30", 30),
        (OFFICE, "2026-04-30T20:00", "2026-05-01T08:00", 0),
        # The first of May is a holiday, then comes a weekend.
        (OFFICE, "2026-04-30T17:00", "2026-05-04T10:00", 120),
        (OFFICE, "2026-12-24T00:00", "2026-12-26T00:00", 9 * 60),
        (OFFICE, "2026-11-16T00:00", "2026-11-23T00:00", 45 * 60),
        (OFFICE, "2026-11-16T10:00", "2026-11-16T10:00", 0),
        (OFFICE, "2026-11-16T11:00", "2026-11-16T10:00", 0),
        # Over midnight: eight hours, but seven and nine when the clock changes.
        (NIGHT, "2026-11-16T12:00", "2026-11-17T12:00", 8 * 60),
        (NIGHT, "2026-11-17T03:00", "2026-11-17T04:00", 60),
        (NIGHT, "2026-03-28T12:00", "2026-03-29T12:00", 7 * 60),
        (NIGHT, "2026-10-24T12:00", "2026-10-25T12:00", 9 * 60),
        # From one to five, with an hour that is left out and one that comes twice.
        (SHOP, "2026-03-29T00:00", "2026-03-29T12:00", 3 * 60),
        (SHOP, "2026-10-25T00:00", "2026-10-25T12:00", 5 * 60),
        (SHUT, "2026-01-01T00:00", "2026-12-31T00:00", 0),
        (OVERLAPPING, "2026-11-16T12:00", "2026-11-18T12:00", 2 * 16 * 60),
        (None, "2026-04-30T17:00", "2026-05-04T10:00", 89 * 60),
    ],
)
def test_business_time_by_example(
    calendar: Calendar | None, since: str, until: str, minutes: int
) -> None:
    zone = calendar.zone if calendar else "Europe/Berlin"
    assert business_time(calendar, at(since, zone), at(until, zone)) == minutes * MINUTE


@pytest.mark.parametrize(
    ("calendar", "since", "minutes", "moment"),
    [
        (OFFICE, "2026-11-16T10:00", 30, "2026-11-16T10:30"),
        (OFFICE, "2026-11-16T17:30", 60, "2026-11-17T09:30"),
        (OFFICE, "2026-11-16T17:30", 30, "2026-11-16T18:00"),
        (OFFICE, "2026-04-30T17:30", 60, "2026-05-04T09:30"),
        (OFFICE, "2026-11-15T10:00", 0, "2026-11-15T10:00"),
        (NIGHT, "2026-10-24T22:00", 9 * 60, "2026-10-25T06:00"),
        (TWICE, "2026-11-16T11:00", 120, "2026-11-16T14:00"),
        (SHUT, "2026-11-16T11:00", 1, None),
        (SHUT, "2026-11-16T11:00", 0, "2026-11-16T11:00"),
        (None, "2026-11-16T11:00", 90, "2026-11-16T12:30"),
    ],
)
def test_the_moment_after_some_business_time_by_example(
    calendar: Calendar | None, since: str, minutes: int, moment: str | None
) -> None:
    zone = calendar.zone if calendar else "Europe/Berlin"
    expected = moment and at(moment, zone)
    assert moment_after(calendar, at(since, zone), minutes * MINUTE) == expected


def test_a_calendar_whose_days_are_all_holidays_is_never_open() -> None:
    every = tuple((datetime(2024, 1, 1) + timedelta(day)).strftime("%m-%d") for day in range(366))
    assert moment_after(Calendar("UTC", WEEK, every), at("2026-11-16T10:00"), MINUTE) is None


ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe")
some_spans = st.builds(
    lambda weekday, since, length: Span(weekday, since, since + length),
    st.integers(0, 6),
    st.integers(0, DAY - 1),
    st.integers(1, DAY),
)
calendars = st.builds(
    Calendar,
    zone=st.sampled_from(ZONES),
    spans=st.lists(some_spans, max_size=8).map(tuple),
    holidays=st.lists(
        st.sampled_from(["2026-03-29", "2026-10-25", "11-01", "03-08", "2026-04-05"]), max_size=3
    ).map(tuple),
)
moments = st.one_of(
    # Around the days on which clocks change, and anywhere.
    st.integers(at("2026-03-07T00:00"), at("2026-03-10T00:00")),
    st.integers(at("2026-03-28T00:00"), at("2026-03-30T00:00")),
    st.integers(at("2026-10-24T00:00"), at("2026-11-02T00:00")),
    st.integers(at("2025-01-01T00:00"), at("2027-01-01T00:00")),
)


def shown_open(calendar: Calendar, moment: int) -> bool:
    """What the clock on the wall says."""
    local = datetime.fromtimestamp(moment // 1_000_000, ZoneInfo(calendar.zone))
    for back in (0, 1):
        day = local.date() - timedelta(back)
        if {day.isoformat(), day.strftime("%m-%d")} & set(calendar.holidays):
            continue
        minutes = local.hour * 60 + local.minute + back * DAY
        if any(s.weekday == day.weekday() and s.since <= minutes < s.until for s in calendar.spans):
            return True
    return False


@settings(max_examples=60)
@given(calendars, moments, st.integers(0, 3 * DAY))
def test_business_time_is_what_the_clock_on_the_wall_says(
    calendar: Calendar, moment: int, minutes: int
) -> None:
    since = moment // MINUTE * MINUTE
    walked = [since + minute * MINUTE for minute in range(minutes)]
    opened = sum(shown_open(calendar, each) for each in walked)
    assert business_time(calendar, since, since + minutes * MINUTE) == opened * MINUTE
    assert is_open(calendar, since) == shown_open(calendar, since)


@settings(max_examples=100)
@given(calendars, moments, st.integers(0, 20 * DAY * MINUTE), st.integers(0, 20 * DAY * MINUTE))
def test_business_time_adds_up_and_is_found_again(
    calendar: Calendar, first: int, more: int, most: int
) -> None:
    second, third = first + more, first + more + most
    whole = business_time(calendar, first, third)
    assert whole == business_time(calendar, first, second) + business_time(calendar, second, third)
    assert 0 <= whole <= third - first
    found = moment_after(calendar, first, whole)
    assert found is not None
    assert found <= third
    assert business_time(calendar, first, found) == whole
    assert not whole or business_time(calendar, first, found - 1) == whole - 1


def test_the_hours_of_a_group_come_before_those_of_the_account() -> None:
    story = desk().when(add_business_hours, title="Office", calendar=OFFICE)
    story.then(BusinessHoursSet(business_hours_id=1, title="Office", calendar=OFFICE, groups=()))
    story.when(add_business_hours, title="Night", calendar=NIGHT, groups=[1, 1])
    story.then(BusinessHoursSet(business_hours_id=2, title="Night", calendar=NIGHT, groups=(1,)))
    hours = story.load(BUSINESS_HOURS, "all")
    assert hours.of_group(0) is hours.of_group(7) is OFFICE
    assert hours.of_group(1) is NIGHT
    story.when(delete_business_hours, business_hours_id=1).then(BusinessHoursDeleted(1))
    assert story.load(BUSINESS_HOURS, "all").of_group(0) is None


def test_a_group_and_the_account_have_one_calendar_each() -> None:
    story = desk().given(add_business_hours, title="Office", calendar=OFFICE)
    story.given(add_business_hours, title="Night", calendar=NIGHT, groups=[1])
    story.when(add_business_hours, title="x", calendar=OFFICE).refused(BusinessHoursTaken)
    story.when(add_business_hours, title="x", calendar=OFFICE, groups=[1]).refused(
        BusinessHoursTaken
    )
    story.when(add_business_hours, title="x", calendar=OFFICE, groups=[9]).refused(GroupNotFound)
    story.when(change_business_hours, business_hours_id=2, groups=[]).refused(BusinessHoursTaken)
    story.when(change_business_hours, business_hours_id=2, groups=[1], zone="Europe/Berlin").then()


def test_what_is_changed_keeps_the_rest_and_what_is_gone_is_not_found() -> None:
    story = Story().given(add_business_hours, title="Office", calendar=OFFICE)
    moved = Calendar("Asia/Kathmandu", OFFICE.spans, OFFICE.holidays)
    story.when(change_business_hours, business_hours_id=1, zone="Asia/Kathmandu")
    story.then(BusinessHoursSet(business_hours_id=1, title="Office", calendar=moved, groups=()))
    story.given(delete_business_hours, business_hours_id=1)
    for command in (change_business_hours, delete_business_hours):
        story.when(command, business_hours_id=1).refused(BusinessHoursNotFound)
