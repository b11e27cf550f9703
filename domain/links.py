"""Links: edges between profiles and contacts. A person is a connected component of the live edges.

A person is never stored, so that undoing a link removes that edge and nothing else.
"""

from msgspec import Struct

from kanal.domain.event import Event
from kanal.domain.stream import Aggregate
from kanal.domain.users import USERS, ContactKind, UserLinked, UserLinkRefused
from kanal.domain.work import Work


class Contact(Struct, frozen=True):
    """An e-mail or phone, made comparable at the edge of the system."""

    kind: ContactKind
    given: str
    normalised: str
    normaliser: str
    """Name and version of the rule that was used."""

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.normalised}"


class ContactLinked(Event, frozen=True):
    """In the contact's stream, whose id hides the contact. Its twin is `user.linked.1`."""

    NAME = "contact.linked.1"
    ABOUT = ("user_id",)
    user_id: int
    kind: ContactKind


def evolve_contact(users: tuple[int, ...], event: Event) -> tuple[int, ...]:
    return (*users, event.user_id) if isinstance(event, ContactLinked) else users


CONTACTS: Aggregate[tuple[int, ...]] = Aggregate("contact", (), evolve_contact, personal=True)
"""Key -> ids of the profiles that are linked to this contact."""


def person_of(work: Work, *user_ids: int) -> frozenset[int]:
    """All profiles reached from these over live links, themselves included."""
    found: set[int] = set(user_ids)
    seen: set[str] = set()
    waiting = list(found)
    while waiting:
        for kind, value in work.load(USERS, waiting.pop()).contacts:
            contact = f"{kind}/{value}"
            if contact in seen:
                continue
            seen.add(contact)
            linked: tuple[int, ...] = work.load(CONTACTS, contact)
            new = set(linked) - found
            found |= new
            waiting.extend(new)
    return frozenset(found)


def link_contact(work: Work, user_id: int, contact: Contact) -> bool:
    """Link, unless the person would get two ids of one custom channel (seed, point 4); say so in the log.

    Returns whether the profile is linked to the contact now.
    """
    user = work.load(USERS, user_id)
    if (contact.kind, contact.normalised) in user.contacts:
        return True
    linked_already = work.load(CONTACTS, contact.key)
    twins = _two_ids_of_one_channel(work, person_of(work, user_id, *linked_already), user_id)
    if twins:
        channel_id, taken_by = twins
        work.record(
            USERS,
            user_id,
            UserLinkRefused(
                user_id=user_id,
                kind=contact.kind,
                value=contact.normalised,
                given=contact.given,
                normaliser=contact.normaliser,
                channel_id=channel_id,
                taken_by=taken_by,
            ),
        )
        return False
    work.record(
        USERS,
        user_id,
        UserLinked(
            user_id=user_id,
            kind=contact.kind,
            value=contact.normalised,
            given=contact.given,
            normaliser=contact.normaliser,
        ),
    )
    work.record(CONTACTS, contact.key, ContactLinked(user_id=user_id, kind=contact.kind))
    return True


def _two_ids_of_one_channel(
    work: Work, person: frozenset[int], user_id: int
) -> tuple[int, int] | None:
    """Channel and the profile that is in the way, this user's own channel first."""
    own = work.load(USERS, user_id).channel_id
    holders: dict[int, int] = {own: user_id} if own else {}
    clashes: list[tuple[int, int]] = []
    for other in sorted(person - {user_id}):
        channel_id = work.load(USERS, other).channel_id
        if channel_id and channel_id in holders:
            clashes.append((channel_id, other))
        holders.setdefault(channel_id, other)
    return min(clashes, key=lambda clash: clash[0] != own, default=None)
