"""/api/rules/.../webhooks/.../secrets: what signs the calls of a rule's webhook; made anew, listed by fingerprints, deleted. Kanal's own."""

import time
from functools import partial

import msgspec
from aiohttp import web
from sqlalchemy import Connection

from kanal.delivery import kept_secrets
from kanal.delivery.signing import Secret, new_secret, public_key
from kanal.domain import rule_webhook_secrets as domain
from kanal.domain.access import if_all_is_answered
from kanal.domain.channels import MadeSecret
from kanal.domain.errors import RuleNotFound, RuleWebhookNotFound, SecretNotFound
from kanal.domain.rule_webhooks import lane_of, webhooks_in
from kanal.http.answers import answer, empty, listing
from kanal.http.api.channel_secrets import HOUR, NewSecret, SecretAnswer
from kanal.http.api.custom_channels import fingerprint_of
from kanal.http.context import Call, Caller
from kanal.http.contract import Empty, Listed, One, Takes, contract
from kanal.http.ids import id_in
from kanal.projections import rules as read
from kanal.projections.read_model import Views


@contract("List the live secrets of a rule's webhook", Listed("secret", SecretAnswer))
async def list_secrets(call: Call) -> web.Response:
    """The newest first."""
    secrets = await live(call, *_named(call))
    return answer(listing("secret", [_shown(call, each) for each in secrets], len(secrets)))


@contract(
    "Make a new secret for a rule's webhook",
    One("secret", SecretAnswer, 201),
    body=Takes("secret", NewSecret, bare=True),
)
async def create(call: Call) -> web.Response:
    rule_id, webhook_id = _named(call)
    given = await call.given(NewSecret)
    fingerprint, secret = await rotate(call, rule_id, webhook_id, given.expires_in_hours)
    answers = [_shown(call, each) for each in await live(call, rule_id, webhook_id)]
    shown = next((each for each in answers if each.fingerprint == fingerprint), None)
    if shown is None:  # made by an earlier call with this Idempotency-Key, and gone since
        raise SecretNotFound(fingerprint)
    if secret:
        shown.secret = secret
    return answer({"secret": shown}, 201)


@contract("Delete a secret of a rule's webhook: it stops signing", Empty())
async def delete(call: Call) -> web.Response:
    await revoke(call, *_named(call), call.path("secret"))
    return empty()


async def rotate(caller: Caller, rule_id: int, webhook_id: int, hours: int) -> tuple[str, str]:
    """The new secret's fingerprint and, unless the request had made it before, itself."""
    secret, lane = new_secret(), lane_of(webhook_id)

    def keep(connection: Connection, made: MadeSecret) -> None:
        until = made.others_expire_at
        kept_secrets.keep(connection, lane, secret, made.made_at, others_expire_at=until)

    command = partial(
        domain.make_webhook_secret,
        rule_id=rule_id,
        webhook_id=webhook_id,
        fingerprint=fingerprint_of(caller.context, secret),
        grace=hours * HOUR,
    )
    done = await caller.submit(partial(if_all_is_answered, command=command), beside=keep)
    made = msgspec.convert(done.result, MadeSecret)
    return made.fingerprint, "" if done.repeated else secret


async def revoke(caller: Caller, rule_id: int, webhook_id: int, fingerprint: str) -> None:
    """Raises SecretNotFound, NewestSecret."""

    def forget(connection: Connection, _: int) -> None:
        kept_secrets.forget(
            connection,
            lane_of(webhook_id),
            lambda secret: fingerprint_of(caller.context, secret) == fingerprint,
        )

    command = partial(
        domain.revoke_webhook_secret,
        rule_id=rule_id,
        webhook_id=webhook_id,
        fingerprint=fingerprint,
    )
    await caller.submit(partial(if_all_is_answered, command=command), beside=forget)


async def live(caller: Caller, rule_id: int, webhook_id: int) -> list[Secret]:
    """The newest first. Raises RuleNotFound, RuleWebhookNotFound."""

    def query(connection: Connection, views: Views) -> list[Secret]:
        row = read.find(connection, views, rule_id)
        if row is None:
            raise RuleNotFound(rule_id)
        if webhook_id not in {webhook.webhook_id for _, webhook in webhooks_in(row.actions)}:
            raise RuleWebhookNotFound(webhook_id)
        now, lane = time.time_ns() // 1000, lane_of(webhook_id)
        kept = kept_secrets.read(connection, [lane]).get(lane, ())
        return [each for each in kept if each.signs(now)]

    return await caller.read(query)


def _named(call: Call) -> tuple[int, int]:
    return id_in(call.path("rule"), RuleNotFound), id_in(call.path("webhook"), RuleWebhookNotFound)


def _shown(call: Call, secret: Secret) -> SecretAnswer:
    dates = call.context.dates
    return SecretAnswer(
        fingerprint=fingerprint_of(call.context, secret.secret),
        public_key=public_key(secret.private_key),
        created_at=dates.render(secret.created_at),
        expires_at=dates.moment(secret.expires_at),
    )
