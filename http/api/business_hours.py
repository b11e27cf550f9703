"""/api/business_hours: when an account and its groups work. Omnidesk has them in its pages only; these calls are Kanal's own."""

import re
from collections.abc import Iterator
from datetime import date
from functools import partial
from typing import Annotated, Any, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aiohttp import web
from msgspec import Struct
from pydantic import AfterValidator, PlainValidator, ValidationInfo, WithJsonSchema

from kanal.domain.business_hours import (
    MAX_HOLIDAYS,
    MAX_SPANS,
    MINUTES_OF_DAY,
    Calendar,
    Span,
    add_business_hours,
    change_business_hours,
    delete_business_hours,
)
from kanal.domain.errors import BusinessHoursNotFound
from kanal.http.answers import Date, answer, empty, listing
from kanal.http.context import Call
from kanal.http.contract import Empty, Listed, One, Takes, contract
from kanal.http.dates import Dates
from kanal.http.fields import Account, Fields, Id, Line, Many, Paging, as_text, wrong
from kanal.http.ids import id_in
from kanal.projections import business_hours as read
from kanal.projections.business_hours import HoursRow

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MAX_GROUPS = 1000
"""Far more than an account has."""

_SPAN = re.compile(r"(\d\d?):(\d\d)\s*[-–]\s*(\d\d?):(\d\d)", re.ASCII)
_EVERY_YEAR = re.compile(r"(\d\d)-(\d\d)", re.ASCII)


def _zone(given: str) -> str:
    try:
        return ZoneInfo(given).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise wrong("must be a time zone such as Europe/Berlin") from None


def _span(weekday: int, given: str) -> Span:
    """Raises ValueError."""
    found = _SPAN.fullmatch(given.strip())
    if not found:
        raise ValueError
    first, second, third, fourth = map(int, found.groups())
    since, until = first * 60 + second, third * 60 + fourth
    if max(second, fourth) > 59 or since >= MINUTES_OF_DAY or until > MINUTES_OF_DAY:
        raise ValueError
    if since == until:
        raise ValueError
    return Span(weekday, since, until if until > since else until + MINUTES_OF_DAY)


def _texts(given: object) -> Iterator[str]:
    """`09:00-18:00`, several with commas, or a list of such."""
    for each in given if isinstance(given, list) else [given]:
        yield from filter(None, (part.strip() for part in str(each or "").split(",")))


def _hours(given: object) -> tuple[Span, ...]:
    if not isinstance(given, dict):
        raise wrong('must be an object like {"mon": ["09:00-18:00"]}')
    spans, reasons = [], []
    for name, texts in given.items():
        if name not in WEEKDAYS:
            reasons.append(f"knows no {as_text(name)}: days are {', '.join(WEEKDAYS)}")
            continue
        for text in _texts(texts):
            try:
                spans.append(_span(WEEKDAYS.index(name), text))
            except ValueError:
                reasons.append(f"{name} must have hours like 09:00-18:00")
    if len(spans) > MAX_SPANS:
        reasons.append(f"may have up to {MAX_SPANS} spans")
    if reasons:
        raise wrong("; ".join(dict.fromkeys(reasons)))
    return tuple(sorted(set(spans), key=lambda span: (span.weekday, span.since, span.until)))


def _holidays(given: object, info: ValidationInfo) -> tuple[str, ...]:
    dates, found = cast(Account, info.context).dates, []
    for text in _texts(given):
        every_year = _EVERY_YEAR.fullmatch(text)
        try:
            # 2024 has a 29th of February.
            yearly = every_year and date(2024, int(every_year[1]), int(every_year[2]))
            found.append(text if yearly else dates.day(text))
        except ValueError:
            raise wrong("must be dates such as 2026-05-09, or 05-09 for every year") from None
    if len(found) > MAX_HOLIDAYS:
        raise wrong(f"may have up to {MAX_HOLIDAYS} days")
    return tuple(sorted(set(found)))


def some_groups(given: tuple[int, ...]) -> tuple[int, ...]:
    """0 alone stands for none: an empty list is not given."""
    if len(given) > MAX_GROUPS:
        raise wrong(f"may have up to {MAX_GROUPS} groups")
    return tuple(sorted({each for each in given if each}))


