"""Staff statuses: those that are always there, and the ones that the company made."""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, FromClause, MetaData, Select, Table, or_, select

from kanal.domain.staff import NO_CHATS, OFFLINE, ONLINE
from kanal.domain.staff_statuses import OwnStatusChanged, OwnStatusCreated
from kanal.domain.stream import Recorded
from kanal.eventlog.projection import Changes, Tables
from kanal.projections.read_model import Names, ReadModel, Views, columns_of, flag, number, text


class StatusRow(NamedTuple):
    status_id: int
    title: str
    takes_chats: bool
    active: bool
    """Whether it can be chosen."""


BUILT_IN = (
    StatusRow(ONLINE, "Online", True, True),
    StatusRow(OFFLINE, "Offline", False, True),
    StatusRow(NO_CHATS, "No chats", False, True),
)


def define(metadata: MetaData, name: Names) -> Iterable[Table]:
    yield Table(
        name("staff_statuses"),
        metadata,
        number("status_id", key=True),
        text("title"),
        flag("takes_chats"),
        flag("active"),
    )


def fold(changes: Changes, tables: Tables, recorded: Recorded) -> None:
    statuses, event = tables["staff_statuses"], recorded.event
    match event:
        case OwnStatusCreated():
            row = {
                "status_id": event.status_id,
                "title": event.title,
                "takes_chats": event.takes_chats,
                "active": True,
            }
            changes.insert(statuses, row)
        case OwnStatusChanged():
            settings = {
                "title": event.title,
                "takes_chats": event.takes_chats,
                "active": event.active,
            }
            changes.update(statuses, (event.status_id,), settings)


PROJECTION = ReadModel(
    name="staff_statuses",
    version=1,
    handles=dict.fromkeys((OwnStatusCreated, OwnStatusChanged), fold),
    define=define,
)


def find(connection: Connection, views: Views, status_id: int) -> StatusRow | None:
    return next((row for row in listed(connection, views) if row.status_id == status_id), None)


def listed(connection: Connection, views: Views) -> list[StatusRow]:
    """The built-in ones first; also those that cannot be chosen any more."""
    statuses = views.staff_statuses["staff_statuses"]
    rows = connection.execute(columns_of(statuses, StatusRow).order_by(statuses.c.status_id))
    return [*BUILT_IN, *map(StatusRow._make, rows)]


def taking_chats(views: Views) -> Select[tuple[int]]:
    """Ids of the staff to whom chats are offered."""
    staff: FromClause = views.staff["staff"]
    statuses = views.staff_statuses["staff_statuses"].c
    own = select(statuses.status_id).where(statuses.takes_chats.is_(True))
    return select(staff.c.staff_id).where(
        staff.c.active.is_(True), or_(staff.c.status_id == ONLINE, staff.c.status_id.in_(own))
    )
