"""/api/custom_channels/.../secrets: what signs a channel's webhooks; made anew, listed by fingerprints, deleted."""

from functools import partial

from aiohttp import web
from sqlalchemy import Connection

from kanal.domain import channels
from kanal.domain.errors import ChannelNotFound
from kanal.http import webhook_secrets
from kanal.http.answers import empty
from kanal.http.context import Call, Caller
from kanal.http.contract import Empty, Listed, One, Takes, contract
from kanal.http.ids import channel_id_in, channel_key
from kanal.http.webhook_secrets import LiveSecret, Made, NewSecret, SecretAnswer
from kanal.projections import channels as read
from kanal.projections.read_model import Views


@contract("List the live secrets of a custom channel", Listed("secret", SecretAnswer))
async def list_secrets(call: Call) -> web.Response:
    """The newest first."""
    secrets = await live_secrets(call, channel_id_in(call.path("channel")))
    return webhook_secrets.listed(call.context.dates, secrets)


@contract(
    "Make a new secret",
    One("secret", SecretAnswer, 201),
    body=Takes("secret", NewSecret, bare=True),
)
async def create(call: Call) -> web.Response:
    given = await call.given(NewSecret)
    channel_id = channel_id_in(call.path("channel"))
    made = await make_secret(call, channel_id, given)
    secrets = await live_secrets(call, channel_id)
    return webhook_secrets.created(call.context.dates, secrets, made)


async def make_secret(caller: Caller, channel_id: int, given: NewSecret) -> Made:
    command = partial(channels.make_secret, channel_id=channel_id)
    return await webhook_secrets.make(caller, channel_id, given, command)


@contract("Delete a secret: it stops signing", Empty())
async def delete(call: Call) -> web.Response:
    await revoke_secret(call, channel_id_in(call.path("channel")), call.path("secret"))
    return empty()


async def revoke_secret(caller: Caller, channel_id: int, fingerprint: str) -> None:
    """Raises SecretNotFound, NewestSecret."""
    command = partial(channels.revoke_secret, channel_id=channel_id, fingerprint=fingerprint)
    await webhook_secrets.revoke(caller, channel_id, fingerprint, command)


async def live_secrets(caller: Caller, channel_id: int) -> list[LiveSecret]:
    """The newest first. Raises ChannelNotFound."""

    def query(connection: Connection, views: Views) -> list[LiveSecret]:
        row = read.find(connection, views, channel_id)
        if row is None or row.deleted:
            raise ChannelNotFound(channel_key(channel_id))
        return webhook_secrets.live(connection, caller.context, channel_id)

    return await caller.read(query)
