"""/api/rules/.../webhooks: where a rule's webhooks stand, and a test of one. Kanal's own."""

from aiohttp import web
from msgspec import Struct
from sqlalchemy import Connection

from kanal.delivery import overview
from kanal.delivery.ledger import Claimed, read_lanes
from kanal.delivery.ping import Exchange
from kanal.domain.errors import CaseNotFound, RuleNotFound, RuleWebhookNotFound
from kanal.domain.lanes import lane_of
from kanal.domain.rule_webhooks import Method, RuleWebhook, webhooks_in
from kanal.domain.variables import VARIABLES, Values
from kanal.domain.webhook_options import Format
from kanal.http.actions import shown_webhook
from kanal.http.answers import answer, listing
from kanal.http.api.custom_channels import (
    ChannelDeliveryAnswer,
    PingAnswer,
    shown_delivery,
    shown_ping,
)
from kanal.http.context import Call, Caller
from kanal.http.contract import Listed, One, Takes, contract
from kanal.http.fields import Fields, Text
from kanal.http.ids import case_id_in, id_in
from kanal.projections import rules as read
from kanal.projections.read_model import Views
from kanal.projections.variables import values_for


class WebhookTest(Fields):
    case_id: Text | None = None
    """Whose values the variables have; without one each is its own name."""


class RuleWebhookAnswer(Struct):
    webhook_id: int
    rule_id: int
    method: Method
    url: str
    format: Format
    body: str | dict[str, str]
    headers: list[str]
    """Their names: values are never shown."""
    delivery: ChannelDeliveryAnswer


@contract("List a rule's webhooks", Listed("webhook", RuleWebhookAnswer))
async def list_webhooks(call: Call) -> web.Response:
    """In the order of its actions."""
    rule_id, dates = id_in(call.path("rule"), RuleNotFound), call.context.dates

    def query(connection: Connection, views: Views) -> list[RuleWebhookAnswer]:
        webhooks = _webhooks(connection, views, rule_id)
        found = overview.of_channels(connection, [lane_of(each) for each in webhooks])
        return [
            RuleWebhookAnswer(
                rule_id=rule_id,
                **shown_webhook(webhook),
                delivery=shown_delivery(found[lane_of(webhook_id)], dates),
            )
            for webhook_id, webhook in webhooks.items()
        ]

    shown = await call.read(query)
    return answer(listing("webhook", shown, len(shown)))


@contract(
    "Send a test to a rule's webhook",
    One("test", PingAnswer),
    body=Takes("test", WebhookTest, bare=True),
)
async def test(call: Call) -> web.Response:
    """As the rule would call it now, signed, beside the queue; nothing of it is recorded."""
    rule_id = id_in(call.path("rule"), RuleNotFound)
    webhook_id = id_in(call.path("webhook"), RuleWebhookNotFound)
    given = await call.given(WebhookTest)
    case_id = case_id_in(given.case_id) if given.case_id is not None else 0
    return answer({"test": shown_ping(await called(call, rule_id, webhook_id, case_id))})


async def called(caller: Caller, rule_id: int, webhook_id: int, case_id: int) -> Exchange:
    """`case_id`: whose values the variables have; 0: each is its own name. Raises RuleNotFound, CaseNotFound, ..."""

    def query(connection: Connection, views: Views) -> tuple[RuleWebhook, Claimed, Values]:
        webhook = _webhooks(connection, views, rule_id).get(webhook_id)
        if webhook is None:
            raise RuleWebhookNotFound(webhook_id)
        values: Values | None = {name: name for name in VARIABLES}
        if case_id:
            values = values_for(connection, views, case_id, 0)
        if values is None:
            raise CaseNotFound(case_id)
        return webhook, read_lanes(connection, [lane_of(webhook_id)])[0], values

    return await caller.context.pinger.call(*await caller.read(query))


def _webhooks(connection: Connection, views: Views, rule_id: int) -> dict[int, RuleWebhook]:
    """Raises RuleNotFound."""
    row = read.find(connection, views, rule_id)
    if row is None:
        raise RuleNotFound(rule_id)
    return {webhook.webhook_id: webhook for _, webhook in webhooks_in(row.actions)}
