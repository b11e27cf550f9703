"""Groups of staff."""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, Index, MetaData, Table

from kanal.domain.groups import (
    GroupCasesHandedOver,
    GroupChanged,
    GroupCreated,
    GroupWasDeleted,
    GroupWasDisabled,
    GroupWasEnabled,
)
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
    one,
    text,
)


class GroupRow(NamedTuple):
    group_id: int
    title: str
    from_name: str
    signature: str
    active: bool
    replace_group_id: int
    """Which group has its cases since it was disabled; 0: it keeps them."""
    hand_over_id: int
    """Of the hand-over that may still have cases to go, 0 for none."""
    created_at: int
    updated_at: int


def define(metadata: MetaData, name: Names) -> Iterable[Table]:
    groups = name("groups")
    yield Table(
        groups,
        metadata,
        number("group_id", key=True),
        text("title"),
        text("from_name"),
        text("signature"),
        flag("active"),
        flag("deleted"),
        number("replace_group_id"),
        number("hand_over_id"),
        number("left_at"),
        number("created_at"),
        number("updated_at"),
        Index(f"{groups}_hand_over", "hand_over_id"),
    )


def fold(changes: Changes, tables: Tables, recorded: Recorded) -> None:
    groups = tables["groups"]
    event, at = recorded.event, recorded.envelope.at
    match event:
        case GroupCreated():
            row = {
                "group_id": event.group_id,
                "title": event.title,
                "from_name": event.from_name,
                "signature": event.signature,
                "active": True,
                "deleted": False,
                "replace_group_id": 0,
                "hand_over_id": 0,
                "left_at": 0,
                "created_at": at,
                "updated_at": at,
            }
            changes.insert(groups, row)
        case GroupChanged():
            settings = {
                "title": event.title,
                "from_name": event.from_name,
                "signature": event.signature,
                "updated_at": at,
            }
            changes.update(groups, (event.group_id,), settings)
        case GroupWasDisabled():
            disabled = {
                "active": False,
                "replace_group_id": event.replace_group_id,
                "hand_over_id": event.hand_over_id,
                "left_at": recorded.position,
                "updated_at": at,
            }
            changes.update(groups, (event.group_id,), disabled)
        case GroupWasEnabled():
            enabled = {"active": True, "replace_group_id": 0, "hand_over_id": 0, "updated_at": at}
            changes.update(groups, (event.group_id,), enabled)
        case GroupWasDeleted():
            gone = {
                "active": False,
                "deleted": True,
                "replace_group_id": event.replace_group_id,
                "hand_over_id": event.hand_over_id,
                "left_at": recorded.position,
                "updated_at": at,
            }
            changes.update(groups, (event.group_id,), gone)
        case GroupCasesHandedOver():
            changes.update(groups, (event.group_id,), {"hand_over_id": 0})


PROJECTION = ReadModel(
    name="groups",
    version=2,
    handles=dict.fromkeys(
        (
            GroupCreated,
            GroupChanged,
            GroupWasDisabled,
            GroupWasEnabled,
            GroupWasDeleted,
            GroupCasesHandedOver,
        ),
        fold,
    ),
    define=define,
)


def find(connection: Connection, views: Views, group_id: int) -> GroupRow | None:
    """None that was deleted."""
    groups = views.groups["groups"]
    query = columns_of(groups, GroupRow).where(
        groups.c.group_id == group_id, groups.c.deleted.is_(False)
    )
    return one(connection, query, GroupRow._make)


def listed(connection: Connection, views: Views, page: Page) -> Found[GroupRow]:
    """The oldest first, disabled ones too."""
    groups = views.groups["groups"]
    query = columns_of(groups, GroupRow).where(groups.c.deleted.is_(False))
    return found(connection, query.order_by(groups.c.group_id), page, GroupRow._make)
