"""Filters that staff defined, and which one each staff member selected."""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, Index, MetaData, Table, select

from kanal.domain.filters import (
    Conditions,
    FilterChanged,
    FilterCreated,
    FilterDeleted,
    FilterSelected,
)
from kanal.domain.staff import StaffCreated
from kanal.domain.stream import Recorded
from kanal.eventlog.projection import Changes, Tables
from kanal.projections.read_model import Names, ReadModel, Views, columns_of, number, one, text

_json = msgspec.json.Encoder(order="deterministic")


class FilterRow(NamedTuple):
    filter_id: int
    staff_id: int
    """Whose it is, 0 for everybody's."""
    title: str
    conditions: str
    """JSON."""
    created_at: int
    updated_at: int

    def parsed(self) -> Conditions:
        return msgspec.json.decode(self.conditions, type=Conditions)


def define(metadata: MetaData, name: Names) -> Iterable[Table]:
    filters = name("filters")
    yield Table(
        filters,
        metadata,
        number("filter_id", key=True),
        number("staff_id"),
        text("title"),
        text("conditions"),
        number("created_at"),
        number("updated_at"),
        Index(f"{filters}_staff", "staff_id"),
    )
    yield Table(name("filter_choices"), metadata, number("staff_id", key=True), number("filter_id"))


def fold(changes: Changes, tables: Tables, recorded: Recorded) -> None:
    filters, choices = tables["filters"], tables["filter_choices"]
    event, at = recorded.event, recorded.envelope.at
    match event:
        case FilterCreated():
            row = {
                "filter_id": event.filter_id,
                "staff_id": event.staff_id,
                "title": event.title,
                "conditions": _json.encode(event.conditions).decode(),
                "created_at": at,
                "updated_at": at,
            }
            changes.insert(filters, row)
        case FilterChanged():
            changed = {
                "title": event.title,
                "conditions": _json.encode(event.conditions).decode(),
                "updated_at": at,
            }
            changes.update(filters, (event.filter_id,), changed)
        case FilterDeleted():
            changes.delete(filters, (event.filter_id,))
        case StaffCreated():
            changes.insert(choices, {"staff_id": event.staff_id, "filter_id": 0})
        case FilterSelected():
            changes.update(choices, (event.staff_id,), {"filter_id": event.filter_id})


PROJECTION = ReadModel(
    name="filters",
    version=1,
    handles=dict.fromkeys(
        (FilterCreated, FilterChanged, FilterDeleted, FilterSelected, StaffCreated), fold
    ),
    define=define,
)


def visible(connection: Connection, views: Views, staff_id: int) -> list[FilterRow]:
    """Everybody's and that staff member's, the oldest first."""
    filters = views.filters["filters"]
    query = columns_of(filters, FilterRow).where(filters.c.staff_id.in_((0, staff_id)))
    return [FilterRow._make(row) for row in connection.execute(query.order_by(filters.c.filter_id))]


def find(connection: Connection, views: Views, filter_id: int, staff_id: int) -> FilterRow | None:
    """None that is somebody else's."""
    filters = views.filters["filters"]
    query = columns_of(filters, FilterRow).where(
        filters.c.filter_id == filter_id, filters.c.staff_id.in_((0, staff_id))
    )
    return one(connection, query, FilterRow._make)


def selected(connection: Connection, views: Views, staff_id: int) -> int:
    """0 if they have selected none; the filter may have been deleted since."""
    choices = views.filters["filter_choices"].c
    query = select(choices.filter_id).where(choices.staff_id == staff_id)
    return connection.scalar(query) or 0