Groups = Annotated[tuple[Id, ...], Many, AfterValidator(some_groups)]
"""0 alone for none."""
Hours = Annotated[
    tuple[Span, ...],
    PlainValidator(_hours),
    WithJsonSchema(
        {
            "type": "object",
            "properties": {
                day: {"type": "array", "items": {"type": "string"}, "examples": [["09:00-18:00"]]}
                for day in WEEKDAYS
            },
        }
    ),
]
Holidays = Annotated[
    tuple[str, ...],
    PlainValidator(_holidays),
    WithJsonSchema({"type": "array", "items": {"type": "string"}, "examples": [["2026-05-09"]]}),
]


class BusinessHoursChanges(Fields):
    title: Line | None = None
    zone: Annotated[Line, AfterValidator(_zone)] | None = None
    """A name of the time zone database; the account's zone if it is not said."""
    hours: Hours | None = None
    """Of each day of the week; a day that is not named is closed. Hours that end before they begin end on the next day."""
    holidays: Holidays | None = None
    """Days on which no hours begin; `05-09` for every year."""
    group_ids: Groups | None = None
    """Whose hours these are; 0 or none: the account's."""


class NewBusinessHours(BusinessHoursChanges):
    title: Line
    hours: Hours


class BusinessHoursAnswer(Struct):
    business_hours_id: int
    title: str
    zone: str
    hours: dict[str, list[str]]
    holidays: list[str]
    group_ids: list[int]
    """None: they are the account's."""
    updated_at: Date


@contract("List the business hours", Listed("business_hours", BusinessHoursAnswer), query=Paging)
async def list_hours(call: Call) -> web.Response:
    asked = call.asked(Paging)
    rows = await call.read(read.hours)
    page = rows[asked.offset : asked.offset + asked.rows]
    items = [shown(row, call.context.dates) for row in page]
    return answer(listing("business_hours", items, len(rows)))


@contract("Show business hours", One("business_hours", BusinessHoursAnswer))
async def show(call: Call) -> web.Response:
    return await _answer(call, _hours_id(call))


@contract(
    "Set business hours",
    One("business_hours", BusinessHoursAnswer, 201),
    body=Takes("business_hours", NewBusinessHours, bare=True),
)
async def create(call: Call) -> web.Response:
    given = await call.given(NewBusinessHours)
    zone = given.zone or _account_zone(call.context.dates)
    calendar = Calendar(zone, given.hours, given.holidays or ())
    command = partial(
        add_business_hours, title=given.title, calendar=calendar, groups=given.group_ids or ()
    )
    done = await call.submit(command)
    return await _answer(call, done.result, 201)


@contract(
    "Change business hours",
    One("business_hours", BusinessHoursAnswer),
    body=Takes("business_hours", BusinessHoursChanges, bare=True),
)
async def change(call: Call) -> web.Response:
    given: dict[str, Any] = (await call.given(BusinessHoursChanges)).given()
    changes = {NAMES.get(name, name): value for name, value in given.items()}
    command = partial(change_business_hours, business_hours_id=_hours_id(call), **changes)
    done = await call.submit(command)
    return await _answer(call, done.result)


@contract("Delete business hours", Empty())
async def delete(call: Call) -> web.Response:
    await call.submit(partial(delete_business_hours, business_hours_id=_hours_id(call)))
    return empty()


NAMES = {"hours": "spans", "group_ids": "groups"}
"""Fields that the domain calls otherwise."""


def shown(row: HoursRow, dates: Dates) -> BusinessHoursAnswer:
    calendar = row.calendar
    return BusinessHoursAnswer(
        business_hours_id=row.business_hours_id,
        title=row.title,
        zone=calendar.zone,
        hours={
            name: [_shown_span(span) for span in calendar.spans if span.weekday == weekday]
            for weekday, name in enumerate(WEEKDAYS)
        },
        holidays=list(calendar.holidays),
        group_ids=list(row.groups),
        updated_at=dates.render(row.updated_at),
    )


def _shown_span(span: Span) -> str:
    until = span.until if span.until <= MINUTES_OF_DAY else span.until - MINUTES_OF_DAY
    return "-".join(f"{minutes // 60:02}:{minutes % 60:02}" for minutes in (span.since, until))


def _account_zone(dates: Dates) -> str:
    """The settings take names only."""
    return str(dates.zone)


def _hours_id(call: Call) -> int:
    return id_in(call.path("hours"), BusinessHoursNotFound)


async def _answer(call: Call, business_hours_id: int, status: int = 200) -> web.Response:
    for row in await call.read(read.hours):
        if row.business_hours_id == business_hours_id:
            return answer({"business_hours": shown(row, call.context.dates)}, status)
    raise BusinessHoursNotFound(business_hours_id)
