"""Links between profiles and contacts, and the links that were refused. A person is computed from them, never stored."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from unicodedata import normalize

from sqlalchemy import Connection, Index, MetaData, Select, Table, and_, select

from kanal.domain.stream import Recorded
from kanal.domain.users import ContactKind, UserLinked, UserLinkRefused
from kanal.eventlog.projection import Changes, Tables
from kanal.projections.read_model import Names, ReadModel, Views, columns_of, number, text
from kanal.projections.search import searched

PHONE_PUNCTUATION = re.compile(r"[\s().-]")
"""What people write in a phone and E.164 leaves out."""


class LinkRow(NamedTuple):
    user_id: int
    kind: ContactKind
    value: str
    """Normalised."""
    given: str
    at: int
    position: int


class ConflictRow(NamedTuple):
    """A link that was refused, because the person would have got two ids of one channel."""

    user_id: int
    position: int
    kind: ContactKind
    value: str
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
        case UserLinkRefused():
            conflict = {
                "user_id": event.user_id,
                "position": recorded.position,
                "kind": event.kind,
                "value": event.value,
                "given": event.given,
                "channel_id": event.channel_id,
                "taken_by": event.taken_by,
                "at": at,
            }
            changes.insert(tables["conflicts"], conflict)


PROJECTION = ReadModel(
    name="links",
    version=1,
    handles=dict.fromkeys((UserLinked, UserLinkRefused), fold),
    define=define,
)


def linked_users(
    connection: Connection, views: Views, user_ids: Iterable[int]
) -> dict[int, list[int]]:
    """For each of these users all profiles of the person, the user included; [] for one who is alone.

    A person has at most one id of each channel, so walking all of a person's edges stays cheap.
    """
    linked: dict[int, list[int]] = {user_id: [] for user_id in user_ids}
    if not linked:
        return linked
    links = views.links["links"]
    mine, theirs = links.alias("mine"), links.alias("theirs")
    start = select(links.c.user_id.label("asked"), links.c.user_id).where(
        links.c.user_id.in_(list(linked))
    )
    person = start.cte("person", recursive=True)
    step = select(person.c.asked, theirs.c.user_id).select_from(
        person.join(mine, mine.c.user_id == person.c.user_id).join(
            theirs, and_(theirs.c.kind == mine.c.kind, theirs.c.value == mine.c.value)
        )
    )
    person = person.union(step)
    for asked, user_id in connection.execute(
        select(person.c.asked, person.c.user_id).order_by(person.c.asked, person.c.user_id)
    ):
        linked[asked].append(user_id)
    return {asked: person if len(person) > 1 else [] for asked, person in linked.items()}


def links_of(connection: Connection, views: Views, user_id: int) -> list[LinkRow]:
    """The oldest first."""
    links = views.links["links"]
    query = columns_of(links, LinkRow).where(links.c.user_id == user_id)
    return [LinkRow._make(row) for row in connection.execute(query.order_by(links.c.position))]


def conflicts_of(
    connection: Connection, views: Views, user_ids: Sequence[int]
) -> list[ConflictRow]:
    """Links that were refused to these users, the oldest first."""
    conflicts = views.links["conflicts"]
    query = columns_of(conflicts, ConflictRow).where(conflicts.c.user_id.in_(user_ids))
    rows = connection.execute(query.order_by(conflicts.c.position))
    return [ConflictRow._make(row) for row in rows]


def having_contact(views: Views, kind: ContactKind, wanted: Sequence[str]) -> Select[Any]:
    """Ids of the users with a contact that is found by any of these texts (search marks: search.py).

    Compared with the normalised contact: no regard to case in an e-mail, to punctuation in a phone.
    """
    links = views.links["links"]
    clean = [
        PHONE_PUNCTUATION.sub("", one) if kind == "phone" else normalize("NFC", one).strip().lower()
        for one in wanted
    ]
    first, *others = [searched(links.c.value, one) for one in clean]
    found_by = first
    for other in others:
        found_by |= other
    return select(links.c.user_id).where(links.c.kind == kind, found_by)
