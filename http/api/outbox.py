"""/api/custom_channels/.../outbox: what goes out on a channel, for a receiver that asks for it: no address of its own is needed."""

import asyncio
import time
import zlib
from typing import Annotated, Final

from aiohttp import web
from msgspec import Struct
from pydantic import Field
from sqlalchemy import Connection

from kanal.delivery import polling
from kanal.delivery.overview import State
from kanal.delivery.polling import Page, Polled
from kanal.domain.errors import ChannelNotFound, NoRight
from kanal.eventlog.writer import LogUnavailable
from kanal.http.answers import Date, answer
from kanal.http.context import Call
from kanal.http.contract import One, Takes, contract
from kanal.http.cursors import cursor_of, place_of, wrong_cursor
from kanal.http.dates import Dates
from kanal.http.fields import MAX_LIMIT, Fields, Id, Limit, Text
from kanal.http.ids import channel_id_in, channel_key
from kanal.projections import channels
from kanal.projections.keyset import After
from kanal.projections.read_model import Views

MAX_WAIT: Final = 30
"""Seconds; proxies and clients cut off calls that stay silent for a minute."""
LOOK_SECONDS: Final = 5.0
"""So often it is looked for where other processes write too: a notice may be lost with its connection."""
SOURCE: Final = "the answer of an earlier call for this channel"

WHOLE: Final = "see all cases of the channel, whoever's and of whichever group"

Wait = Annotated[Id, Field(le=MAX_WAIT)]


class OutboxQuery(Fields):
    after: Text = ""
    """The cursor of the call before."""
    limit: Limit = MAX_LIMIT
    wait: Wait = 0
    """Seconds."""


class AcknowledgeFields(Fields):
    cursor: Text


class OutgoingAnswer(Struct):
    """With the id, the numbers and the bytes that a webhook has."""

    delivery_id: str
    case_id: int
    message_id: int
    sequence: int
    previous_id: str
    created_at: Date
    state: State
    content_type: str
    body: str


class OutboxAnswer(Struct):
    deliveries: list[OutgoingAnswer]
    """In the order of the log."""
    cursor: str
    """Of the last one; if there is none, the one that was given."""
    more: bool
    """There is something behind it already."""


class AcknowledgedAnswer(Struct):
    acknowledged: int
    """How many of them had been pending."""


@contract("Ask for what goes out", One("outbox", OutboxAnswer), query=OutboxQuery)
async def poll(call: Call) -> web.Response:
    asked = call.asked(OutboxQuery)
    channel_id = channel_id_in(call.path("channel"))
    after = _place(call, channel_id, asked.after, "after") if asked.after else After(0, 0)
    page = await _page(call, channel_id, after, asked.limit)
    if not page.rows and asked.wait and call.context.arrivals.may_wait:
        page = await _page_to_come(call, channel_id, after, asked)
    if page.rows:
        after = _end(page.rows[-1])
    dates = call.context.dates
    shown = OutboxAnswer(
        deliveries=[_outgoing(row, dates) for row in page.rows],
        cursor=cursor_of(_sort(channel_id), after, call.context.stream_ids.keyed_hash),
        more=page.more,
    )
    return answer({"outbox": shown})


@contract(
    "Say what has arrived",
    One("outbox", AcknowledgedAnswer),
    body=Takes("outbox", AcknowledgeFields, bare=True),
)
async def acknowledge(call: Call) -> web.Response:
    """All up to a cursor, on a channel whose receiver asks for what goes out."""
    given = await call.given(AcknowledgeFields)
    channel_id = channel_id_in(call.path("channel"))
    upto = _place(call, channel_id, given.cursor, "cursor")
    await call.read(_checked, channel_id, upto, "cursor")

    def task(connection: Connection) -> int:
        return polling.acknowledge(connection, channel_id, upto.value, _now())

    ended = total = await call.context.writer.run(task)
    while ended == polling.CHUNK:
        ended = await call.context.writer.run(task)
        total += ended
    return answer({"outbox": AcknowledgedAnswer(total)})


async def _page(call: Call, channel_id: int, after: After, limit: int) -> Page:
    def query(connection: Connection, views: Views) -> Page:
        _checked(connection, views, channel_id, after, "after")
        return polling.page(connection, channel_id, after.value, limit)

    return await call.read(query)


async def _page_to_come(call: Call, channel_id: int, after: After, asked: OutboxQuery) -> Page:
    """As soon as there is something, or an empty page when the time is over."""
    arrivals, shared = call.context.arrivals, call.context.database.shared
    end = asyncio.get_running_loop().time() + asked.wait
    if shared:
        await _announce(call, channel_id)
    with arrivals.expected(channel_id) as arrived:
        while True:
            arrived.clear()
            page = await _page(call, channel_id, after, asked.limit)
            left = end - asyncio.get_running_loop().time()
            if page.rows or left <= 0 or arrivals.closing:
                return page
            try:
                async with asyncio.timeout(min(left, LOOK_SECONDS) if shared else left):
                    await arrived.wait()
            except TimeoutError:
                continue


async def _announce(call: Call, channel_id: int) -> None:
    """Other processes shall tell of what is new there."""

    def is_announced(connection: Connection, _: Views) -> bool:
        return polling.is_announced(connection, channel_id, _now())

    if not await call.context.read(is_announced):
        try:
            await call.context.writer.run(
                lambda connection: polling.announce(connection, channel_id, _now())
            )
        except LogUnavailable:
            # It is looked for all the same, only later.
            return


def _checked(
    connection: Connection, views: Views, channel_id: int, place: After, field: str
) -> None:
    """The channel exists, and the log is still the one that the cursor is of."""
    row = channels.find(connection, views, channel_id)
    if row is None or row.deleted:
        raise ChannelNotFound(channel_key(channel_id))
    if not views.scope.sees_whole_channels:
        raise NoRight(WHOLE)
    if not place.value:
        return
    found = polling.at(connection, channel_id, place.value)
    if found is None or _check(found) != place.id:
        raise wrong_cursor(
            field, "is of a log that is no more, because a backup was restored: begin without it"
        )


def _place(call: Call, channel_id: int, cursor: str, field: str) -> After:
    keyed_hash = call.context.stream_ids.keyed_hash
    return place_of(cursor, _sort(channel_id), keyed_hash, field=field, source=SOURCE)


def _sort(channel_id: int) -> str:
    return f"outbox {channel_id}"


def _end(row: Polled) -> After:
    return After(row.position, _check(row.delivery_id))


def _check(delivery_id: str) -> int:
    """Another log has something else at the same position."""
    return zlib.crc32(delivery_id.encode())


def _outgoing(row: Polled, dates: Dates) -> OutgoingAnswer:
    return OutgoingAnswer(
        delivery_id=row.delivery_id,
        case_id=row.case_id,
        message_id=row.message_id,
        sequence=row.sequence,
        previous_id=row.previous_id,
        created_at=dates.render(row.created_at),
        state=row.state,
        content_type=row.content_type,
        body=bytes(row.body).decode(),
    )


def _now() -> int:
    return time.time_ns() // 1000
