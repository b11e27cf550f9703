"""Staff as the API shows them; keys and passwords are not here (eventlog/tables.py)."""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, Index, MetaData, Table

from kanal.domain.staff import (
    OFFLINE,
    StaffCasesHandedOver,
    StaffChanged,
    StaffCreated,
    StaffRoleChanged,
    StaffStatusChanged,
    StaffWasDeleted,
    StaffWasDisabled,
    StaffWasEnabled,
    role_of,
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


class StaffRow(NamedTuple):
    staff_id: int
    email: str
    """As it was given."""
    full_name: str
    role_id: int
    signature: str
    signature_chat: str
    thumbnail: str
    active: bool
    status_id: int
    """Offline while not active."""
    replace_staff_id: int
    """Who has their cases since they were disabled; 0: they keep them."""
    hand_over_id: int
    """Of the hand-over that may still have cases to go, 0 for none."""
    created_at: int
    updated_at: int


def define(metadata: MetaData, name: Names) -> Iterable[Table]:
    staff = name("staff")
    yield Table(
        staff,
        metadata,
        number("staff_id", key=True),
        text("email"),
        text("full_name"),
        number("role_id"),
        text("signature"),
        text("signature_chat"),
        text("thumbnail"),
        flag("active"),
        number("status_id"),
        flag("deleted"),
        number("replace_staff_id"),
        number("hand_over_id"),
        number("left_at"),
        number("created_at"),
        number("updated_at"),
        Index(f"{staff}_hand_over", "hand_over_id"),
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
                "role_id": role_of(event),
                "signature": event.signature,
                "signature_chat": event.signature_chat,
                "thumbnail": event.thumbnail,
                "active": True,
                "status_id": OFFLINE,
                "deleted": False,
                "replace_staff_id": 0,
                "hand_over_id": 0,
                "left_at": 0,
                "created_at": at,
                "updated_at": at,
            }
            changes.insert(staff, row)
        case StaffChanged():
            profile = {
                "email": event.email,
                "full_name": event.full_name,
                "signature": event.signature,
                "signature_chat": event.signature_chat,
                "thumbnail": event.thumbnail,
                "updated_at": at,
            }
            changes.update(staff, (event.staff_id,), profile)
        case StaffRoleChanged():
            changes.update(staff, (event.staff_id,), {"role_id": event.new, "updated_at": at})
        case StaffWasDisabled():
            disabled = {
                "active": False,
                "status_id": OFFLINE,
                "replace_staff_id": event.replace_staff_id,
                "hand_over_id": event.hand_over_id,
                "left_at": recorded.position,
                "updated_at": at,
            }
            changes.update(staff, (event.staff_id,), disabled)
        case StaffWasEnabled():
            enabled = {"active": True, "replace_staff_id": 0, "hand_over_id": 0, "updated_at": at}
            changes.update(staff, (event.staff_id,), enabled)
        case StaffWasDeleted():
            gone = {
                "active": False,
                "status_id": OFFLINE,
                "deleted": True,
                "replace_staff_id": event.replace_staff_id,
                "hand_over_id": event.hand_over_id,
                "left_at": recorded.position,
                "updated_at": at,
            }
            changes.update(staff, (event.staff_id,), gone)
        case StaffCasesHandedOver():
            changes.update(staff, (event.staff_id,), {"hand_over_id": 0})
        case StaffStatusChanged():
            changes.update(staff, (event.staff_id,), {"status_id": event.new})


PROJECTION = ReadModel(
    name="staff",
    version=4,
    handles=dict.fromkeys(
        (
            StaffCreated,
            StaffChanged,
            StaffRoleChanged,
            StaffWasDisabled,
            StaffWasEnabled,
            StaffWasDeleted,
            StaffCasesHandedOver,
            StaffStatusChanged,
        ),
        fold,
    ),
    define=define,
)


def find(connection: Connection, views: Views, staff_id: int) -> StaffRow | None:
    """Nobody who was deleted."""
    staff = views.staff["staff"]
    query = columns_of(staff, StaffRow).where(
        staff.c.staff_id == staff_id, staff.c.deleted.is_(False)
    )
    return one(connection, query, StaffRow._make)


def listed(connection: Connection, views: Views, page: Page) -> Found[StaffRow]:
    """The oldest first, disabled ones too."""
    staff = views.staff["staff"]
    query = columns_of(staff, StaffRow).where(staff.c.deleted.is_(False))
    return found(connection, query.order_by(staff.c.staff_id), page, StaffRow._make)
