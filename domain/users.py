"""Users: one profile per channel identity, with its details and its live links.

The same external id on another channel is another profile; profiles of one person are linked (links.py), never merged.
"""

from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from kanal.domain.errors import UserNotFound
from kanal.domain.event import Event
from kanal.domain.stream import Aggregate
from kanal.domain.work import Work

UserType = Literal["custom", "email", "phone"]
ContactKind = Literal["email", "phone"]


class UserRegistered(Event, frozen=True):
    NAME = "user.registered.1"
    PERSONAL = ("identity", "full_name", "company_name", "company_position", "note")
    ABOUT = ("user_id",)
    user_id: int
    type: UserType
    channel_id: int
    """0 for a profile that is not of a custom channel."""
    identity: str
    """The external id byte for byte, or the e-mail or phone as first given."""
    full_name: str
    company_name: str
    company_position: str
    note: str
    language_id: int


class UserChanged(Event, frozen=True):
    """Holds the whole new details."""

    NAME = "user.changed.1"
    PERSONAL = ("full_name", "company_name", "company_position", "note")
    ABOUT = ("user_id",)
    user_id: int
    full_name: str
    company_name: str
    company_position: str
    note: str
    language_id: int


class UserLinked(Event, frozen=True):
    """An edge from a profile to a contact. Its twin in the contact's stream is `contact.linked.1`."""

    NAME = "user.linked.1"
    PERSONAL = ("value", "given")
    ABOUT = ("user_id",)
    user_id: int
    kind: ContactKind
    value: str
    """Normalised: what is compared."""
    given: str
    """As the caller wrote it."""
    normaliser: str
    """Name and version of the rule that made `value` of `given`."""


class UserLinkRefused(Event, frozen=True):
    """The seed's rule: no automatic link may put two ids of one custom channel into one person."""

    NAME = "user.link_refused.1"
    PERSONAL = ("value", "given")
    ABOUT = ("user_id", "taken_by")
    user_id: int
    kind: ContactKind
    value: str
    given: str
    normaliser: str
    channel_id: int
    """The custom channel on which the person would have had two ids."""
    taken_by: int
    """The profile that has the other id."""


class UserDetails(Struct, frozen=True):
    full_name: str = ""
    company_name: str = ""
    company_position: str = ""
    note: str = ""
    language_id: int = 0


class User(Struct, frozen=True):
    user_id: int = 0
    type: UserType = "custom"
    channel_id: int = 0
    identity: str = ""
    details: UserDetails = UserDetails()
    contacts: tuple[tuple[ContactKind, str], ...] = ()
    """Live links: kind and normalised value."""


def evolve(user: User, event: Event) -> User:
    match event:
        case UserRegistered():
            return User(
                user_id=event.user_id,
                type=event.type,
                channel_id=event.channel_id,
                identity=event.identity,
                details=_details_of(event),
            )
        case UserChanged():
            return replace(user, details=_details_of(event))
        case UserLinked():
            return replace(user, contacts=(*user.contacts, (event.kind, event.value)))
    return user


def _details_of(event: UserRegistered | UserChanged) -> UserDetails:
    return UserDetails(
        full_name=event.full_name,
        company_name=event.company_name,
        company_position=event.company_position,
        note=event.note,
        language_id=event.language_id,
    )


USERS = Aggregate("user", User(), evolve)


def existing_user(work: Work, user_id: int) -> User:
    """Raises UserNotFound."""
    user = work.load(USERS, user_id)
    if not user.user_id:
        raise UserNotFound(user_id)
    return user


def change_user(work: Work, *, user_id: int, **changes: Any) -> int:
    """`changes`: fields of UserDetails. What stays the same is no event. Raises UserNotFound."""
    user = existing_user(work, user_id)
    details = replace(user.details, **changes)
    if details != user.details:
        work.record(
            USERS,
            user_id,
            UserChanged(
                user_id=user_id,
                full_name=details.full_name,
                company_name=details.company_name,
                company_position=details.company_position,
                note=details.note,
                language_id=details.language_id,
            ),
        )
    return user_id
