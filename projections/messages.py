"""Messages and notes of the cases, in the log's order."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, Index, MetaData, Table, func, select

from kanal.domain.case_events import CaseDeleted, MessageAdded, MessageKind, Rating
from kanal.domain.message_events import (
    MessageDeleted,
    MessageDiscarded,
    MessageEdited,
    MessageFilesAwaited,
    MessageRated,
    MessageScheduled,
)
from kanal.domain.plain_text import plain_text
from kanal.domain.stream import Recorded
from kanal.eventlog.projection import Changes, Tables
from kanal.projections.clean_html import clean_html
from kanal.projections.read_model import (
    Found,
    Names,
    Page,
    ReadModel,
    Views,
    columns_of,
    flag,
    found,
    number,
    one,
    text,
)

Order = Literal["asc", "desc"]

LAST = 100
"""Omnidesk's page without `page` and `limit`: the last 100 messages."""


EXCERPT = 400
"""Characters of a message that a list reads; it shows a line."""


class Excerpt(NamedTuple):
    """The beginning of a case's last message."""

    case_id: int
    kind: MessageKind
    staff_id: int
    content: str
    content_html: str
    """Cleaned, and cut wherever its end is."""


class MessageRow(NamedTuple):
    message_id: int
    case_id: int
    kind: MessageKind
    user_id: int
    """Author of a user's message, else 0."""
    staff_id: int
    """Author of a reply or note, else 0."""
    rule_id: int
    content: str
    content_html: str
    """Cleaned."""
    created_at: int
    sent_at: int
    """Of a message that waits: when it is to be sent."""
    staff_only: bool
    """A note, or what is not sent yet: not for the user's eyes."""
    pending: bool
    """Waits for its time."""
    deleted: bool
    """No answer shows it; its texts are gone from here."""
    revised: bool
    """Has a stream of its own (domain/messages.py), beside what the case's stream says of it."""
    rating: Rating | Literal[""]
    rating_comment: str
    rated_staff_id: int
    position: int


def define(metadata: MetaData, name: Names) -> Iterable[Table]:
    messages = name("messages")
    yield Table(
        messages,
        metadata,
        number("message_id", key=True),
        number("case_id"),
        text("kind"),
        number("user_id"),
        number("staff_id"),
        number("rule_id"),
        text("content"),
        text("content_html"),
        number("created_at"),
        number("sent_at"),
        flag("staff_only"),
        flag("pending"),
        flag("deleted"),
        flag("revised"),
        text("rating"),
        text("rating_comment"),
        number("rated_staff_id"),
        number("position"),
        # The flags at the end: a case's messages are counted without a look at the rows.
        Index(f"{messages}_case", "case_id", "message_id", "deleted", "staff_only", "revised"),
    )


NEW: dict[str, Any] = {
    "user_id": 0,
    "staff_only": False,
    "pending": False,
    "deleted": False,
    "revised": False,
    "rating": "",
    "rating_comment": "",
    "rated_staff_id": 0,
}
ALIKE = ("message_id", "case_id", "staff_id", "rule_id", "content")


def values(event: MessageAdded | MessageScheduled, recorded: Recorded) -> dict[str, Any]:
    """The row of a new message."""
    row = NEW | {name: getattr(event, name) for name in ALIKE}
    row["content_html"] = clean_html(event.content_html)
    row["created_at"] = event.created_at or recorded.envelope.at
    row["position"] = recorded.position
    row["kind"] = event.kind
    if isinstance(event, MessageScheduled):
        row["sent_at"] = event.send_at or row["created_at"]
        return row | dict.fromkeys(("staff_only", "pending", "revised"), True)
    row["user_id"] = event.user_id
    row["sent_at"] = event.sent_at or row["created_at"]
    row["staff_only"] = event.kind == "note"
    return row


def fold(changes: Changes, tables: Tables, recorded: Recorded) -> None:
    messages = tables["messages"]
    event = recorded.event
    match event:
        case MessageAdded(sent_at=0) | MessageScheduled():
            changes.insert(messages, values(event, recorded))
        case MessageAdded():
            # It waited, so its row is there, and has the texts; the case may have been merged meanwhile.
            sent = {"case_id": event.case_id, "sent_at": event.sent_at}
            flags = {"staff_only": event.kind == "note", "pending": False}
            changes.update(messages, (event.message_id,), sent | flags)
        case MessageFilesAwaited():
            changes.update(messages, (event.message_id,), {"revised": True})
        case MessageEdited():
            texts = {"content": event.content, "content_html": clean_html(event.content_html)}
            changes.update(messages, (event.message_id,), texts | {"revised": True})
        case MessageRated():
            rating = {
                "rating": event.rating,
                "rating_comment": event.comment,
                "rated_staff_id": event.staff_id,
                "revised": True,
            }
            changes.update(messages, (event.message_id,), rating)
        case MessageDeleted() | MessageDiscarded():
            gone = {"content": "", "content_html": "", "rating_comment": ""}
            flags = {"deleted": True, "revised": True, "pending": False}
            changes.update(messages, (event.message_id,), gone | flags)
        case CaseDeleted():
            changes.clear(messages, messages.c.case_id == event.case_id)


