"""Messages and notes of the cases, in the log's order."""

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, Index, MetaData, Table

from kanal.domain.case_events import MessageAdded, MessageKind
from kanal.domain.stream import Recorded
from kanal.eventlog.projection import Changes, Tables
from kanal.projections.read_model import (
    Found,
    Names,
    Page,
    ReadModel,
    Views,
    columns_of,
    found,
    number,
    text,
)

Order = Literal["asc", "desc"]

LAST = 100
"""Omnidesk's page without `page` and `limit`: the last 100 messages."""


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
    created_at: int
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
        number("position"),
        Index(f"{messages}_case", "case_id", "message_id"),
    )


def values(event: MessageAdded, recorded: Recorded) -> dict[str, Any]:
    return {
        "message_id": event.message_id,
        "case_id": event.case_id,
        "kind": event.kind,
        "user_id": event.user_id,
        "staff_id": event.staff_id,
        "rule_id": event.rule_id,
        "content": event.content,
        "content_html": event.content_html,
        "created_at": recorded.envelope.at,
        "position": recorded.position,
    }


def fold(changes: Changes, tables: Tables, recorded: Recorded) -> None:
    event = recorded.event
    match event:
        case MessageAdded():
            changes.insert(tables["messages"], values(event, recorded))


PROJECTION = ReadModel(name="messages", version=1, handles={MessageAdded: fold}, define=define)


def row_of(event: MessageAdded, recorded: Recorded) -> MessageRow:
    """What the read model would answer: for who has just recorded the message and need not read it."""
    return MessageRow(**values(event, recorded))


def find(connection: Connection, views: Views, case_id: int, message_id: int) -> MessageRow | None:
    messages = views.messages["messages"]
    query = columns_of(messages, MessageRow).where(
        messages.c.message_id == message_id, messages.c.case_id == case_id
    )
    row = connection.execute(query).first()
    return MessageRow._make(row) if row else None


def of_case(
    connection: Connection,
    views: Views,
    case_id: int,
    page: Page | None = None,
    order: Order = "asc",
) -> Found[MessageRow]:
    """A page of the conversation, or without one its last 100 messages, in either case in that order.

    Rows of a case that was deleted for good are still here: ask `cases.find` first.
    """
    messages = views.messages["messages"]
    query = columns_of(messages, MessageRow).where(messages.c.case_id == case_id)
    oldest_first = query.order_by(messages.c.message_id)
    newest_first = query.order_by(messages.c.message_id.desc())
    if page is None and order == "asc":
        last = found(connection, newest_first, Page(limit=LAST), MessageRow._make)
        return last._replace(rows=last.rows[::-1])
    ordered = oldest_first if order == "asc" else newest_first
    return found(connection, ordered, page or Page(limit=LAST), MessageRow._make)
