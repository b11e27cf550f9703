"""/api/rules/.../webhooks/.../secrets: what signs the calls of a rule's webhook; made anew, listed by fingerprints, deleted. Kanal's own."""

from functools import partial
from typing import Any

from aiohttp import web
from sqlalchemy import Connection

from kanal.domain import rule_webhook_secrets as domain
from kanal.domain.access import if_all_is_answered
from kanal.domain.channels import MadeSecret
from kanal.domain.errors import RuleNotFound, RuleWebhookNotFound
from kanal.domain.lanes import lane_of
from kanal.domain.rule_webhooks import webhooks_in
from kanal.domain.work import Work
from kanal.http import webhook_secrets
from kanal.http.answers import empty
from kanal.http.context import Call, Caller
from kanal.http.contract import Empty, Listed, One, Takes, contract
from kanal.http.ids import id_in
from kanal.http.webhook_secrets import LiveSecret, Made, NewSecret, SecretAnswer
from kanal.projections import rules as read
from kanal.projections.read_model import Views


@contract("List the live secrets of a rule's webhook", Listed("secret", SecretAnswer))
async def list_secrets(call: Call) -> web.Response:
    """The newest first."""
    secrets = await _live_secrets(call, *_named(call))
    return webhook_secrets.listed(call.context.dates, secrets)


@contract(
    "Make a new secret for a rule's webhook",
    One("secret", SecretAnswer, 201),
    body=Takes("secret", NewSecret, bare=True),
)
async def create(call: Call) -> web.Response:
    rule_id, webhook_id = _named(call)
    given = await call.given(NewSecret)
    made = await make_secret(call, rule_id, webhook_id, given)
    secrets = await _live_secrets(call, rule_id, webhook_id)
    return webhook_secrets.created(call.context.dates, secrets, made)


async def make_secret(caller: Caller, rule_id: int, webhook_id: int, given: NewSecret) -> Made:
    def command(work: Work, **new: Any) -> MadeSecret:
        make = partial(domain.make_webhook_secret, rule_id=rule_id, webhook_id=webhook_id, **new)
        return if_all_is_answered(work, command=make)

    return await webhook_secrets.make(caller, lane_of(webhook_id), given, command)


@contract("Delete a secret of a rule's webhook: it stops signing", Empty())
async def delete(call: Call) -> web.Response:
    await revoke_secret(call, *_named(call), call.path("secret"))
    return empty()


async def revoke_secret(caller: Caller, rule_id: int, webhook_id: int, fingerprint: str) -> None:
    """Raises SecretNotFound, NewestSecret."""
    revoke = partial(
        domain.revoke_webhook_secret,
        rule_id=rule_id,
        webhook_id=webhook_id,
        fingerprint=fingerprint,
    )
    command = partial(if_all_is_answered, command=revoke)
    await webhook_secrets.revoke(caller, lane_of(webhook_id), fingerprint, command)


async def _live_secrets(caller: Caller, rule_id: int, webhook_id: int) -> list[LiveSecret]:
    """The newest first. Raises RuleNotFound, RuleWebhookNotFound."""

    def query(connection: Connection, views: Views) -> list[LiveSecret]:
        row = read.find(connection, views, rule_id)
        if row is None:
            raise RuleNotFound(rule_id)
        if webhook_id not in {webhook.webhook_id for _, webhook in webhooks_in(row.actions)}:
            raise RuleWebhookNotFound(webhook_id)
        return webhook_secrets.live(connection, caller.context, lane_of(webhook_id))

    return await caller.read(query)


def _named(call: Call) -> tuple[int, int]:
    return id_in(call.path("rule"), RuleNotFound), id_in(call.path("webhook"), RuleWebhookNotFound)
