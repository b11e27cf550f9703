"""/api/cases/.../messages and .../note: what users and staff write in a case.

Creating a message is the busiest call: its answer is made of the events just recorded, without reading the database.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType
from sqlalchemy import Connection

from kanal.domain.case_events import MessageAdded, MessageKind
from kanal.domain.conversation import AddedMessage, add_note, add_staff_reply, add_user_message
from kanal.domain.errors import CaseNotFound, UserNotFound
from kanal.domain.message_events import MessageScheduled
from kanal.http.answers import Date, answer, listing
from kanal.http.as_of import AsOf, read_case
from kanal.http.attachments import (
    FileAnswer,
    MissedFileAnswer,
    WithFiles,
    brought,
    shown_files,
    submit_with_files,
)
from kanal.http.body import Body
from kanal.http.context import Call, Context
from kanal.http.contract import Listed, One, Takes, contract
from kanal.http.errors import ApiError
from kanal.http.fields import Content, Id, Paging
from kanal.http.ids import case_id_in
from kanal.http.paging import page_of
from kanal.projections import cases, files, messages
from kanal.projections.files import Attached
from kanal.projections.messages import MessageRow, Order
from kanal.projections.read_model import Found, Page, Views

MessageType = Literal["reply_user", "reply_staff", "note", "reply_rule"]
MESSAGE_TYPES: dict[MessageKind, MessageType] = {
    "user_message": "reply_user",
    "staff_reply": "reply_staff",
    "note": "note",
    "rule_message": "reply_rule",
}
"""The first two are what readers of Omnidesk's answers look for; its documentation has no `message_type`."""


class Texts(WithFiles):
    content: Content = ""
    content_html: Content = ""


class NewMessage(Texts):
    user_id: Id = 0
    staff_id: Id = 0
    send_at: Any = None


class NewNote(Texts):
    staff_id: Id = 0


class MessagesQuery(Paging, AsOf):
    order: Order = "asc"


class MessageAnswer(msgspec.Struct):
    message_id: int
    user_id: int
    """The author of a user's message, else 0."""
    staff_id: int
    """The author of a reply or note, else 0."""
    content: str
    content_html: str
    attachments: list[FileAnswer]
    note: bool
    sent_via_rule: bool
    message_type: MessageType
    created_at: Date
    sent_at: Date
    awaited_attachments: list[str] | UnsetType = UNSET
    """Addresses whose files are still being fetched; there only while there are some."""
    missed_attachments: list[MissedFileAnswer] | UnsetType = UNSET
    """Addresses whose files could not be fetched; there only if there are some."""


@contract(
    "Write as the user or as staff",
    One("message", MessageAnswer, 201),
    body=Takes("message", NewMessage, files=True),
)
async def create(call: Call) -> web.Response:
    case_id = case_id_in(call.path("case"))
    given = await call.given(NewMessage)
    refuse_delay(given)
    require_content(await call.body(), given)
    if given.user_id and given.staff_id:
        raise ApiError(
            400,
            "ambiguous_author",
            "Give user_id for the user's message or staff_id for a staff member's reply, not both.",
        )
    if "user_id" in given.given() and not given.user_id and not given.staff_id:
        # A client that lost the id must not make the user's words the company's.
        raise UserNotFound(0)
    command = (
        partial(add_user_message, user_id=given.user_id)
        if given.user_id
        else partial(add_staff_reply, staff_id=given.staff_id or call.caller.staff_id)
    )
    return await _add(call, command, case_id, given)


@contract(
    "Write a note among staff",
    One("message", MessageAnswer, 201),
    body=Takes("note", NewNote, others=("message",), files=True),
)
async def create_note(call: Call) -> web.Response:
    case_id = case_id_in(call.path("case"))
    given = await call.given(NewNote)
    require_content(await call.body(), given)
    command = partial(add_note, staff_id=given.staff_id or call.caller.staff_id)
    return await _add(call, command, case_id, given)


@contract("List the messages of a case", Listed("message", MessageAnswer), query=MessagesQuery)
async def list_messages(call: Call) -> web.Response:
    case_id = case_id_in(call.path("case"))
    asked = call.asked(MessagesQuery)
    # Naming neither page nor limit asks for the last messages, not for the first page.
    page = page_of(asked) if asked.given().keys() & {"page", "limit"} else None
    query = partial(_conversation, case_id, page, asked.order)
    found = await read_case(call, case_id, asked, query)
    rows = [shown(*each, call.context) for each in found.rows]
    return answer(listing("message", rows, found.total))


def shown(row: MessageRow, attached: Attached, context: Context) -> MessageAnswer:
    dates = context.dates
    return MessageAnswer(
        message_id=row.message_id,
        user_id=row.user_id,
        staff_id=row.staff_id,
        content=row.content,
        content_html=row.content_html,
        attachments=shown_files(attached.files, context.links),
        note=row.kind == "note",
        sent_via_rule=row.kind == "rule_message",
        message_type=MESSAGE_TYPES[row.kind],
        created_at=dates.render(row.created_at),
        sent_at=dates.render(row.sent_at),
        awaited_attachments=attached.awaited or UNSET,
        missed_attachments=[
            MissedFileAnswer(missed.url, missed.reason) for missed in attached.missed
        ]
        or UNSET,
    )


def require_content(body: Body, given: Texts) -> None:
    """A text or a file; blanks and `0` are texts. Raises ApiError."""
    if not (given.content or given.content_html or body.files or given.attachment_urls):
        raise ApiError(
            400,
            "content_required",
            "Give a text as content or content_html, or a file.",
            fields={"content": "is required"},
        )


def refuse_delay(given: NewMessage) -> None:
    """Sending now what was meant for later cannot be taken back. Raises ApiError."""
    if given.send_at:
        raise ApiError(
            400,
            "send_at_not_supported",
            "Delayed sending comes with a later version of Kanal: send the message when it is due.",
            fields={"send_at": "is not supported"},
        )


async def _add(
    call: Call, command: Callable[..., AddedMessage], case_id: int, given: Texts
) -> web.Response:
    command = partial(
        command, case_id=case_id, content=given.content, content_html=given.content_html
    )
    done = await submit_with_files(call, given, command)
    if done.repeated:
        row, attached = await _earlier(call, msgspec.convert(done.result, AddedMessage))
    else:
        attached = brought(done.events)
        row = next(
            messages.row_of(recorded.event, recorded)
            for recorded in done.events
            if isinstance(recorded.event, MessageAdded | MessageScheduled)
        )
    return answer({"message": shown(row, attached, call.context)}, 201)


async def _earlier(call: Call, added: AddedMessage) -> tuple[MessageRow, Attached]:
    """What a repeated request made the first time."""

    def query(connection: Connection, views: Views) -> tuple[MessageRow, Attached]:
        row = messages.find(connection, views, added.case_id, added.message_id)
        if row is None or cases.find(connection, views, added.case_id) is None:
            raise CaseNotFound(added.case_id)
        return row, files.of_messages(connection, views, [row.message_id])[row.message_id]

    return await call.read(query)


def _conversation(
    case_id: int, page: Page | None, order: Order, connection: Connection, views: Views
) -> Found[tuple[MessageRow, Attached]]:
    if cases.find(connection, views, case_id) is None:
        raise CaseNotFound(case_id)
    found = messages.of_case(connection, views, case_id, page, order)
    attached = files.of_messages(connection, views, [row.message_id for row in found.rows])
    return Found([(row, attached[row.message_id]) for row in found.rows], found.total)