PROJECTION = ReadModel(
    name="messages",
    version=5,
    handles=dict.fromkeys(
        (
            MessageAdded,
            MessageScheduled,
            MessageFilesAwaited,
            MessageEdited,
            MessageRated,
            MessageDeleted,
            MessageDiscarded,
            CaseDeleted,
        ),
        fold,
    ),
    define=define,
)


def row_of(event: MessageAdded | MessageScheduled, recorded: Recorded) -> MessageRow:
    """What the read model would answer: for who has just recorded the message and need not read it."""
    return MessageRow(**values(event, recorded))


def find(connection: Connection, views: Views, case_id: int, message_id: int) -> MessageRow | None:
    """None for one that was deleted."""
    messages = views.messages["messages"]
    query = columns_of(messages, MessageRow).where(
        messages.c.message_id == message_id,
        messages.c.case_id == case_id,
        messages.c.deleted.is_(False),
    )
    return one(connection, query, MessageRow._make)


def of_case(
    connection: Connection,
    views: Views,
    case_id: int,
    page: Page | None = None,
    order: Order = "asc",
    *,
    staff_only: bool = True,
) -> Found[MessageRow]:
    """A page of the conversation, or without one its last 100 messages, in either case in that order.

    `staff_only`: with notes and what is not sent yet.
    """
    messages = views.messages["messages"]
    query = columns_of(messages, MessageRow).where(
        messages.c.case_id == case_id, messages.c.deleted.is_(False)
    )
    if not staff_only:
        query = query.where(messages.c.staff_only.is_(False))
    oldest_first = query.order_by(messages.c.message_id)
    newest_first = query.order_by(messages.c.message_id.desc())
    if page is None and order == "asc":
        last = found(connection, newest_first, Page(limit=LAST), MessageRow._make)
        return last._replace(rows=last.rows[::-1])
    ordered = oldest_first if order == "asc" else newest_first
    return found(connection, ordered, page or Page(limit=LAST), MessageRow._make)


def last(
    connection: Connection, views: Views, case_id: int, kind: MessageKind
) -> MessageRow | None:
    """The last one of that kind, without those that were deleted or are not sent yet."""
    messages = views.messages["messages"]
    query = columns_of(messages, MessageRow).where(
        messages.c.case_id == case_id,
        messages.c.deleted.is_(False),
        messages.c.pending.is_(False),
        messages.c.kind == kind,
    )
    return one(connection, query.order_by(messages.c.message_id.desc()).limit(1), MessageRow._make)


def replies_behind(
    connection: Connection, views: Views, case_ids: Sequence[int], position: int, staff_id: int
) -> list[MessageRow]:
    """What other staff have answered in these cases behind that position of the log, what waits for its time among it."""
    messages = views.messages["messages"]
    query = columns_of(messages, MessageRow).where(
        messages.c.case_id.in_(case_ids),
        messages.c.position > position,
        messages.c.kind == "staff_reply",
        messages.c.staff_id != staff_id,
        messages.c.deleted.is_(False),
    )
    rows = connection.execute(query.order_by(messages.c.message_id))
    return [MessageRow._make(row) for row in rows]


def excerpts(connection: Connection, views: Views, case_ids: Sequence[int]) -> dict[int, Excerpt]:
    """Of the last messages of these cases, notes among them; each is found along the index, however long its case is."""
    if not case_ids:
        return {}
    messages, cases = views.messages["messages"], views.cases["cases"]
    newest = (
        select(messages.c.message_id)
        .where(messages.c.case_id == cases.c.case_id, messages.c.deleted.is_(False))
        .order_by(messages.c.message_id.desc())
        .limit(1)
        .correlate(cases)
        .scalar_subquery()
    )
    ids = select(newest.label("message_id")).where(cases.c.case_id.in_(case_ids)).subquery()
    query = select(
        messages.c.case_id,
        messages.c.kind,
        messages.c.staff_id,
        func.substr(messages.c.content, 1, EXCERPT),
        func.substr(messages.c.content_html, 1, EXCERPT * 4),
    ).join_from(ids, messages, messages.c.message_id == ids.c.message_id)
    return {row[0]: Excerpt._make(row) for row in connection.execute(query)}


def texts(connection: Connection, views: Views, message_ids: Iterable[int]) -> dict[int, str]:
    """Plain, without those of messages that were deleted."""
    messages = views.messages["messages"].c
    query = select(messages.message_id, messages.content, messages.content_html).where(
        messages.message_id.in_(list(message_ids)), messages.deleted.is_(False)
    )
    rows = connection.execute(query)
    return {message_id: content or plain_text(html) for message_id, content, html in rows}


def revised(connection: Connection, views: Views, case_id: int) -> list[int]:
    """Those of its messages that have a stream of their own, also the deleted ones."""
    messages = views.messages["messages"]
    query = select(messages.c.message_id).where(
        messages.c.case_id == case_id, messages.c.revised.is_(True)
    )
    return list(connection.scalars(query))
