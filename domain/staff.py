"""Staff: who answers, who administers, and which API keys are theirs.

Key material never reaches an event: a key is known here by its id and a keyed fingerprint.
"""

from enum import Enum
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from kanal.domain.errors import (
    EmailTaken,
    KeyNotFound,
    KeyRevoked,
    LastAdministrator,
    StaffNotActive,
    StaffNotFound,
)
from kanal.domain.event import Event
from kanal.domain.links import Contact
from kanal.domain.stream import Aggregate
from kanal.domain.work import Work

Role = Literal["administrator", "staff"]


class Right(Enum):
    """What a call may need; the table of routes says which one."""

    SEE = "see cases, messages, users, channels and colleagues"
    ANSWER = "open, answer and change cases"
    DELETE = "delete cases and users for good"
    MANAGE_CHANNELS = "make, change, disable and delete channels"
    MANAGE_STAFF = "make and disable staff, groups and API keys"
    MANAGE_FIELDS = "delete labels and define custom fields, languages and e-mail addresses"
    SEE_DELIVERIES = "see deliveries and their outcomes"
    AUDIT = "read the event log"


RIGHTS: dict[Role, frozenset[Right]] = {
    "administrator": frozenset(Right),
    "staff": frozenset({Right.SEE, Right.ANSWER, Right.SEE_DELIVERIES}),
}
"""Only staff with full access deletes for good (Omnidesk's rule for users, kept for cases)."""


class StaffCreated(Event, frozen=True):
    NAME = "staff.created.1"
    staff_id: int
    email: str
    full_name: str
    role: Role
    signature: str
    signature_chat: str


class StaffWasDisabled(Event, frozen=True):
    NAME = "staff.disabled.1"
    staff_id: int


class StaffWasEnabled(Event, frozen=True):
    NAME = "staff.enabled.1"
    staff_id: int


class StaffKeyIssued(Event, frozen=True):
    NAME = "staff.key_issued.1"
    staff_id: int
    key_id: int
    name: str
    fingerprint: str


class StaffKeyRevoked(Event, frozen=True):
    NAME = "staff.key_revoked.1"
    staff_id: int
    key_id: int


class StaffEmailClaimed(Event, frozen=True):
    """First event of the e-mail's stream; the log's key allows it once."""

    NAME = "staff_email.claimed.1"
    staff_id: int


class Staff(Struct, frozen=True):
    staff_id: int = 0
    role: Role = "staff"
    active: bool = False
    keys: tuple[int, ...] = ()
    """Ids of the keys that are live."""


def evolve(staff: Staff, event: Event) -> Staff:
    match event:
        case StaffCreated():
            return Staff(staff_id=event.staff_id, role=event.role, active=True)
        case StaffWasDisabled():
            return replace(staff, active=False)
        case StaffWasEnabled():
            return replace(staff, active=True)
        case StaffKeyIssued():
            return replace(staff, keys=(*staff.keys, event.key_id))
        case StaffKeyRevoked():
            return replace(staff, keys=tuple(k for k in staff.keys if k != event.key_id))
    return staff


STAFF = Aggregate("staff", Staff(), evolve)


def evolve_email(staff_id: int, event: Event) -> int:
    return event.staff_id if isinstance(event, StaffEmailClaimed) else staff_id


STAFF_EMAILS: Aggregate[int] = Aggregate("staff_email", 0, evolve_email, personal=True)
"""Normalised e-mail -> staff id, 0 while nobody has it."""


def evolve_administrators(ids: tuple[int, ...], event: Event) -> tuple[int, ...]:
    match event:
        case AdministratorAppointed():
            return (*ids, event.staff_id)
        case AdministratorStoodDown():
            return tuple(i for i in ids if i != event.staff_id)
    return ids


class AdministratorAppointed(Event, frozen=True):
    NAME = "administrators.appointed.1"
    staff_id: int


class AdministratorStoodDown(Event, frozen=True):
    NAME = "administrators.stood_down.1"
    staff_id: int


ADMINISTRATORS: Aggregate[tuple[int, ...]] = Aggregate("administrators", (), evolve_administrators)
"""One stream, key "all": the active administrators, so that the last one cannot be locked out."""


