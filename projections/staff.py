"""Staff as the API shows them; keys and passwords are not here (eventlog/tables.py)."""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, MetaData, Table

from kanal.domain.staff import Role, StaffCreated, StaffWasDisabled, StaffWasEnabled
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


class StaffRow(NamedTuple):
    staff_id: int
    email: str
    """As it was given."""
    full_name: str
    role: Role
    signature: str
    signature_chat: str
    active: bool
    created_at: int
    updated_at: int


def define(metadata: MetaData, name: Names) -> Iterable[Table]:
    yield Table(
        name("staff"),
        metadata,
        number("staff_id", key=True),
        text("email"),
        text("full_name"),
        text("role"),
        text("signature"),
        text("signature_chat"),
        flag("active"),
        number("created_at"),
        number("updated_at"),
    )


def fold(changes: Changes, tables: Tables, recorded: Recorded) -> None:
    staff = tables["staff"]
    event, at = recorded.event, recorded.envelope.at
    match event:
        case StaffCreated():
            row = {
                "staff_id": event.staff_id,
                "email": event.email,
                "full_name": event.full_name,
                "role": event.role,
                "signature": event.signature,
                "signature_chat": event.signature_chat,
                "active": True,
                "created_at": at,
                "updated_at": at,
            }
            changes.insert(staff, row)
        case StaffWasDisabled():
            changes.update(staff, (event.staff_id,), {"active": False, "updated_at": at})
        case StaffWasEnabled():
            changes.update(staff, (event.staff_id,), {"active": True, "updated_at": at})


PROJECTION = ReadModel(
    name="staff",
    version=1,
    handles=dict.fromkeys((StaffCreated, StaffWasDisabled, StaffWasEnabled), fold),
    define=define,
)


def find(connection: Connection, views: Views, staff_id: int) -> StaffRow | None:
    staff = views.staff["staff"]
    query = columns_of(staff, StaffRow).where(staff.c.staff_id == staff_id)
    row = connection.execute(query).first()
    return StaffRow._make(row) if row else None


def listed(connection: Connection, views: Views, page: Page) -> Found[StaffRow]:
    """The oldest first, disabled ones too."""
    staff = views.staff["staff"]
    query = columns_of(staff, StaffRow).order_by(staff.c.staff_id)
    return found(connection, query, page, StaffRow._make)
