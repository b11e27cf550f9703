"""/api/custom_channels: Omnidesk lists them; making and changing them is Kanal's own, Omnidesk does it in its pages."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from aiohttp import web
from sqlalchemy import Connection, insert

from kanal.delivery.signing import new_secret
from kanal.domain import channels
from kanal.domain.errors import ChannelNotFound
from kanal.eventlog.tables import channel_secrets
from kanal.http.answers import answer, empty, listing
from kanal.http.context import Call, Context
from kanal.http.errors import ApiError
from kanal.http.fields import Fields, Line, Paging, Text, section
from kanal.http.ids import channel_id_in, channel_key
from kanal.projections import channels as read


class ChannelFields(Fields):
    title: Line | None = None
    webhook_url: Text | None = None
    channel_type: Literal["async", "sync"] | None = None
    icon: Line | None = None


class NewChannel(ChannelFields):
    title: Line
    webhook_url: Text
    channel_type: Literal["async", "sync"]


async def list_channels(call: Call) -> web.Response:
    """All of them, as Omnidesk answers; pages only for who asks for them."""
    rows = await call.read(read.listed)
    asked = Paging.read(call.query())
    page = rows[asked.offset : asked.offset + asked.rows] if asked.given() else rows
    return answer(listing("custom_channel", [shown(row) for row in page], len(rows)))


async def show(call: Call) -> web.Response:
    return answer({"custom_channel": await _channel(call, _channel_id(call))})


async def create(call: Call) -> web.Response:
    given = NewChannel.read(section((await call.body()).fields, "custom_channel", bare=True))
    _check_url(call.context, given.webhook_url)
    secret = new_secret()
    fingerprint = call.context.stream_ids.keyed_hash(secret).hex()[:16]

    def keep_secret(connection: Connection, channel_id: int) -> None:
        row = {"channel_id": channel_id, "created_at": time.time_ns() // 1000, "secret": secret}
        connection.execute(insert(channel_secrets).values(row))

    done = await call.submit(
        partial(channels.create_channel, **given.given(), secret_fingerprint=fingerprint),
        beside=keep_secret,
    )
    channel = await _channel(call, done.result)
    if not done.repeated:
        channel["secret"] = secret
    return answer({"custom_channel": channel}, 201)


async def change(call: Call) -> web.Response:
    given = ChannelFields.read(section((await call.body()).fields, "custom_channel", bare=True))
    if given.webhook_url is not None:
        _check_url(call.context, given.webhook_url)
    return await _submit(call, partial(channels.change_channel, **given.given()))


async def disable(call: Call) -> web.Response:
    return await _submit(call, channels.disable_channel)


async def enable(call: Call) -> web.Response:
    return await _submit(call, channels.enable_channel)


async def delete(call: Call) -> web.Response:
    command = partial(channels.delete_channel, channel_id=_channel_id(call))
    await call.submit(command)
    return empty()


def shown(row: read.ChannelRow) -> dict[str, Any]:
    """The seven keys of facts and seed."""
    return {
        "channel_id": row.channel_id,
        "channel_api_key": channel_key(row.channel_id),
        "title": row.title,
        "channel_type": row.channel_type,
        "icon": row.icon,
        "webhook_url": row.webhook_url,
        "active": row.active,
    }


async def _submit(call: Call, command: Callable[..., int]) -> web.Response:
    done = await call.submit(partial(command, channel_id=_channel_id(call)))
    return answer({"custom_channel": await _channel(call, done.result)})


async def _channel(call: Call, channel_id: int) -> dict[str, Any]:
    row = await call.read(read.find, channel_id)
    if row is None or row.deleted:
        raise ChannelNotFound(channel_key(channel_id))
    return shown(row)


def _channel_id(call: Call) -> int:
    return channel_id_in(call.path("channel"))


def _check_url(context: Context, url: str) -> None:
    refused = context.guard.check_url(url)
    if refused:
        sentence = refused.sentence
        raise ApiError(400, "webhook_url_refused", sentence, fields={"webhook_url": sentence})
