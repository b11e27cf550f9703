"""What signs webhooks, those of channels and of rules alike: made anew, shown by fingerprints, taken away.

Secrets are kept by lane: a channel's id, or `lane_of` a rule's webhook.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Annotated, NamedTuple

import msgspec
from aiohttp import web
from msgspec import UNSET, Struct, UnsetType
from pydantic import Field
from sqlalchemy import Connection

from kanal.delivery import kept_secrets
from kanal.delivery.signing import new_secret, public_key
from kanal.domain.channels import MadeSecret
from kanal.domain.errors import SecretNotFound
from kanal.domain.work import Work
from kanal.http.answers import Date, answer, listing
from kanal.http.context import Caller, Context
from kanal.http.dates import Dates
from kanal.http.fields import Fields, Id

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


class LiveSecret(NamedTuple):
    fingerprint: str
    public_key: str
    created_at: int
    expires_at: int | None
    """None for the newest."""


class Made(NamedTuple):
    fingerprint: str
    secret: str
    """"" if the request had made it before."""


async def make(
    caller: Caller, lane: int, given: NewSecret, command: Callable[..., MadeSecret]
) -> Made:
    """`command` takes the fingerprint and the grace of those before it."""
    secret = new_secret()

    def keep(connection: Connection, made: MadeSecret) -> None:
        until = made.others_expire_at
        kept_secrets.keep(connection, lane, secret, made.made_at, others_expire_at=until)

    fingerprint = caller.context.stream_ids.fingerprint(secret)
    grace = given.expires_in_hours * HOUR
    done = await caller.submit(partial(command, fingerprint=fingerprint, grace=grace), beside=keep)
    made = msgspec.convert(done.result, MadeSecret)
    return Made(made.fingerprint, "" if done.repeated else secret)


async def revoke(
    caller: Caller, lane: int, fingerprint: str, command: Callable[[Work], int]
) -> None:
    """Raises SecretNotFound, NewestSecret."""
    fingerprint_of = caller.context.stream_ids.fingerprint

    def forget(connection: Connection, _: int) -> None:
        kept_secrets.forget(connection, lane, lambda secret: fingerprint_of(secret) == fingerprint)

    await caller.submit(command, beside=forget)


def live(connection: Connection, context: Context, lane: int) -> list[LiveSecret]:
    """The newest first."""
    now = time.time_ns() // 1000
    return [
        LiveSecret(
            context.stream_ids.fingerprint(each.secret),
            public_key(each.private_key),
            each.created_at,
            each.expires_at,
        )
        for each in kept_secrets.read(connection, [lane]).get(lane, ())
        if each.signs(now)
    ]


def listed(dates: Dates, secrets: list[LiveSecret]) -> web.Response:
    return answer(listing("secret", [_shown(dates, each) for each in secrets], len(secrets)))


def created(dates: Dates, secrets: list[LiveSecret], made: Made) -> web.Response:
    """Raises SecretNotFound if an earlier call with this Idempotency-Key made it, and it is gone since."""
    for each in secrets:
        if each.fingerprint == made.fingerprint:
            shown = _shown(dates, each)
            shown.secret = made.secret or UNSET
            return answer({"secret": shown}, 201)
    raise SecretNotFound(made.fingerprint)


def _shown(dates: Dates, secret: LiveSecret) -> SecretAnswer:
    return SecretAnswer(
        fingerprint=secret.fingerprint,
        public_key=secret.public_key,
        created_at=dates.render(secret.created_at),
        expires_at=dates.moment(secret.expires_at),
    )
