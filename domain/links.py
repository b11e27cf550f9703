"""Links: edges between profiles and contacts, or between two profiles. A person is a connected component of the live edges.

A person is never stored, so that undoing a link removes that edge and nothing else.
"""

from collections import deque

from msgspec import Struct

from kanal.domain.event import Event
from kanal.domain.stream import Aggregate
from kanal.domain.users import (
    USERS,
    ContactKind,
    Evidence,
    User,
    UserLinked,
    UserLinkedToUser,
    UserLinkRefused,
    UserLinkToUserRefused,
    UserUnlinked,
    UserUnlinkedFromUser,
    existing_user,
    link_key,
)
from kanal.domain.work import Work

Node = int | tuple[ContactKind, str]
"""A profile, or the kind and normalised value of a contact."""


class Contact(Struct, frozen=True):
    """An e-mail or phone, made comparable at the edge of the system."""

    kind: ContactKind
    given: str
    normalised: str
    normaliser: str
    """Name and version of the rule that was used."""

    @property
    def key(self) -> str:
        return link_key(self.kind, self.normalised)


class ContactLinked(Event, frozen=True):
    """In the contact's stream, whose id hides the contact. Its twin is `user.linked.1`."""

    NAME = "contact.linked.1"
    ABOUT = ("user_id",)
    user_id: int
    kind: ContactKind


class ContactUnlinked(Event, frozen=True):
    """Its twin is `user.unlinked.1`."""

    NAME = "contact.unlinked.1"
    ABOUT = ("user_id",)
    user_id: int
    kind: ContactKind


def evolve_contact(users: tuple[int, ...], event: Event) -> tuple[int, ...]:
    match event:
        case ContactLinked():
            return (*users, event.user_id)
        case ContactUnlinked():
            return tuple(each for each in users if each != event.user_id)
    return users


CONTACTS: Aggregate[tuple[int, ...]] = Aggregate("contact", (), evolve_contact, personal=True)
"""Key -> ids of the profiles that are linked to this contact."""


def person_of(work: Work, *user_ids: int) -> frozenset[int]:
    """All profiles reached from these over live links, themselves included: each profile and each contact is loaded once."""
    found: set[Node] = set(user_ids)
    waiting: list[Node] = list(found)
    while waiting:
        new = set(_neighbours(work, waiting.pop())) - found
        found |= new
        waiting.extend(new)
    return frozenset(node for node in found if isinstance(node, int))


def link_contact(
    work: Work, user_id: int, contact: Contact, *, evidence: Evidence = "given"
) -> bool:
    """Link, unless the person would get two ids of one custom channel (seed, point 4); say so in the log.

    What staff undid is not linked again. By hand everything is linked. Returns False if the rule refused the link.
    """
    user = work.load(USERS, user_id)
    if (contact.kind, contact.normalised) in user.contacts:
        return True
    if evidence != "hand":
        if contact.key in user.undone:
            return True
        clash = _clash(work, user, work.load(CONTACTS, contact.key))
        if clash:
            channel_id, taken_by = clash
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
            evidence=evidence,
        ),
    )
    work.record(CONTACTS, contact.key, ContactLinked(user_id=user_id, kind=contact.kind))
    return True


def link_users(work: Work, *, user_id: int, other_id: int, evidence: Evidence = "hand") -> bool:
    """An edge between the two profiles themselves, under the same rules as `link_contact`. Raises UserNotFound."""
    user, other = existing_user(work, user_id), existing_user(work, other_id)
    if user_id == other_id or other_id in user.users:
        return True
    if evidence != "hand":
        if link_key("user", other_id) in user.undone:
            return True
        clash = _clash(work, user, (other.user_id,))
        if clash:
            channel_id, taken_by = clash
            refused = UserLinkToUserRefused(
                user_id=user_id, other_id=other_id, channel_id=channel_id, taken_by=taken_by
            )
            work.record(USERS, user_id, refused)
            return False
    for one, another in ((user_id, other_id), (other_id, user_id)):
        linked = UserLinkedToUser(user_id=one, other_id=another, evidence=evidence)
        work.record(USERS, one, linked)
    return True


def unlink_users(work: Work, *, user_id: int, other_id: int) -> int:
    """Remove links until no way leads from the one to the other: the two are not one person any more.

    Of each way the link goes that `other_id` has; a profile's own e-mail or phone stays, then it is the link of
    `user_id`. Whoever else is linked with either stays so. Raises UserNotFound.
    """
    existing_user(work, user_id)
    existing_user(work, other_id)
    if user_id != other_id:
        while way := _way(work, user_id, other_id):
            _cut(work, way)
    return user_id


def drop_links(work: Work, user_id: int) -> None:
    """All links of a profile, because it is deleted."""
    user = work.load(USERS, user_id)
    for contact in user.contacts:
        _remove(work, user_id, contact)
    for other_id in user.users:
        _remove(work, user_id, other_id)


def drop_contact(work: Work, user_id: int, kind: ContactKind, value: str) -> None:
    """A profile's link to that contact, if there is one."""
    if (kind, value) in work.load(USERS, user_id).contacts:
        _remove(work, user_id, (kind, value))


def _neighbours(work: Work, node: Node) -> tuple[Node, ...]:
    if isinstance(node, int):
        user = work.load(USERS, node)
        return (*user.contacts, *user.users)
    return work.load(CONTACTS, link_key(*node))


def _clash(work: Work, user: User, start: tuple[int, ...]) -> tuple[int, int] | None:
    """A channel that knows both this user's person and that of `start`, and its profile in the latter; this user's own
    channel first. Who is on no channel clashes with nobody, so a phone that thousands gave is not walked through.
    """
    person = person_of(work, user.user_id)
    channels = {work.load(USERS, each).channel_id for each in person} - {0}
    if not channels:
        return None
    others = person_of(work, *start)
    if others & person:
        return None
    clashes = [
        (channel_id, other)
        for other in others
        if (channel_id := work.load(USERS, other).channel_id) in channels
    ]
    return min(clashes, key=lambda clash: (clash[0] != user.channel_id, clash), default=None)


def _way(work: Work, start: int, end: int) -> list[Node]:
    """The nodes of a shortest way over live links, both ends included; [] if there is none."""
    before: dict[Node, Node] = {start: start}
    waiting: deque[Node] = deque([start])
    while waiting and end not in before:
        node = waiting.popleft()
        for neighbour in _neighbours(work, node):
            if neighbour not in before:
                before[neighbour] = node
                waiting.append(neighbour)
    if end not in before:
        return []
    way: list[Node] = [end]
    while way[-1] != start:
        way.append(before[way[-1]])
    return way[::-1]


def _cut(work: Work, way: list[Node]) -> None:
    """Remove the first of these that is not a profile's own identity. Before a profile's own contact stands another profile,
    whose own it is not.
    """
    ends = [(way[-1], way[-2]), (way[0], way[1]), (way[-3], way[-2])] if len(way) > 2 else [way]
    for user_id, other in ends:
        assert isinstance(user_id, int)
        user = work.load(USERS, user_id)
        if isinstance(other, int) or link_key(*other) != user.key:
            _remove(work, user_id, other)
            return


def _remove(work: Work, user_id: int, other: Node) -> None:
    if isinstance(other, int):
        for one, another in ((user_id, other), (other, user_id)):
            work.record(USERS, one, UserUnlinkedFromUser(user_id=one, other_id=another))
        return
    kind, value = other
    work.record(USERS, user_id, UserUnlinked(user_id=user_id, kind=kind, value=value))
    work.record(CONTACTS, link_key(kind, value), ContactUnlinked(user_id=user_id, kind=kind))