class NewKey(Struct, frozen=True):
    staff_id: int
    key_id: int


def create_staff(
    work: Work,
    *,
    email: Contact,
    full_name: str,
    role: Role = "staff",
    signature: str = "",
    signature_chat: str = "",
    key_fingerprint: str,
    key_name: str = "first key",
) -> NewKey:
    """A staff member with a first API key. Raises EmailTaken."""
    if work.load(STAFF_EMAILS, email.normalised):
        raise EmailTaken
    staff_id = work.take("staff")
    work.record(STAFF_EMAILS, email.normalised, StaffEmailClaimed(staff_id))
    created = StaffCreated(
        staff_id=staff_id,
        email=email.given.strip(),
        full_name=full_name,
        role=role,
        signature=signature,
        signature_chat=signature_chat,
    )
    work.record(STAFF, staff_id, created)
    if role == "administrator":
        work.record(ADMINISTRATORS, "all", AdministratorAppointed(staff_id))
    return issue_key(work, staff_id=staff_id, name=key_name, fingerprint=key_fingerprint)


def issue_key(work: Work, *, staff_id: int, name: str, fingerprint: str) -> NewKey:
    """Raises StaffNotFound."""
    existing_staff(work, staff_id)
    key_id = work.take("key")
    issued = StaffKeyIssued(staff_id=staff_id, key_id=key_id, name=name, fingerprint=fingerprint)
    work.record(STAFF, staff_id, issued)
    return NewKey(staff_id, key_id)


def revoke_key(work: Work, *, staff_id: int, key_id: int) -> int:
    """Raises StaffNotFound, KeyNotFound, or LastAdministrator if no active administrator would have a key."""
    staff = existing_staff(work, staff_id)
    if key_id not in staff.keys:
        raise KeyNotFound(key_id)
    if staff.keys == (key_id,):
        _keep_an_administrator(work, staff_id)
    work.record(STAFF, staff_id, StaffKeyRevoked(staff_id=staff_id, key_id=key_id))
    return staff_id


def disable_staff(work: Work, *, staff_id: int) -> int:
    """Raises StaffNotFound or LastAdministrator."""
    staff = existing_staff(work, staff_id)
    if not staff.active:
        return staff_id
    if staff.role == "administrator":
        _keep_an_administrator(work, staff_id)
        work.record(ADMINISTRATORS, "all", AdministratorStoodDown(staff_id))
    work.record(STAFF, staff_id, StaffWasDisabled(staff_id))
    return staff_id


def enable_staff(work: Work, *, staff_id: int) -> int:
    """Raises StaffNotFound."""
    staff = existing_staff(work, staff_id)
    if not staff.active:
        work.record(STAFF, staff_id, StaffWasEnabled(staff_id))
        if staff.role == "administrator":
            work.record(ADMINISTRATORS, "all", AdministratorAppointed(staff_id))
    return staff_id


def _keep_an_administrator(work: Work, staff_id: int) -> None:
    """Somebody else must be able to let people in. Raises LastAdministrator."""
    administrators = work.load(ADMINISTRATORS, "all")
    others = (other for other in administrators if other != staff_id)
    if staff_id in administrators and not any(work.load(STAFF, other).keys for other in others):
        raise LastAdministrator


def existing_staff(work: Work, staff_id: int) -> Staff:
    """Raises StaffNotFound."""
    staff = work.load(STAFF, staff_id)
    if not staff.staff_id:
        raise StaffNotFound(staff_id)
    return staff


def active_staff(work: Work, staff_id: int) -> Staff:
    """Raises StaffNotFound or StaffNotActive."""
    staff = existing_staff(work, staff_id)
    if not staff.active:
        raise StaffNotActive(staff_id)
    return staff


def check_key(work: Work, *, staff_id: int, key_id: int) -> None:
    """The key is live at this very place of the log, whichever process revoked it. Raises KeyRevoked."""
    staff = work.load(STAFF, staff_id)
    if not staff.active or key_id not in staff.keys:
        raise KeyRevoked
