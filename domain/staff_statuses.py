"""Staff statuses: who is at work, and who is offered chats."""

from msgspec import Struct

from kanal.domain.errors import StaffStatusFixed, StaffStatusNotFound
from kanal.domain.event import Event
from kanal.domain.staff import (
    NO_CHATS,
    ONLINE,
    STAFF,
    StaffStatusChanged,
    active_staff,
    existing_staff,
)
from kanal.domain.stream import Aggregate
from kanal.domain.work import Work

FIRST_OWN = 101
"""Ids below are left to statuses that are always there."""


class OwnStatusCreated(Event, frozen=True):
    NAME = "staff_status.created.1"
    status_id: int
    title: str
    takes_chats: bool


class OwnStatusChanged(Event, frozen=True):
    """Holds the whole new settings."""

    NAME = "staff_status.changed.1"
    status_id: int
    title: str
    takes_chats: bool
    active: bool


class OwnStatus(Struct, frozen=True):
    status_id: int = 0
    title: str = ""
    takes_chats: bool = False
    active: bool = False
    """Whether it can be chosen; whoever has it keeps it."""


def evolve(status: OwnStatus, event: Event) -> OwnStatus:
    match event:
        case OwnStatusCreated():
            return OwnStatus(event.status_id, event.title, event.takes_chats, True)
        case OwnStatusChanged():
            return OwnStatus(event.status_id, event.title, event.takes_chats, event.active)
    return status


STAFF_STATUSES = Aggregate("staff_status", OwnStatus(), evolve)


def create_status(work: Work, *, title: str, takes_chats: bool = False) -> int:
    """The new status's id."""
    status_id = FIRST_OWN - 1 + work.take("own_staff_status")
    work.record(STAFF_STATUSES, status_id, OwnStatusCreated(status_id, title, takes_chats))
    return status_id


def change_status(
    work: Work,
    *,
    status_id: int,
    title: str | None = None,
    takes_chats: bool | None = None,
    active: bool | None = None,
) -> int:
    """None means "as it is". Raises StaffStatusFixed, StaffStatusNotFound."""
    if 0 < status_id <= NO_CHATS:
        raise StaffStatusFixed(status_id)
    status = work.load(STAFF_STATUSES, status_id)
    if not status.status_id:
        raise StaffStatusNotFound(status_id)
    changed = OwnStatus(
        status_id,
        status.title if title is None else title,
        status.takes_chats if takes_chats is None else takes_chats,
        status.active if active is None else active,
    )
    if changed != status:
        event = OwnStatusChanged(status_id, changed.title, changed.takes_chats, changed.active)
        work.record(STAFF_STATUSES, status_id, event)
    return status_id


def set_staff_status(work: Work, *, staff_id: int, status_id: int) -> int:
    """Choosing what is chosen already is no event. Raises StaffNotFound, StaffNotActive, StaffStatusNotFound."""
    staff = existing_staff(work, staff_id)
    if status_id != staff.status_id:
        active_staff(work, staff_id)
        known = 0 < status_id <= NO_CHATS or work.load(STAFF_STATUSES, status_id).active
        if not known:
            raise StaffStatusNotFound(status_id)
        changed = StaffStatusChanged(staff_id=staff_id, old=staff.status_id, new=status_id)
        work.record(STAFF, staff_id, changed)
    return staff_id


def takes_chats(work: Work, staff_id: int) -> bool:
    """Whether chats are offered to that staff member at this moment."""
    staff = work.load(STAFF, staff_id)
    if not staff.active or staff.status_id <= NO_CHATS:
        return staff.active and staff.status_id == ONLINE
    return work.load(STAFF_STATUSES, staff.status_id).takes_chats
