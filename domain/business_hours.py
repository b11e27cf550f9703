"""Business hours: when a company works, how much of a time falls into it, and when so much of it will have passed.

The first half is pure reckoning, the second half what can be done to the hours of an account and of its groups.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace

from kanal.domain.errors import BusinessHoursNotFound, BusinessHoursTaken, TooManyBusinessHours
from kanal.domain.event import Event
from kanal.domain.groups import existing_group
from kanal.domain.stream import Aggregate
from kanal.domain.work import Work

SECOND: Final = 1_000_000
MINUTES_OF_DAY: Final = 24 * 60
HORIZON_DAYS: Final = 10 * 366
"""What does not come within ten years does not come: a calendar may be open for a minute in a year."""
CACHED_DAYS: Final = 20_000
"""Some ten years each of five calendars, about 300 octets a day."""
MAX_CALENDARS: Final = 100
MAX_SPANS: Final = 50
"""Of one calendar: seven for each day of the week."""
MAX_HOLIDAYS: Final = 500


class Span(Struct, frozen=True):
    """Minutes since midnight of the day it begins on; `until` is beyond 1440 if it ends on the next one."""

    weekday: int
    """0 is Monday."""
    since: int
    until: int


class Calendar(Struct, frozen=True):
    """Without spans it is never open."""

    zone: str
    """A name of the time zone database."""
    spans: tuple[Span, ...] = ()
    holidays: tuple[str, ...] = ()
    """Days on which no hours begin: `2026-05-09`, or `01-01` of every year. Hours that began the day before go on."""


Interval = tuple[int, int]
"""Microseconds since the epoch, the end not included."""


def is_open(calendar: Calendar | None, at: int) -> bool:
    """None is always open."""
    if calendar is None:
        return True
    return any(since <= at < until for since, until in _opened_since(calendar, at, at + 1))


def business_time(calendar: Calendar | None, since: int, until: int) -> int:
    """How much of the time between these moments the calendar is open, in microseconds. None is always open."""
    if calendar is None:
        return max(0, until - since)
    return sum(
        max(0, min(end, until) - max(start, since))
        for start, end in _opened_since(calendar, since, until)
    )


def moment_after(calendar: Calendar | None, since: int, time: int) -> int | None:
    """The first moment by which the calendar has been open for that time (microseconds); None: not within ten years."""
    if calendar is None or time <= 0:
        return since + max(0, time)
    if not calendar.spans:
        return None
    horizon = since + HORIZON_DAYS * MINUTES_OF_DAY * 60 * SECOND
    for start, end in _opened_since(calendar, since, horizon):
        begins = max(start, since)
        if end - begins >= time:
            return begins + time
        time -= max(0, end - begins)
    return None


def _opened_since(calendar: Calendar, since: int, until: int) -> Iterator[Interval]:
    """In order and apart; the first ones may end before `since`."""
    zone, last = _zone(calendar.zone), since
    # Hours reach at most to the end of the day after the one on which they begin.
    day = datetime.fromtimestamp(since // SECOND, zone).date().toordinal() - 1
    final = datetime.fromtimestamp(until // SECOND, zone).date().toordinal()
    while day <= final:
        for start, end in _opened(calendar, day):
            if end > last:
                yield max(start, last), end
                last = end
        day += 1


@lru_cache(CACHED_DAYS)
def _opened(calendar: Calendar, ordinal: int) -> tuple[Interval, ...]:
    """By the hours that begin on that day, in the order of their beginnings."""
    day = date.fromordinal(ordinal)
    if f"{day:%Y-%m-%d}" in calendar.holidays or f"{day:%m-%d}" in calendar.holidays:
        return ()
    midnight = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
    found = []
    for span in calendar.spans:
        if span.weekday == day.weekday():
            shown = midnight + span.since * 60, midnight + span.until * 60
            found += [
                (max(shown[0] - offset, first), min(shown[1] - offset, last))
                for first, last, offset in _offsets(calendar.zone, ordinal)
            ]
    return tuple((first * SECOND, last * SECOND) for first, last in sorted(found) if first < last)


@lru_cache(CACHED_DAYS)
def _offsets(zone: str, ordinal: int) -> tuple[tuple[int, int, int], ...]:
    """Offsets from UTC around that day and the next one, with the seconds from when to when they hold.

    A clock that is put back shows an hour twice, and both are open if it is; one that is put forward leaves an hour out.
    """
    middle = int(datetime.combine(date.fromordinal(ordinal), datetime.min.time(), UTC).timestamp())
    first, last = middle - MINUTES_OF_DAY * 60, middle + 3 * MINUTES_OF_DAY * 60
    before, after = _offset(zone, first), _offset(zone, last)
    if before == after:
        return ((first, last, before),)
    low, high = first, last
    while high - low > 1:
        half = (low + high) // 2
        if _offset(zone, half) == before:
            low = half
        else:
            high = half
    return (first, high, before), (high, last, after)


def _offset(zone: str, second: int) -> int:
    offset = datetime.fromtimestamp(second, _zone(zone)).utcoffset() or timedelta()
    return offset.days * MINUTES_OF_DAY * 60 + offset.seconds


_zone = lru_cache(CACHED_DAYS)(ZoneInfo)


class BusinessHoursSet(Event, frozen=True):
    """Made or changed. Holds all of it, so that a reader needs no earlier event."""

    NAME = "business_hours.set.1"
    business_hours_id: int
    title: str
    calendar: Calendar
    groups: tuple[int, ...]
    """Whose hours these are; none: the account's, where a group has none of its own."""


