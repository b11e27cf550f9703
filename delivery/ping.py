"""The test button: one signed POST to a channel's Webhook URL, or one call of a rule's webhook, beside the queue. It is shown whole and recorded nowhere."""

import time
from collections.abc import Callable
from datetime import tzinfo
from typing import Final, NamedTuple

from kanal.delivery.body import ping_fields, render
from kanal.delivery.ledger import Claimed
from kanal.delivery.networks import networks_of
from kanal.delivery.outcome import Outcome
from kanal.delivery.post import WebhookClient
from kanal.delivery.schedule import attempt_seconds
from kanal.delivery.signing import headers_beside_the_queue
from kanal.domain.rule_webhooks import (
    RuleWebhook,
    body_of,
    content_type_of,
    filled_url,
    url_values_of,
)
from kanal.domain.variables import Values

HIDDEN: Final = "***"
"""In place of the values of a channel's own headers, which are never shown."""


class Exchange(NamedTuple):
    url: str
    headers: dict[str, str]
    body: bytes
    outcome: Outcome


class Pinger:
    """`timeout`: seconds; no ping is longer, whatever its channel's type allows."""

    def __init__(
        self,
        client: WebhookClient,
        zone: tzinfo,
        timeout: float,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._client = client
        self._zone = zone
        self.timeout = timeout
        self._clock = clock

    async def ping(self, channel: Claimed) -> Exchange:
        """As a message would be sent now, whether the channel is paused, disabled or well."""
        lane, now = channel.lane, self._clock()
        form = lane.options.format
        fields = ping_fields(channel_id=lane.channel_id, created_at=now, zone=self._zone)
        body = render("ping", fields, form)
        headers = headers_beside_the_queue("ping", now, body, channel.signers(now), form)
        deadline = attempt_seconds(lane.channel_type, lane.options.timeout, self.timeout)
        sent = {**channel.headers, **headers}
        outcome = await self._client.post(
            lane.webhook_url, body, sent, deadline, networks_of(lane.options.networks)
        )
        shown = {**dict.fromkeys(channel.headers, HIDDEN), **headers}
        return Exchange(lane.webhook_url, shown, body, outcome)

    async def call(self, webhook: RuleWebhook, lane: Claimed, values: Values) -> Exchange:
        """As its rule would call it. Raises WebhookBodyTooLong."""
        now, body = self._clock(), body_of(webhook, values).encode()
        url = filled_url(webhook.url, url_values_of(webhook, values))
        headers = headers_beside_the_queue("test", now, body, lane.signers(now), webhook.format)
        if not content_type_of(webhook):
            del headers["Content-Type"]
        deadline = attempt_seconds(lane.lane.channel_type, 0, self.timeout)
        sent = {**lane.headers, **headers}
        outcome = await self._client.post(url, body, sent, deadline, method=webhook.method)
        shown = {**dict.fromkeys(lane.headers, HIDDEN), **headers}
        return Exchange(url, shown, body, outcome)
