"""/api/custom_channels/.../secrets: what signs a channel's webhooks; made anew, listed by fingerprints, deleted."""

import time
from functools import partial
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import UNSET, Struct, UnsetType
from pydantic import Field
from sqlalchemy import Connection

from kanal.delivery import kept_secrets
from kanal.delivery.signing import Secret, new_secret, public_key
from kanal.domain import channels
from kanal.domain.channels import MadeSecret
from kanal.domain.errors import ChannelNotFound, SecretNotFound
from kanal.http.answers import Date, answer, empty, listing
from kanal.http.api.custom_channels import fingerprint_of
from kanal.http.context import Call, Caller
from kanal.http.contract import Empty, Listed, One, Takes, contract
from kanal.http.fields import Fields, Id
from kanal.http.ids import channel_id_in, channel_key
from kanal.projections import channels as read
from kanal.projections.read_model import Views

HOUR = 3600 * 1_000_000
GRACE_HOURS = 24
MAX_GRACE_HOURS = 168
"""A week; who needs longer makes the new secret later."""


class NewSecret(Fields):
    expires_in_hours: Annotated[Id, Field(le=MAX_GRACE_HOURS)] = GRACE_HOURS
    """Until the secrets before it stop signing; 0: at once."""


class SecretAnswer(Struct):
    fingerprint: str
    public_key: str
    """Checks the `v1a` signatures that are made beside this secret's."""
    created_at: Date
    expires_at: Date | None
    """null for the newest, which signs until there is another."""
    secret: str | UnsetType = UNSET
    """Only in the answer that made it."""


@contract("List the live secrets of a custom channel", Listed("secret", SecretAnswer))
async def list_secrets(call: Call) -> web.Response:
    """The newest first."""
    secrets = await live_secrets(call, channel_id_in(call.path("channel")))
    return answer(listing("secret", [_shown(call, each) for each in secrets], len(secrets)))


@contract(
    "Make a new secret",
    One("secret", SecretAnswer, 201),
    body=Takes("secret", NewSecret, bare=True),
)
async def create(call: Call) -> web.Response:
    given = await call.given(NewSecret)
    channel_id = channel_id_in(call.path("channel"))
    fingerprint, secret = await rotate(call, channel_id, given)
    answers = [_shown(call, each) for each in await live_secrets(call, channel_id)]
    shown = next((each for each in answers if each.fingerprint == fingerprint), None)
    if shown is None:  # made by an earlier call with this Idempotency-Key, and gone since
        raise SecretNotFound(fingerprint)
    if secret:
        shown.secret = secret
    return answer({"secret": shown}, 201)


async def rotate(call: Caller, channel_id: int, given: NewSecret) -> tuple[str, str]:
    """The new secret's fingerprint and, unless the request had made it before, itself."""
    secret = new_secret()

    def keep(connection: Connection, made: MadeSecret) -> None:
        until = made.others_expire_at
        kept_secrets.keep(connection, channel_id, secret, made.made_at, others_expire_at=until)

    command = partial(
        channels.make_secret,
        channel_id=channel_id,
        fingerprint=fingerprint_of(call.context, secret),
        grace=given.expires_in_hours * HOUR,
    )
    done = await call.submit(command, beside=keep)
    made = msgspec.convert(done.result, MadeSecret)
    return made.fingerprint, "" if done.repeated else secret


@contract("Delete a secret: it stops signing", Empty())
async def delete(call: Call) -> web.Response:
    await revoke(call, channel_id_in(call.path("channel")), call.path("secret"))
    return empty()


async def revoke(call: Caller, channel_id: int, fingerprint: str) -> None:
    """Raises SecretNotFound, NewestSecret."""

    def forget(connection: Connection, _: int) -> None:
        kept_secrets.forget(
            connection,
            channel_id,
            lambda secret: fingerprint_of(call.context, secret) == fingerprint,
        )

    command = partial(channels.revoke_secret, channel_id=channel_id, fingerprint=fingerprint)
    await call.submit(command, beside=forget)


async def live_secrets(call: Caller, channel_id: int) -> list[Secret]:
    def query(connection: Connection, views: Views) -> list[Secret]:
        row = read.find(connection, views, channel_id)
        if row is None or row.deleted:
            raise ChannelNotFound(channel_key(channel_id))
        now = time.time_ns() // 1000
        kept = kept_secrets.read(connection, [channel_id]).get(channel_id, ())
        return [each for each in kept if each.signs(now)]

    return await call.read(query)


def _shown(call: Call, secret: Secret) -> SecretAnswer:
    dates, expires_at = call.context.dates, secret.expires_at
    return SecretAnswer(
        fingerprint=fingerprint_of(call.context, secret.secret),
        public_key=public_key(secret.private_key),
        created_at=dates.render(secret.created_at),
        expires_at=dates.moment(expires_at),
    )