class BusinessHoursDeleted(Event, frozen=True):
    NAME = "business_hours.deleted.1"
    business_hours_id: int


class BusinessHours(Struct, frozen=True):
    business_hours_id: int
    title: str
    calendar: Calendar
    groups: tuple[int, ...] = ()


class AccountHours(Struct, frozen=True):
    """All that are known, the oldest first."""

    known: tuple[BusinessHours, ...] = ()

    def of_group(self, group_id: int) -> Calendar | None:
        """Its own, else the account's; None, which is always open, while there are neither."""
        account = None
        for each in self.known:
            if group_id in each.groups:
                return each.calendar
            if not each.groups:
                account = each.calendar
        return account


def evolve(hours: AccountHours, event: Event) -> AccountHours:
    match event:
        case BusinessHoursSet():
            new = BusinessHours(event.business_hours_id, event.title, event.calendar, event.groups)
            others = [one for one in hours.known if one.business_hours_id != new.business_hours_id]
            return AccountHours(
                tuple(sorted([*others, new], key=lambda one: one.business_hours_id))
            )
        case BusinessHoursDeleted():
            left = [one for one in hours.known if one.business_hours_id != event.business_hours_id]
            return AccountHours(tuple(left))
    return hours


BUSINESS_HOURS = Aggregate("business_hours", AccountHours(), evolve)
"""One stream, key "all": there are few."""


def add_business_hours(
    work: Work, *, title: str, calendar: Calendar, groups: Sequence[int] = ()
) -> int:
    """The new id. Without groups they are the account's. Raises GroupNotFound, BusinessHoursTaken, TooManyBusinessHours."""
    if len(work.load(BUSINESS_HOURS, "all").known) >= MAX_CALENDARS:
        raise TooManyBusinessHours(MAX_CALENDARS)
    new = BusinessHours(work.take("business_hours"), title, calendar, _checked(work, 0, groups))
    _set(work, new)
    return new.business_hours_id


def change_business_hours(
    work: Work,
    *,
    business_hours_id: int,
    title: str | None = None,
    zone: str | None = None,
    spans: tuple[Span, ...] | None = None,
    holidays: tuple[str, ...] | None = None,
    groups: Sequence[int] | None = None,
) -> int:
    """None means "as it is". Raises BusinessHoursNotFound, GroupNotFound, BusinessHoursTaken."""
    hours = _existing(work, business_hours_id)
    calendar = Calendar(
        zone=hours.calendar.zone if zone is None else zone,
        spans=hours.calendar.spans if spans is None else spans,
        holidays=hours.calendar.holidays if holidays is None else holidays,
    )
    changed = replace(
        hours,
        title=hours.title if title is None else title,
        calendar=calendar,
        groups=hours.groups if groups is None else _checked(work, business_hours_id, groups),
    )
    if changed != hours:
        _set(work, changed)
    return business_hours_id


def delete_business_hours(work: Work, *, business_hours_id: int) -> int:
    """Raises BusinessHoursNotFound."""
    _existing(work, business_hours_id)
    work.record(BUSINESS_HOURS, "all", BusinessHoursDeleted(business_hours_id))
    return business_hours_id


def _existing(work: Work, business_hours_id: int) -> BusinessHours:
    for each in work.load(BUSINESS_HOURS, "all").known:
        if each.business_hours_id == business_hours_id:
            return each
    raise BusinessHoursNotFound(business_hours_id)


def _checked(work: Work, business_hours_id: int, groups: Iterable[int]) -> tuple[int, ...]:
    """Groups whose hours these may be: a group has one calendar, and so has the account."""
    given = tuple(sorted(set(groups)))
    for group_id in given:
        existing_group(work, group_id)
    for each in work.load(BUSINESS_HOURS, "all").known:
        if each.business_hours_id == business_hours_id:
            continue
        shared = set(given) & set(each.groups)
        if shared or not (given or each.groups):
            raise BusinessHoursTaken(each.business_hours_id, min(shared, default=0))
    return given


def _set(work: Work, hours: BusinessHours) -> None:
    event = BusinessHoursSet(
        business_hours_id=hours.business_hours_id,
        title=hours.title,
        calendar=hours.calendar,
        groups=hours.groups,
    )
    work.record(BUSINESS_HOURS, "all", event)
