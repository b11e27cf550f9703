"""Users: one profile per channel identity, with its details, its live links and whether it is blocked or disabled.

The same external id on another channel is another profile; profiles of one person are linked (links.py), never merged.
"""

from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from kanal.domain.custom_fields import (
    Changes,
    GivenValues,
    Value,
    Values,
    changed_values,
    old_values,
    read_values,
)
from kanal.domain.errors import UserNotFound
from kanal.domain.event import Event
from kanal.domain.stream import Aggregate
from kanal.domain.work import Work

MessengerType = Literal[
    "telegram",
    "whatsapp",
    "viber",
    "vkontakte",
    "odnoklassniki",
    "facebook",
    "instagram",
    "skype",
    "line",
    "slack",
    "mattermost",
    "avito",
]
UserType = Literal["custom", "email", "phone", MessengerType]
ContactKind = Literal["email", "phone"]
Evidence = Literal["given", "hand", "code"]
"""Why a link was made: a caller gave both of one user; staff said so; a user presented an identification code."""

CompanyReason = Literal["name", "domain", "hand"]
"""Why a user joined a company: a caller named it, it has the domain of the user's e-mail, or staff said so."""


class UserRegistered(Event, frozen=True):
    NAME = "user.registered.1"
    PERSONAL = ("identity", "full_name", "company_name", "company_position", "note", "normalised")
    ABOUT = ("user_id",)
    user_id: int
    type: UserType
    channel_id: int
    """0 for a profile that is not of a custom channel."""
    identity: str
    """The external id byte for byte, or the e-mail, phone or messenger id as first given."""
    full_name: str
    company_name: str
    company_position: str
    note: str
    language_id: int
    normalised: str = ""
    """What the identity is compared by; "" for an external id."""


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


class UserFieldsChanged(Event, frozen=True):
    """Of custom fields. Holds all values of the user, so that a reader needs no earlier event."""

    NAME = "user.fields_changed.1"
    PERSONAL = ("old", "values")
    ABOUT = ("user_id",)
    user_id: int
    old: dict[str, Value | None]
    """Keys of the fields that changed (`cf_1`), with what was there; None: nothing."""
    values: Values
    """All that there is now."""


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
    evidence: Evidence = "given"


class UserUnlinked(Event, frozen=True):
    """That edge is gone and no other. Its twin in the contact's stream is `contact.unlinked.1`."""

    NAME = "user.unlinked.1"
    PERSONAL = ("value",)
    ABOUT = ("user_id",)
    user_id: int
    kind: ContactKind
    value: str


class UserLinkedToUser(Event, frozen=True):
    """An edge between two profiles, in the streams of both."""

    NAME = "user.linked_to_user.1"
    ABOUT = ("user_id", "other_id")
    user_id: int
    other_id: int
    evidence: Evidence


class UserUnlinkedFromUser(Event, frozen=True):
    """In the streams of both."""

    NAME = "user.unlinked_from_user.1"
    ABOUT = ("user_id", "other_id")
    user_id: int
    other_id: int


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


class UserLinkToUserRefused(Event, frozen=True):
    """The same rule, for an edge between two profiles."""

    NAME = "user.link_to_user_refused.1"
    ABOUT = ("user_id", "other_id", "taken_by")
    user_id: int
    other_id: int
    channel_id: int
    taken_by: int


class UserIdentityChanged(Event, frozen=True):
    """The profile's own e-mail or phone is another one."""

    NAME = "user.identity_changed.1"
    PERSONAL = ("old", "new", "normalised")
    ABOUT = ("user_id",)
    user_id: int
    old: str
    new: str
    normalised: str


class UserJoinedCompany(Event, frozen=True):
    """A user has one company: the former one is left."""

    NAME = "user.joined_company.1"
    ABOUT = ("user_id",)
    user_id: int
    company_id: int
    left: int
    """0 for none."""
    reason: CompanyReason


class UserLeftCompany(Event, frozen=True):
    NAME = "user.left_company.1"
    ABOUT = ("user_id",)
    user_id: int
    company_id: int


class UserWasBlocked(Event, frozen=True):
    """The user's later cases are spam."""

    NAME = "user.blocked.1"
    ABOUT = ("user_id",)
    user_id: int


class UserWasDisabled(Event, frozen=True):
    """Put among the deleted ones; it can be restored."""

    NAME = "user.disabled.1"
    ABOUT = ("user_id",)
    user_id: int


class UserWasRestored(Event, frozen=True):
    """Neither blocked nor disabled any more."""

    NAME = "user.restored.1"
    ABOUT = ("user_id",)
    user_id: int


class UserWasDeleted(Event, frozen=True):
    """For good: no answer shows the profile any more, and its identity is free."""

    NAME = "user.deleted.1"
    ABOUT = ("user_id",)
    user_id: int
    fields: tuple[str, ...] = ()
    """Keys of the custom fields that it had values of."""


