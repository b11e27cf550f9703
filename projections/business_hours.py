"""Business hours and response targets as their lists show them."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, MetaData, Table, select

from kanal.domain.business_hours import BusinessHoursDeleted, BusinessHoursSet, Calendar
from kanal.domain.response_targets import ResponseTargetDeleted, ResponseTargetSet, Target
from kanal.domain.stream import Recorded
from kanal.eventlog.projection import Changes, Row, Tables
from kanal.projections.read_model import Names, ReadModel, Views, number, text

_json = msgspec.json.Encoder()


class HoursRow(NamedTuple):
    business_hours_id: int
    title: str
    calendar: Calendar
    """Stored as JSON, like the next one."""
    groups: tuple[int, ...]
    updated_at: int


class TargetRow(NamedTuple):
    response_target_id: int
    target: Target
    """Stored as JSON."""
    updated_at: int


def define(metadata: MetaData, name: Names) -> Iterable[Table]:
    yield Table(
        name("business_hours"),
        metadata,
        number("business_hours_id", key=True),
        text("title"),
        text("calendar"),
        text("groups"),
        number("updated_at"),
    )
    yield Table(
        name("response_targets"),
        metadata,
        number("response_target_id", key=True),
        text("target"),
        number("updated_at"),
    )


def fold(changes: Changes, tables: Tables, recorded: Recorded) -> None:
    hours, targets = tables["business_hours"], tables["response_targets"]
    event, at = recorded.event, recorded.envelope.at
    match event:
        case BusinessHoursSet():
            row: Row = {
                "business_hours_id": event.business_hours_id,
                "title": event.title,
                "calendar": _json.encode(event.calendar).decode(),
                "groups": _json.encode(event.groups).decode(),
                "updated_at": at,
            }
            changes.delete(hours, (event.business_hours_id,))
            changes.insert(hours, row)
        case BusinessHoursDeleted():
            changes.delete(hours, (event.business_hours_id,))
        case ResponseTargetSet():
            row = {
                "response_target_id": event.response_target_id,
                "target": _json.encode(event.target).decode(),
                "updated_at": at,
            }
            changes.delete(targets, (event.response_target_id,))
            changes.insert(targets, row)
        case ResponseTargetDeleted():
            changes.delete(targets, (event.response_target_id,))


PROJECTION = ReadModel(
    name="business_hours",
    version=1,
    handles=dict.fromkeys(
        (BusinessHoursSet, BusinessHoursDeleted, ResponseTargetSet, ResponseTargetDeleted), fold
    ),
    define=define,
)


def hours(connection: Connection, views: Views) -> list[HoursRow]:
    """The oldest first; there are few."""
    table = views.business_hours["business_hours"]
    rows = connection.execute(select(table).order_by(table.c.business_hours_id))
    return [
        HoursRow._make(row)._replace(
            calendar=msgspec.json.decode(row.calendar, type=Calendar),
            groups=msgspec.json.decode(row.groups, type=tuple[int, ...]),
        )
        for row in rows
    ]


def targets(connection: Connection, views: Views) -> list[TargetRow]:
    """The oldest first; there are few."""
    table = views.business_hours["response_targets"]
    rows: Any = connection.execute(select(table).order_by(table.c.response_target_id))
    return [
        TargetRow._make(row)._replace(target=msgspec.json.decode(row.target, type=Target))
        for row in rows
    ]
