"""Identities: who a caller means. An identity (external id on a channel, e-mail, phone, id in a messenger) has one profile."""

from typing import Any, Literal, NamedTuple

from msgspec import Struct

from kanal.domain.channels import channel_open_to_users
from kanal.domain.companies import join_company_of_domain, join_named_company
from kanal.domain.custom_fields import GivenValues, read_values
from kanal.domain.errors import (
    ChannelWithoutId,
    EmailTaken,
    ExternalIdTaken,
    IdentityTaken,
    IdWithoutChannel,
    NoIdentity,
    PhoneTaken,
    UserNotFound,
    WrongIdentificationCode,
)
from kanal.domain.event import Event
from kanal.domain.links import Contact, drop_contact, drop_links, link_contact, link_users
from kanal.domain.stream import Aggregate
from kanal.domain.users import (
    USERS,
    MessengerType,
    User,
    UserDetails,
    UserIdentityChanged,
    UserRegistered,
    UserType,
    UserWasDeleted,
    change_user,
    existing_user,
    set_user_values,
)
from kanal.domain.work import Work


class IdentityClaimed(Event, frozen=True):
    """The identity's stream tells that nobody else has it."""

    NAME = "identity.claimed.1"
    ABOUT = ("user_id",)
    user_id: int
    type: UserType
    channel_id: int


class IdentityReleased(Event, frozen=True):
    """Its profile is deleted for good or has another identity now: whoever has it next is a new profile."""

    NAME = "identity.released.1"
    ABOUT = ("user_id",)
    user_id: int
    type: UserType
    channel_id: int


def evolve(user_id: int, event: Event) -> int:
    match event:
        case IdentityClaimed():
            return event.user_id
        case IdentityReleased():
            return 0
    return user_id


IDENTITIES: Aggregate[int] = Aggregate("identity", 0, evolve, personal=True)
"""Key -> user id, 0 while nobody has the identity."""


class Claim(NamedTuple):
    type: UserType
    identity: str
    """As it is shown."""
    key: str
    """Of the identity's stream."""
    normalised: str = ""


class MessengerId(Struct, frozen=True):
    """Who somebody is in a messenger or social network, made comparable at the edge of the system."""

    type: MessengerType
    given: str
    normalised: str
    contact: Contact | None = None
    """The phone that it is, if it is one."""

    def claim(self) -> Claim:
        return Claim(self.type, self.given, f"{self.type}/{self.normalised}", self.normalised)


class Identification(Struct, frozen=True):
    """All that a caller said of a user."""

    channel_id: int = 0
    """The custom channel of the external id."""
    external_id: str = ""
    email: Contact | None = None
    phone: Contact | None = None
    messengers: tuple[MessengerId, ...] = ()
    proven: int = 0
    """The profile that was identified by the code which this user presents, 0 without a code."""
    details: dict[str, Any] = {}
    """Only those fields of `UserDetails` that were given."""

    def claim(self) -> Claim:
        """The identity of the profile: the external id before messengers, these before e-mail and phone.

        Raises NoIdentity, or IdWithoutChannel and ChannelWithoutId: an external id and its channel come together.
        """
        if self.external_id and not self.channel_id:
            raise IdWithoutChannel
        if self.channel_id and not self.external_id:
            raise ChannelWithoutId(self.channel_id)
        if self.external_id:
            return Claim("custom", self.external_id, f"{self.channel_id}/{self.external_id}")
        if self.messengers:
            return self.messengers[0].claim()
        contact = self.email or self.phone
        if not contact:
            raise NoIdentity
        shown = contact.given.strip() if contact.kind == "email" else contact.normalised
        return Claim(contact.kind, shown, contact.key, contact.normalised)


Conflict = Literal["email", "phone", "user"]


class Identified(Struct, frozen=True):
    user_id: int
    conflicts: tuple[Conflict, ...] = ()
    """What could not be linked, because another id of the same channel has it: contacts, or another profile ("user")."""


def find_or_register(work: Work, who: Identification) -> Identified:
    """The profile of this identity, made if it is new, with details and links brought up to date."""
    user_id = work.load(IDENTITIES, who.claim().key)
    if not user_id:
        return register_user(work, who=who)
    _change_details(work, user_id, who.details)
    return _link(work, user_id, who)


class Proof(Struct, frozen=True):
    """What an identification code says: that its bearer is this user."""

    user_id: int
    until: int
    """Microseconds since the epoch."""


PROOF_LIFE = 24 * 3600 * 1_000_000
"""Microseconds: a link on a page is opened within the day, if at all."""


def identify(work: Work, *, who: Identification, given_values: GivenValues | None = None) -> Proof:
    """As `find_or_register`, with values of custom fields, and a proof of it to be presented elsewhere."""
    values = read_values(work, given_values, "user")["user"]
    user_id = find_or_register(work, who).user_id
    set_user_values(work, user_id, values)
    return Proof(user_id, work.now + PROOF_LIFE)


