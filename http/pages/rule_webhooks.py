"""/rules/.../webhooks/...: a rule's webhook is tried, and gets new secrets beside the old ones."""

from typing import Annotated

from aiohttp import web
from pydantic import BeforeValidator

from kanal.domain.errors import RuleNotFound, RuleWebhookNotFound
from kanal.http.api.rule_webhook_secrets import make_secret, revoke_secret
from kanal.http.api.rule_webhooks import called
from kanal.http.fields import Fields
from kanal.http.ids import id_in
from kanal.http.pages.form_values import word
from kanal.http.pages.rules import page_of
from kanal.http.pages.visit import Visit
from kanal.http.webhook_secrets import NewSecret


class Revoked(Fields):
    fingerprint: Annotated[str, BeforeValidator(word)] = ""


async def rotate(visit: Visit) -> web.StreamResponse:
    rule_id, webhook_id = _named(visit)
    given = await visit.given(NewSecret)
    secret = (await make_secret(visit, rule_id, webhook_id, given)).secret
    return await page_of(visit, rule_id, {str(webhook_id): secret} if secret else None)


async def revoke(visit: Visit) -> web.StreamResponse:
    rule_id, webhook_id = _named(visit)
    await revoke_secret(visit, rule_id, webhook_id, (await visit.given(Revoked)).fingerprint)
    return visit.see(f"/rules/{rule_id}", done="saved")


async def test(visit: Visit) -> web.StreamResponse:
    """The whole exchange is shown, and recorded nowhere."""
    rule_id, webhook_id = _named(visit)
    exchange = await called(visit, rule_id, webhook_id, 0)
    return await page_of(visit, rule_id, exchange=exchange)


def _named(visit: Visit) -> tuple[int, int]:
    rule_id = id_in(visit.path("rule"), RuleNotFound)
    return rule_id, id_in(visit.path("webhook"), RuleWebhookNotFound)
