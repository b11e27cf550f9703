"""Groups of staff."""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, MetaData, Table

from kanal.domain.groups import GroupCreated
from kanal.domain.stream import Recorded
from kanal.eventlog.projection import Changes, Tables
from kanal.projections.read_model import (
    Found,
    Names,
    Page,
    ReadModel,
    Views,
    columns_of,
    flag,
    found,
    number,
    text,
)


class GroupRow(NamedTuple):
    group_id: int
    title: str
    from_name: str
    signature: str
    active: bool
    created_at: int
    updated_at: int


def define(metadata: MetaData, name: Names) -> Iterable[Table]:
    yield Table(
        name("groups"),
        metadata,
        number("group_id", key=True),
        text("title"),
        text("from_name"),
        text("signature"),
        flag("active"),
        number("created_at"),
        number("updated_at"),
    )


def fold(changes: Changes, tables: Tables, recorded: Recorded) -> None:
    event, at = recorded.event, recorded.envelope.at
    match event:
        case GroupCreated():
            row = {
                "group_id": event.group_id,
                "title": event.title,
                "from_name": event.from_name,
                "signature": event.signature,
                "active": True,
                "created_at": at,
                "updated_at": at,
            }
            changes.insert(tables["groups"], row)


PROJECTION = ReadModel(name="groups", version=1, handles={GroupCreated: fold}, define=define)


def find(connection: Connection, views: Views, group_id: int) -> GroupRow | None:
    groups = views.groups["groups"]
    query = columns_of(groups, GroupRow).where(groups.c.group_id == group_id)
    row = connection.execute(query).first()
    return GroupRow._make(row) if row else None


def listed(connection: Connection, views: Views, page: Page) -> Found[GroupRow]:
    """The oldest first."""
    groups = views.groups["groups"]
    query = columns_of(groups, GroupRow).order_by(groups.c.group_id)
    return found(connection, query, page, GroupRow._make)
