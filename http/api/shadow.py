"""/api/custom_channels/.../shadow: how the answers of a channel's second URL compare with those of its own, and what becomes of it."""

from typing import Final

from aiohttp import web
from msgspec import Struct, field
from sqlalchemy import Connection

from kanal.delivery.shadow import Comparison, ResultRow, Seen, Times, look
from kanal.domain import channels
from kanal.domain.errors import ChannelNotFound, ShadowNotFound
from kanal.http.answers import Date, answer
from kanal.http.api.custom_channels import ChannelAnswer, submit_change
from kanal.http.context import Call
from kanal.http.contract import One, contract
from kanal.http.dates import Dates
from kanal.http.ids import channel_id_in, channel_key
from kanal.projections import channels as read
from kanal.projections.read_model import Views

DIFFERENCES: Final = 50
"""Shown, of those that are kept."""


class TimesAnswer(Struct):
    """Milliseconds; null while nothing was compared."""

    p50: int | None
    p95: int | None


class ReceiverAnswer(Struct):
    kind: str = field(name="class")
    http_status: int | None
    milliseconds: int


class ShadowReceiverAnswer(ReceiverAnswer, kw_only=True):
    sentence: str
    excerpt: str
    """The first part of what it answered."""


class DifferenceAnswer(Struct):
    delivery_id: str
    at: Date
    comparison: Comparison
    main: ReceiverAnswer
    shadow: ShadowReceiverAnswer


class ShadowAnswer(Struct):
    webhook_shadow_url: str
    since: Date
    same: int
    """Both took it or neither did."""
    better: int
    """Only the second one took it."""
    worse: int
    """Only the first one did."""
    not_sent: int
    main_milliseconds: TimesAnswer
    """Of the last thousand, as the next."""
    shadow_milliseconds: TimesAnswer
    differences: list[DifferenceAnswer]
    """The latest first."""


@contract("Compare a channel's second URL", One("shadow", ShadowAnswer))
async def show(call: Call) -> web.Response:
    channel_id = channel_id_in(call.path("channel"))

    def query(connection: Connection, views: Views) -> Seen:
        row = read.find(connection, views, channel_id)
        if row is None or row.deleted:
            raise ChannelNotFound(channel_key(channel_id))
        seen = look(connection, channel_id, DIFFERENCES)
        if seen is None:
            raise ShadowNotFound(channel_id)
        return seen

    return answer({"shadow": _shown(await call.read(query), call.context.dates)})


@contract("Make the second URL the channel's own", One("custom_channel", ChannelAnswer))
async def switch(call: Call) -> web.Response:
    return await submit_change(call, channels.switch_to_shadow)


@contract("Drop a channel's second URL", One("custom_channel", ChannelAnswer))
async def drop(call: Call) -> web.Response:
    return await submit_change(call, channels.drop_shadow)


def _shown(seen: Seen, dates: Dates) -> ShadowAnswer:
    shadow = seen.shadow
    return ShadowAnswer(
        webhook_shadow_url=shadow.url,
        since=dates.render(shadow.since),
        same=shadow.same,
        better=shadow.better,
        worse=shadow.worse,
        not_sent=shadow.not_sent,
        main_milliseconds=_times(seen.main),
        shadow_milliseconds=_times(seen.second),
        differences=[_difference(row, dates) for row in seen.differences],
    )


def _times(times: Times) -> TimesAnswer:
    return TimesAnswer(times.p50, times.p95)


def _difference(row: ResultRow, dates: Dates) -> DifferenceAnswer:
    return DifferenceAnswer(
        delivery_id=row.delivery_id,
        at=dates.render(row.at),
        comparison=row.comparison,
        main=ReceiverAnswer(row.main_class, row.main_status, row.main_milliseconds),
        shadow=ShadowReceiverAnswer(
            row.shadow_class,
            row.shadow_status,
            row.shadow_milliseconds,
            sentence=row.sentence,
            excerpt=row.excerpt,
        ),
    )
