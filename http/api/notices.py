"""/api/notices: what people are told of delivery. Kanal's own."""

from functools import partial

from aiohttp import web
from msgspec import Struct, field
from sqlalchemy import Connection

from kanal.delivery import overview
from kanal.domain.errors import NoticeNotFound
from kanal.domain.lanes import webhook_of
from kanal.domain.notices import NoticeKind, read_all_notices, read_notice
from kanal.http.answers import Date, answer, empty, listing
from kanal.http.api.users import ChannelId
from kanal.http.context import Call
from kanal.http.contract import Empty, Listed, One, contract
from kanal.http.dates import Dates
from kanal.http.fields import Flag, Paging
from kanal.http.ids import id_in
from kanal.http.paging import page_of
from kanal.projections import notices as read
from kanal.projections.notices import Filter, NoticeRow
from kanal.projections.read_model import Views

Seen = tuple[NoticeRow, bool, str | None]
"""A notice, whether the caller has read it, and the beginning of what the receiver answered."""


class NoticesQuery(Paging):
    channel: ChannelId | None = None
    kind: NoticeKind | None = None
    unread: Flag | None = None


class NoticeAnswer(Struct):
    notice_id: int
    kind: NoticeKind
    sentence: str
    channel_id: int
    """0 for a rule's webhook."""
    webhook_id: int
    """Of a rule; 0 for a channel's."""
    case_id: int | None
    message_id: int | None
    delivery_id: str | None
    outcome_class: str | None = field(name="class")
    http_status: int | None
    excerpt: str | None
    """The beginning of the receiver's last answer, as long as its attempt is kept."""
    who: str
    read: bool
    """By the caller."""
    created_at: Date


@contract("List the notices of delivery", Listed("notice", NoticeAnswer), query=NoticesQuery)
async def list_notices(call: Call) -> web.Response:
    """The newest first."""
    asked = call.asked(NoticesQuery)
    wanted = Filter(asked.channel, asked.kind, asked.unread)

    def query(connection: Connection, views: Views) -> tuple[list[Seen], int]:
        found = read.listed(connection, views, call.caller.staff_id, wanted, page_of(asked))
        return _with_excerpts(connection, found.rows), found.total

    seen, total = await call.read(query)
    return answer(listing("notice", [_shown(*each, call.context.dates) for each in seen], total))


@contract("Mark a notice as read", One("notice", NoticeAnswer))
async def mark_read(call: Call) -> web.Response:
    notice_id = id_in(call.path("notice"), NoticeNotFound)
    await _find(call, notice_id)
    await call.submit(partial(read_notice, staff_id=call.caller.staff_id, notice_id=notice_id))
    shown = _shown(*await _find(call, notice_id), call.context.dates)
    return answer({"notice": shown})


@contract("Mark all notices as read", Empty())
async def mark_all_read(call: Call) -> web.Response:
    last = await call.read(read.last)
    await call.submit(partial(read_all_notices, staff_id=call.caller.staff_id, notice_id=last))
    return empty()


async def _find(call: Call, notice_id: int) -> Seen:
    def query(connection: Connection, views: Views) -> Seen | None:
        row = read.find(connection, views, call.caller.staff_id, notice_id)
        return _with_excerpts(connection, [row])[0] if row else None

    seen = await call.read(query)
    if seen is None:
        raise NoticeNotFound(notice_id)
    return seen


def _with_excerpts(connection: Connection, rows: list[tuple[NoticeRow, bool]]) -> list[Seen]:
    excerpts = overview.excerpts(connection, {row.attempt_id for row, _ in rows if row.attempt_id})
    return [(row, seen, excerpts.get(row.attempt_id)) for row, seen in rows]


def _shown(row: NoticeRow, seen: bool, excerpt: str | None, dates: Dates) -> NoticeAnswer:
    return NoticeAnswer(
        notice_id=row.notice_id,
        kind=row.kind,
        sentence=row.sentence,
        channel_id=max(0, row.channel_id),
        webhook_id=webhook_of(row.channel_id),
        case_id=row.case_id or None,
        message_id=row.message_id or None,
        delivery_id=row.delivery_id or None,
        outcome_class=row.outcome_class or None,
        http_status=row.http_status or None,
        excerpt=excerpt or None,
        who=row.who,
        read=seen,
        created_at=dates.render(row.at),
    )
