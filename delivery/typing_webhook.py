"""Tells a channel's receiver that a staff member is typing: at once or not at all, beside the queue, recorded nowhere."""

import asyncio
import time
from collections.abc import Callable
from datetime import tzinfo
from typing import Final

from kanal.delivery.body import render, typing_fields
from kanal.delivery.ledger import Claimed
from kanal.delivery.networks import networks_of
from kanal.delivery.post import WebhookClient
from kanal.delivery.signing import headers_beside_the_queue
from kanal.delivery.verdict import LaneRow

DEADLINE_SECONDS: Final = 3.0
"""Later it is not true any more."""
IN_FLIGHT: Final = 32
"""Of all channels; what comes while so many are under way is dropped."""
IN_FLIGHT_OF_CHANNEL: Final = 4
"""A receiver that hangs takes no more than this."""


class TypingWebhook:
    def __init__(
        self,
        client: WebhookClient,
        zone: tzinfo,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._client = client
        self._zone = zone
        self._clock = clock
        self._posts: dict[asyncio.Task[None], int] = {}
        """And the channel of each."""

    async def close(self) -> None:
        for post in self._posts:
            post.cancel()
        await asyncio.gather(*self._posts, return_exceptions=True)

    def send(
        self, channel: Claimed, *, case_id: int, staff_id: int, user_id: int, custom_user_id: str
    ) -> None:
        """Returns at once. Nothing is sent to a channel that takes no messages at the moment."""
        lane, now = channel.lane, self._clock()
        if lane.state != "active" or lane.paused_until > now or lane.options.polling:
            return
        of_channel = list(self._posts.values()).count(lane.channel_id)
        if len(self._posts) >= IN_FLIGHT or of_channel >= IN_FLIGHT_OF_CHANNEL:
            return
        form = lane.options.format
        fields = typing_fields(
            case_id=case_id,
            staff_id=staff_id,
            user_id=user_id,
            custom_user_id=custom_user_id,
            created_at=now,
            zone=self._zone,
        )
        body = render("typing", fields, form)
        headers = headers_beside_the_queue("typing", now, body, channel.signers(now), form)
        post = asyncio.create_task(self._post(lane, body, {**channel.headers, **headers}))
        self._posts[post] = lane.channel_id
        post.add_done_callback(lambda ended: self._posts.pop(ended, None))

    async def _post(self, lane: LaneRow, body: bytes, headers: dict[str, str]) -> None:
        networks = networks_of(lane.options.networks)
        await self._client.post(lane.webhook_url, body, headers, DEADLINE_SECONDS, networks)
