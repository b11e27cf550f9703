"""Identities: who a caller means. An identity (external id on a channel, e-mail, phone) has one profile."""

from typing import Any

from msgspec import Struct

from kanal.domain.channels import channel_open_to_users
from kanal.domain.errors import (
    ChannelWithoutId,
    EmailTaken,
    ExternalIdTaken,
    IdWithoutChannel,
    NoIdentity,
    PhoneTaken,
)
from kanal.domain.event import Event
from kanal.domain.links import Contact, link_contact
from kanal.domain.stream import Aggregate
from kanal.domain.users import (
    USERS,
    ContactKind,
    UserDetails,
    UserRegistered,
    UserType,
    change_user,
)
from kanal.domain.work import Work


class IdentityClaimed(Event, frozen=True):
    """First event of the identity's stream; the log's key allows it once."""

    NAME = "identity.claimed.1"
    ABOUT = ("user_id",)
    user_id: int
    type: UserType
    channel_id: int


def evolve(user_id: int, event: Event) -> int:
    return event.user_id if isinstance(event, IdentityClaimed) else user_id


IDENTITIES: Aggregate[int] = Aggregate("identity", 0, evolve, personal=True)
"""Key -> user id, 0 while nobody has the identity."""


class Identification(Struct, frozen=True):
    """All that a caller said of a user."""

    channel_id: int = 0
    """The custom channel of the external id."""
    external_id: str = ""
    email: Contact | None = None
    phone: Contact | None = None
    details: dict[str, Any] = {}
    """Only those fields of `UserDetails` that were given."""

    def claim(self) -> tuple[UserType, str, str]:
        """Type, the identity itself and the key of its stream.

        Raises NoIdentity, or IdWithoutChannel and ChannelWithoutId: an external id and its channel come together.
        """
        if self.external_id and not self.channel_id:
            raise IdWithoutChannel
        if self.channel_id and not self.external_id:
            raise ChannelWithoutId(self.channel_id)
        if self.external_id:
            return "custom", self.external_id, f"{self.channel_id}/{self.external_id}"
        if self.email:
            return "email", self.email.given.strip(), self.email.key
        if self.phone:
            return "phone", self.phone.normalised, self.phone.key
        raise NoIdentity


class Identified(Struct, frozen=True):
    user_id: int
    conflicts: tuple[ContactKind, ...] = ()
    """Contacts that could not be linked, because another id of the same channel has them."""


def find_or_register(work: Work, who: Identification) -> Identified:
    """The profile of this identity, made if it is new, with details and links brought up to date."""
    *_, key = who.claim()
    user_id = work.load(IDENTITIES, key)
    if not user_id:
        return register_user(work, who=who)
    change_user(work, user_id=user_id, **who.details)
    return _link_contacts(work, user_id, who)


def register_user(work: Work, *, who: Identification) -> Identified:
    """Raises ExternalIdTaken, EmailTaken or PhoneTaken if the identity has a profile already, and what `claim` raises."""
    type_, identity, key = who.claim()
    taken_by = work.load(IDENTITIES, key)
    if taken_by:
        if type_ == "custom":
            raise ExternalIdTaken(taken_by)
        raise EmailTaken if type_ == "email" else PhoneTaken
    if who.channel_id:
        channel_open_to_users(work, who.channel_id)
    user_id = work.take("user")
    details = UserDetails(**who.details)
    claimed = IdentityClaimed(user_id=user_id, type=type_, channel_id=who.channel_id)
    work.record(IDENTITIES, key, claimed)
    work.record(
        USERS,
        user_id,
        UserRegistered(
            user_id=user_id,
            type=type_,
            channel_id=who.channel_id,
            identity=identity,
            full_name=details.full_name,
            company_name=details.company_name,
            company_position=details.company_position,
            note=details.note,
            language_id=details.language_id,
        ),
    )
    return _link_contacts(work, user_id, who)


def _link_contacts(work: Work, user_id: int, who: Identification) -> Identified:
    """E-mail and phone are judged separately, the e-mail first."""
    given = [contact for contact in (who.email, who.phone) if contact]
    conflicts = [c.kind for c in given if not link_contact(work, user_id, c)]
    return Identified(user_id, tuple(conflicts))