def register_user(
    work: Work, *, who: Identification, given_values: GivenValues | None = None
) -> Identified:
    """`given_values`: of custom fields.

    Raises ExternalIdTaken, IdentityTaken, EmailTaken or PhoneTaken if the identity has a profile already, what `claim`
    raises, and WrongFieldValues.
    """
    claim = who.claim()
    _free(work, claim)
    if who.channel_id:
        channel_open_to_users(work, who.channel_id)
    user_id = work.take("user")
    details = UserDetails(**who.details)
    claimed = IdentityClaimed(user_id=user_id, type=claim.type, channel_id=who.channel_id)
    work.record(IDENTITIES, claim.key, claimed)
    work.record(
        USERS,
        user_id,
        UserRegistered(
            user_id=user_id,
            type=claim.type,
            channel_id=who.channel_id,
            identity=claim.identity,
            full_name=details.full_name,
            company_name=details.company_name,
            company_position=details.company_position,
            note=details.note,
            language_id=details.language_id,
            normalised=claim.normalised,
        ),
    )
    set_user_values(work, user_id, read_values(work, given_values, "user")["user"])
    if details.company_name:
        join_named_company(work, user_id, details.company_name)
    elif who.email:
        join_company_of_domain(work, user_id, who.email.normalised)
    return _link(work, user_id, who)


def _change_details(
    work: Work, user_id: int, details: dict[str, Any], given_values: GivenValues | None = None
) -> None:
    """A company that is named again does not take back a user whom staff moved meanwhile."""
    before = work.load(USERS, user_id).details.company_name
    change_user(work, user_id=user_id, given_values=given_values, **details)
    name = details.get("company_name", before)
    if name != before:
        join_named_company(work, user_id, name)


def change_profile(
    work: Work,
    *,
    user_id: int,
    email: Contact | None = None,
    phone: Contact | None = None,
    details: dict[str, Any],
    given_values: GivenValues | None = None,
) -> int:
    """New details and values of custom fields; for the profile of an e-mail or phone also another one of these, which it is linked to by hand.

    Raises UserNotFound, EmailTaken, PhoneTaken, WrongFieldValues.
    """
    user = existing_user(work, user_id)
    _change_details(work, user_id, details, given_values)
    contact = email if user.type == "email" else phone if user.type == "phone" else None
    if contact is None or contact.key == user.key:
        return user_id
    claim = _holder_of(contact).claim()
    _free(work, claim)
    work.record(
        IDENTITIES,
        user.key,
        IdentityReleased(user_id=user_id, type=user.type, channel_id=0),
    )
    work.record(
        IDENTITIES, claim.key, IdentityClaimed(user_id=user_id, type=claim.type, channel_id=0)
    )
    work.record(
        USERS,
        user_id,
        UserIdentityChanged(
            user_id=user_id, old=user.identity, new=claim.identity, normalised=claim.normalised
        ),
    )
    drop_contact(work, user_id, contact.kind, user.key.partition("/")[2])
    link_contact(work, user_id, contact, evidence="hand")
    return user_id


def link_known_contact(work: Work, *, user_id: int, who: Identification) -> int:
    """Link by hand with the profile of that e-mail or phone, which is made if there is none. Raises UserNotFound."""
    existing_user(work, user_id)
    for contact in (who.email, who.phone):
        if contact:
            find_or_register(work, _holder_of(contact))
            link_contact(work, user_id, contact, evidence="hand")
    return user_id


def delete_user(work: Work, *, user_id: int) -> int:
    """For good: its links are undone, its identity is free. Raises UserNotFound."""
    user = existing_user(work, user_id)
    drop_links(work, user_id)
    released = IdentityReleased(user_id=user_id, type=user.type, channel_id=user.channel_id)
    work.record(IDENTITIES, user.key, released)
    work.record(USERS, user_id, UserWasDeleted(user_id, fields=tuple(user.values)))
    return user_id


def known_as(user: User) -> Identification:
    """By what a profile is known, and nothing that would change or link it."""
    if user.type == "custom":
        return Identification(channel_id=user.channel_id, external_id=user.identity)
    normalised = user.key.partition("/")[2]
    if user.type == "email" or user.type == "phone":
        return _holder_of(Contact(user.type, user.identity, normalised, normaliser=""))
    return Identification(messengers=(MessengerId(user.type, user.identity, normalised),))


def _free(work: Work, claim: Claim) -> None:
    taken_by = work.load(IDENTITIES, claim.key)
    if not taken_by:
        return
    match claim.type:
        case "custom":
            raise ExternalIdTaken(taken_by)
        case "email":
            raise EmailTaken
        case "phone":
            raise PhoneTaken
    raise IdentityTaken(claim.type, taken_by)


def _holder_of(contact: Contact) -> Identification:
    if contact.kind == "email":
        return Identification(email=contact)
    return Identification(phone=contact)


def _link(work: Work, user_id: int, who: Identification) -> Identified:
    """E-mail and phone are judged separately, the e-mail first; then the profiles of the other messengers that were given
    and the one that a code proves.
    """
    own = who.claim().key
    conflicts: list[Conflict] = []
    contacts = [who.email, who.phone]
    contacts += [each.contact for each in who.messengers if each.claim().key == own]
    for contact in contacts:
        if contact and not link_contact(work, user_id, contact):
            conflicts.append(contact.kind)
    for messenger in who.messengers:
        if messenger.claim().key != own:
            other = find_or_register(
                work, Identification(messengers=(messenger,), details=who.details)
            )
            if not link_users(work, user_id=user_id, other_id=other.user_id, evidence="given"):
                conflicts.append("user")
    if who.proven:
        try:
            proven = link_users(work, user_id=user_id, other_id=who.proven, evidence="code")
        except UserNotFound:
            raise WrongIdentificationCode from None
        if not proven:
            conflicts.append("user")
    return Identified(user_id, tuple(dict.fromkeys(conflicts)))
