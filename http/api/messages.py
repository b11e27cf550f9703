"""/api/cases/.../messages and .../note: what users and staff write in a case.

Creating a message is the busiest call: its answer is made of the events just recorded, without reading the database.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar, Literal

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType
from msgspec.structs import replace
from sqlalchemy import Connection

from kanal.domain.case_events import MessageAdded, MessageKind, Rating
from kanal.domain.conversation import (
    AddedMessage,
    Said,
    add_note,
    add_staff_reply,
    add_user_message,
)
from kanal.domain.errors import CaseNotFound, MessageNotFound, UserNotFound
from kanal.domain.message_events import MessageScheduled
from kanal.domain.message_events import Texts as OriginalTexts
from kanal.domain.messages import (
    Original,
    delete_message,
    edit_message,
    rate_message,
    schedule_staff_reply,
)
from kanal.domain.plain_text import plain_text
from kanal.http.answers import Date, answer, empty, listing
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
from kanal.http.contract import Empty, Listed, One, Takes, contract
from kanal.http.errors import ApiError
from kanal.http.fields import Comment, Content, Fields, Flag, Id, Moment, Paging, one_author
from kanal.http.ids import case_id_in, id_in
from kanal.http.paging import page_of
from kanal.projections import cases, files, messages
from kanal.projections.clean_html import clean_html
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


RATINGS: dict[str, Rating] = {
    "low": "low",
    "middle": "middle",
    "high": "high",
    "negative": "low",
    "positive": "high",
}
"""The last two stand in a client's documentation."""


class Texts(WithFiles):
    content: Content = ""
    content_html: Content = ""
    created_at: Moment | None = None


class NewMessage(Texts):
    user_id: Id = 0
    staff_id: Id = 0
    send_at: Moment | None = None
    do_not_send_email: Flag = False


class NewNote(Texts):
    staff_id: Id = 0
    note_staff_id: Id = 0
    """Another name of staff_id that a client uses."""


class NewTexts(Fields):
    content: Content = ""
    content_html: Content = ""


class MessageRating(Fields):
    CODES: ClassVar[Mapping[str, str]] = {"rating": "incorrect_rating"}
    rating: Literal["low", "middle", "high", "negative", "positive"]
    rating_comment: Comment = ""


class MessagesQuery(Paging, AsOf):
    order: Order = "asc"
    notes: Flag = True


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
    """Later than created_at if it waited; still to come while it waits."""
    rating: Rating | UnsetType = UNSET
    """Absent while the message is not rated, as the next two."""
    rating_comment: str | UnsetType = UNSET
    rated_staff_id: int | UnsetType = UNSET
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
    require_content(await call.body(), given)
    one_author(given.user_id, given.staff_id)
    if "user_id" in given.given() and not given.user_id and not given.staff_id:
        # A client that lost the id must not make the user's words the company's.
        raise UserNotFound(0)
    if given.user_id and given.send_at:
        raise ApiError(
            400,
            "send_at_not_allowed",
            "Only replies of staff can be sent later: leave send_at out of a user's message.",
            fields={"send_at": "is for replies of staff"},
        )
    staff_id = given.staff_id or call.caller.staff_id
    if given.user_id:
        command: Callable[..., AddedMessage] = partial(add_user_message, user_id=given.user_id)
    elif given.send_at:
        command = partial(schedule_staff_reply, staff_id=staff_id, send_at=given.send_at)
    else:
        command = partial(add_staff_reply, staff_id=staff_id)
    command = partial(command, do_not_send_email=given.do_not_send_email)
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
    staff_id = given.staff_id or given.note_staff_id or call.caller.staff_id
    command = partial(add_note, staff_id=staff_id)
    return await _add(call, command, case_id, given)


@contract("List the messages of a case", Listed("message", MessageAnswer), query=MessagesQuery)
async def list_messages(call: Call) -> web.Response:
    case_id = case_id_in(call.path("case"))
    asked = call.asked(MessagesQuery)
    # Naming neither page nor limit asks for the last messages, not for the first page.
    page = page_of(asked) if asked.given().keys() & {"page", "limit"} else None
    query = partial(_conversation, case_id, page, asked)
    found = await read_case(call, case_id, asked, query)
    rows = [shown(*each, call.context) for each in found.rows]
    return answer(listing("message", rows, found.total))


@contract(
    "Edit a message",
    One("message", MessageAnswer),
    body=Takes("message", NewTexts, bare=True),
)
async def edit(call: Call) -> web.Response:
    return await _edit(call, notes=False)


@contract(
    "Edit a note",
    One("message", MessageAnswer),
    body=Takes("note", NewTexts, others=("message",), bare=True),
)
async def edit_note(call: Call) -> web.Response:
    return await _edit(call, notes=True)


@contract("Delete a message, or a reply before it is sent", Empty())
async def delete(call: Call) -> web.Response:
    return await _delete(call, notes=False)


@contract("Delete a note", Empty())
async def delete_note(call: Call) -> web.Response:
    return await _delete(call, notes=True)