class UserCasesDeleted(Event, frozen=True):
    """The last of a deleted user's cases is deleted too."""

    NAME = "user.cases_deleted.1"
    ABOUT = ("user_id",)
    user_id: int


class UserDetails(Struct, frozen=True):
    full_name: str = ""
    company_name: str = ""
    """As a caller gave it last; the company itself is `User.company_id`."""
    company_position: str = ""
    note: str = ""
    language_id: int = 0


class User(Struct, frozen=True):
    user_id: int = 0
    type: UserType = "custom"
    channel_id: int = 0
    identity: str = ""
    normalised: str = ""
    details: UserDetails = UserDetails()
    contacts: tuple[tuple[ContactKind, str], ...] = ()
    """Live links: kind and normalised value."""
    users: tuple[int, ...] = ()
    """Profiles with which there is a live link without a contact in between."""
    company_id: int = 0
    undone: frozenset[str] = frozenset()
    """Links that staff undid, as `link_key` names them: none is made again but by hand."""
    blocked: bool = False
    disabled: bool = False
    deleted: bool = False
    cases_deleted: bool = False
    values: Values = {}
    """Of custom fields, also of those that have been deleted since."""

    @property
    def key(self) -> str:
        """The key of the identity's stream."""
        if self.type == "custom":
            return f"{self.channel_id}/{self.identity}"
        return f"{self.type}/{self.normalised or self.identity.lower()}"


def link_key(kind: str, value: object) -> str:
    return f"{kind}/{value}"


def evolve(user: User, event: Event) -> User:
    match event:
        case UserRegistered():
            return User(
                user_id=event.user_id,
                type=event.type,
                channel_id=event.channel_id,
                identity=event.identity,
                normalised=event.normalised,
                details=_details_of(event),
            )
        case UserChanged():
            return replace(user, details=_details_of(event))
        case UserFieldsChanged():
            return replace(user, values=event.values)
        case UserLinked():
            return replace(
                user,
                contacts=(*user.contacts, (event.kind, event.value)),
                undone=user.undone - {link_key(event.kind, event.value)},
            )
        case UserUnlinked():
            link = (event.kind, event.value)
            return replace(
                user,
                contacts=tuple(each for each in user.contacts if each != link),
                undone=user.undone | {link_key(*link)},
            )
        case UserLinkedToUser():
            return replace(
                user,
                users=(*user.users, event.other_id),
                undone=user.undone - {link_key("user", event.other_id)},
            )
        case UserUnlinkedFromUser():
            return replace(
                user,
                users=tuple(each for each in user.users if each != event.other_id),
                undone=user.undone | {link_key("user", event.other_id)},
            )
        case UserIdentityChanged():
            return replace(user, identity=event.new, normalised=event.normalised)
        case UserJoinedCompany():
            return replace(user, company_id=event.company_id)
        case UserLeftCompany():
            return replace(user, company_id=0)
        case UserWasBlocked():
            return replace(user, blocked=True)
        case UserWasDisabled():
            return replace(user, disabled=True)
        case UserWasRestored():
            return replace(user, blocked=False, disabled=False)
        case UserCasesDeleted():
            return replace(user, cases_deleted=True)
        case UserWasDeleted():
            return replace(user, deleted=True)
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
    """A profile that is not deleted for good; it may be blocked or disabled. Raises UserNotFound."""
    user = work.load(USERS, user_id)
    if not user.user_id or user.deleted:
        raise UserNotFound(user_id)
    return user


def change_user(
    work: Work, *, user_id: int, given_values: GivenValues | None = None, **changes: Any
) -> int:
    """`changes`: fields of UserDetails; `given_values`: of custom fields. What stays the same is no event.

    Raises UserNotFound, WrongFieldValues.
    """
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
    set_user_values(work, user_id, read_values(work, given_values, "user")["user"])
    return user_id


def set_user_values(work: Work, user_id: int, changes: Changes) -> None:
    """Values of custom fields; a profile that is deleted takes none."""
    user = work.load(USERS, user_id)
    after = changed_values(user.values, changes)
    old = old_values(user.values, after)
    if old and not user.deleted:
        work.record(USERS, user_id, UserFieldsChanged(user_id=user_id, old=old, values=after))


def block_user(work: Work, *, user_id: int) -> int:
    """This profile alone, not the person: undoing a link shall leave nobody blocked by mistake. Raises UserNotFound."""
    if not existing_user(work, user_id).blocked:
        work.record(USERS, user_id, UserWasBlocked(user_id))
    return user_id


def disable_user(work: Work, *, user_id: int) -> int:
    """Raises UserNotFound."""
    if not existing_user(work, user_id).disabled:
        work.record(USERS, user_id, UserWasDisabled(user_id))
    return user_id


def restore_user(work: Work, *, user_id: int) -> int:
    """Raises UserNotFound."""
    user = existing_user(work, user_id)
    if user.blocked or user.disabled:
        work.record(USERS, user_id, UserWasRestored(user_id))
    return user_id
