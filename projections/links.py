"""Links between profiles and contacts or other profiles, and the links that were refused.

A person is computed from them, never stored.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, get_args
from unicodedata import normalize
from zlib import crc32

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Index,
    MetaData,
    Select,
    Table,
    exists,
    literal_column,
    or_,
    select,
    union_all,
)

from kanal.domain.identities import Conflict
from kanal.domain.stream import Recorded
from kanal.domain.users import (
    ContactKind,
    UserLinked,
    UserLinkedToUser,
    UserLinkRefused,
    UserLinkToUserRefused,
    UserUnlinked,
    UserUnlinkedFromUser,
)
from kanal.eventlog.projection import Changes, Tables
from kanal.projections.read_model import Names, ReadModel, Views, columns_of, number, text
from kanal.projections.trigrams import containing, having, searchable

Contact = tuple[str, str]
"""Kind and normalised value."""
SEARCHED: tuple[ContactKind, ...] = get_args(ContactKind)
CHECKSUM_BITS = 32
PHONE_PUNCTUATION = re.compile(r"[\s().-]")
"""What people write in a phone and E.164 leaves out."""


class ConflictRow(NamedTuple):
    """A link that was refused, because the person would have got two ids of one channel."""

    user_id: int
    position: int
    kind: Conflict
    value: str
    """The normalised contact, or the id of the profile that should have been linked."""
    given: str
    channel_id: int
    taken_by: int
    """The profile that has the other id."""
    at: int


def define(metadata: MetaData, name: Names) -> Iterable[Table]:
    links = name("links")
    yield Table(
        links,
        metadata,
        number("user_id", key=True),
        text("kind", key=True),
        text("value", key=True),
        text("given"),
        number("at"),
        number("position"),
        Index(f"{links}_contact", "kind", "value", "user_id"),
        sqlite_with_rowid=False,
    )
    for kind in SEARCHED:
        yield searchable(name(f"{kind}_search"), metadata)
    yield Table(
        name("user_links"),
        metadata,
        number("user_id", key=True),
        number("other_id", key=True),
        sqlite_with_rowid=False,
    )
    yield Table(
        name("conflicts"),
        metadata,
        number("user_id", key=True),
        number("position", key=True),
        text("kind"),
        text("value"),
        text("given"),
        number("channel_id"),
        number("taken_by"),
        number("at"),
        sqlite_with_rowid=False,
    )


def fold(changes: Changes, tables: Tables, recorded: Recorded) -> None:
    event, at = recorded.event, recorded.envelope.at
    match event:
        case UserLinked():
            link = {
                "user_id": event.user_id,
                "kind": event.kind,
                "value": event.value,
                "given": event.given,
                "at": at,
                "position": recorded.position,
            }
            changes.insert(tables["links"], link)
            key = search_key(event.user_id, event.value)
            contact = {"rowid": key, "content": event.value}
            changes.insert(tables[f"{event.kind}_search"], contact)
        case UserUnlinked():
            changes.delete(tables["links"], (event.user_id, event.kind, event.value))
            key = search_key(event.user_id, event.value)
            changes.delete(tables[f"{event.kind}_search"], (key,))
        case UserLinkedToUser():
            pair = {"user_id": event.user_id, "other_id": event.other_id}
            changes.insert(tables["user_links"], pair)
        case UserUnlinkedFromUser():
            changes.delete(tables["user_links"], (event.user_id, event.other_id))
        case UserLinkRefused():
            _refused(changes, tables, recorded, event.kind, event.value, event.given)
        case UserLinkToUserRefused():
            _refused(changes, tables, recorded, "user", str(event.other_id), "")


def _refused(
    changes: Changes, tables: Tables, recorded: Recorded, kind: Conflict, value: str, given: str
) -> None:
    event: Any = recorded.event
    conflict = {
        "user_id": event.user_id,
        "position": recorded.position,
        "kind": kind,
        "value": value,
        "given": given,
        "channel_id": event.channel_id,
        "taken_by": event.taken_by,
        "at": recorded.envelope.at,
    }
    changes.insert(tables["conflicts"], conflict)


PROJECTION = ReadModel(
    name="links",
    version=3,
    handles=dict.fromkeys(
        (
            UserLinked,
            UserUnlinked,
            UserLinkedToUser,
            UserUnlinkedFromUser,
            UserLinkRefused,
            UserLinkToUserRefused,
        ),
        fold,
    ),
    define=define,
)


def linked_users(
    connection: Connection, views: Views, user_ids: Iterable[int]
) -> dict[int, list[int]]:
    """For each of these users all profiles of the person, the user included; [] for one who is alone.

    Walks from users to their contacts and to other profiles, and on to whoever else has the contacts, each once for all
    who are asked for: a few queries a round, and as many rounds as the longest chain has links.
    """
    asked = list(dict.fromkeys(user_ids))
    links, pairs = views.links["links"], views.links["user_links"]
    holders: dict[Contact, list[int]] = {}
    contacts: dict[int, list[Contact]] = {}
    others: dict[int, list[int]] = {}
    unseen = set(asked)
    while unseen:
        mine = select(links.c.user_id, links.c.kind, links.c.value).where(
            links.c.user_id.in_(unseen)
        )
        new: set[Contact] = set()
        for user_id in unseen:
            contacts[user_id], others[user_id] = [], []
        for user_id, kind, value in connection.execute(mine):
            contacts[user_id].append((kind, value))
            new.add((kind, value))
        for user_id, other_id in connection.execute(
            select(pairs.c.user_id, pairs.c.other_id).where(pairs.c.user_id.in_(unseen))
        ):
            others[user_id].append(other_id)
        new -= holders.keys()
        holders.update((contact, []) for contact in new)
        for kind in {kind for kind, _ in new}:
            values = [value for of, value in new if of == kind]
            theirs = select(links.c.value, links.c.user_id).where(
                links.c.kind == kind, links.c.value.in_(values)
            )
            for value, user_id in connection.execute(theirs):
                holders[kind, value].append(user_id)
        reached = {user_id for contact in new for user_id in holders[contact]}
        reached.update(*(others[user_id] for user_id in unseen))
        unseen = reached - contacts.keys()
    persons: dict[int, list[int]] = {}
    for user_id in asked:
        if user_id not in persons:
            person = _reached(user_id, contacts, holders, others)
            persons.update(dict.fromkeys(person, person if len(person) > 1 else []))
    return {user_id: persons[user_id] for user_id in asked}


def _reached(
    user_id: int,
    contacts: dict[int, list[Contact]],
    holders: dict[Contact, list[int]],
    others: dict[int, list[int]],
) -> list[int]:
    found, seen, waiting = {user_id}, set[Contact](), [user_id]
    while waiting:
        one = waiting.pop()
        new = set(others[one])
        for contact in contacts[one]:
            if contact not in seen:
                seen.add(contact)
                new.update(holders[contact])
        new -= found
        found |= new
        waiting.extend(new)
    return sorted(found)


def contacts_of(
    connection: Connection, views: Views, user_ids: Sequence[int]
) -> dict[int, dict[ContactKind, str]]:
    """The contact of each kind that was linked last, as it was given."""
    links = views.links["links"]
    query = (
        select(links.c.user_id, links.c.kind, links.c.given)
        .where(links.c.user_id.in_(user_ids))
        .order_by(links.c.position)
    )
    found: dict[int, dict[ContactKind, str]] = {user_id: {} for user_id in user_ids}
    for user_id, kind, given in connection.execute(query):
        found[user_id][kind] = given.strip()
    return found


def conflicts_of(connection: Connection, views: Views, user_id: int, at: int) -> list[ConflictRow]:
    """Links that were refused to this user by the command of that time."""
    conflicts = views.links["conflicts"]
    query = columns_of(conflicts, ConflictRow).where(
        conflicts.c.user_id == user_id, conflicts.c.at == at
    )
    rows = connection.execute(query.order_by(conflicts.c.position))
    return [ConflictRow._make(row) for row in rows]


def search_key(user_id: int, value: str) -> int:
    """The row of a contact in the table that is searched: the user's id above a checksum of the contact.

    Two e-mails of one user would have to share a checksum of 32 bits to be in each other's way.
    """
    return user_id << CHECKSUM_BITS | crc32(value.encode())


class Having(NamedTuple):
    """The users with a contact that is looked for."""

    ids: Select[Any] | CompoundSelect[Any]
    common: bool
    """Very many."""
    links: Table
    kind: ContactKind
    wanted: Sequence[str]

    def met(self, user_id: ColumnElement[int]) -> ColumnElement[bool]:
        """Whether this one is among them: for rows that are looked at anyway."""
        links = self.links.c
        any_of_them = or_(*[having(links.value, one) for one in self.wanted])
        return exists().where(links.user_id == user_id, links.kind == self.kind, any_of_them)


def having_contact(
    connection: Connection, views: Views, kind: ContactKind, wanted: Sequence[str]
) -> Having:
    """With a contact that is found by any of these texts (search marks: search.py).

    Compared with the normalised contact: no regard to case in an e-mail, to punctuation in a phone.
    """
    contacts = views.links[f"{kind}_search"]
    clean = [
        PHONE_PUNCTUATION.sub("", one) if kind == "phone" else normalize("NFC", one).strip().lower()
        for one in wanted
    ]
    bits: ColumnElement[int] = literal_column(str(CHECKSUM_BITS))
    texts = [containing(connection, contacts, one) for one in clean]
    selects = [select(one.rowid.op(">>")(bits)).where(one.found) for one in texts]
    ids = union_all(*selects) if len(selects) > 1 else selects[0]
    return Having(ids, any(one.common for one in texts), views.links["links"], kind, clean)