@contract(
    "Rate a reply of staff",
    One("message", MessageAnswer),
    body=Takes("rate", MessageRating, bare=True),
)
async def rate(call: Call) -> web.Response:
    given = await call.given(MessageRating)
    row, _ = await _find(call, notes=False)
    original = original_of(row)
    rating = RATINGS[given.rating]
    await call.submit(
        partial(rate_message, original=original, rating=rating, comment=given.rating_comment)
    )
    return await _answer(call, notes=False)


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
        sent_via_rule=bool(row.rule_id),
        message_type=MESSAGE_TYPES[row.kind],
        created_at=dates.render(row.created_at),
        sent_at=dates.render(row.sent_at),
        rating=row.rating or UNSET,
        rating_comment=row.rating_comment if row.rating else UNSET,
        rated_staff_id=row.rated_staff_id if row.rating else UNSET,
        awaited_attachments=attached.awaited or UNSET,
        missed_attachments=[
            MissedFileAnswer(missed.url, missed.reason) for missed in attached.missed
        ]
        or UNSET,
    )


def original_of(row: MessageRow) -> Original:
    texts = OriginalTexts(row.content, row.content_html)
    return Original(row.message_id, row.case_id, row.kind, row.staff_id, texts)


async def said(given: Texts) -> Said:
    """What the commands take. The HTML is cleaned and read here once, so that the writer's thread finds it done."""
    if given.content_html:
        await asyncio.to_thread(clean_html, given.content_html)
        if not given.content:
            await asyncio.to_thread(plain_text, given.content_html)
    return {
        "content": given.content,
        "content_html": given.content_html,
        "created_at": given.created_at or 0,
    }


def require_content(body: Body, given: Texts) -> None:
    """A text or a file; blanks and `0` are texts. Raises ApiError."""
    if not (given.content or given.content_html or body.files or given.attachment_urls):
        raise ApiError(
            400,
            "content_required",
            "Give a text as content or content_html, or a file.",
            fields={"content": "is required"},
        )


async def _add(
    call: Call, command: Callable[..., AddedMessage], case_id: int, given: Texts
) -> web.Response:
    command = partial(command, case_id=case_id, **await said(given))
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
        return _with_files(connection, views, row)

    return await call.read(query)


def _conversation(
    case_id: int, page: Page | None, asked: MessagesQuery, connection: Connection, views: Views
) -> Found[tuple[MessageRow, Attached]]:
    if cases.find(connection, views, case_id) is None:
        raise CaseNotFound(case_id)
    found = messages.of_case(connection, views, case_id, page, asked.order, staff_only=asked.notes)
    attached = files.of_messages(connection, views, [row.message_id for row in found.rows])
    return Found([(row, attached[row.message_id]) for row in found.rows], found.total)


def _with_files(
    connection: Connection, views: Views, row: MessageRow
) -> tuple[MessageRow, Attached]:
    return row, files.of_messages(connection, views, [row.message_id])[row.message_id]


async def _edit(call: Call, *, notes: bool) -> web.Response:
    given = await call.given(NewTexts)
    if not (given.content or given.content_html):
        raise ApiError(
            400,
            "content_required",
            "Give the new text as content or content_html.",
            fields={"content": "is required"},
        )
    row, _ = await _find(call, notes=notes)
    original = original_of(row)
    cleaned = await asyncio.to_thread(clean_html, given.content_html)
    if (given.content, cleaned) == (row.content, row.content_html):
        # The row does not tell how the HTML was first received; what is shown alike is no edit.
        original = replace(original, texts=OriginalTexts(given.content, given.content_html))
    command = partial(edit_message, content=given.content, content_html=given.content_html)
    await call.submit(partial(command, original=original))
    return await _answer(call, notes=notes)


async def _delete(call: Call, *, notes: bool) -> web.Response:
    row, _ = await _find(call, notes=notes)
    await call.submit(partial(delete_message, original=original_of(row)))
    return empty()


async def _answer(call: Call, *, notes: bool) -> web.Response:
    row, attached = await _find(call, notes=notes)
    return answer({"message": shown(row, attached, call.context)})


async def _find(call: Call, *, notes: bool) -> tuple[MessageRow, Attached]:
    """The message that the path names: one of the notes, or one that is none. Raises CaseNotFound, MessageNotFound."""
    case_id = case_id_in(call.path("case"))
    message_id = id_in(call.path("message"), MessageNotFound)

    def query(connection: Connection, views: Views) -> tuple[MessageRow, Attached]:
        case = cases.find(connection, views, case_id)
        if case is None:
            raise CaseNotFound(case_id)
        # What is written to a merged case is in the one that took it in.
        for each in (case_id, case.parent_case_id):
            if each != case_id and cases.find(connection, views, each) is None:
                continue
            row = messages.find(connection, views, each, message_id)
            if row and (row.kind == "note") == notes:
                return _with_files(connection, views, row)
        raise MessageNotFound(message_id)

    return await call.read(query)
