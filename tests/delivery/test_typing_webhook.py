"""That staff are typing goes out at once, signed, or not at all."""

import asyncio
import json
from typing import Any

from delivering import LOOPBACK, ZONE
from standardwebhooks import Webhook
from webhook_receiver import Receiver, closed_port, hang

from kanal.delivery.address_guard import AddressGuard
from kanal.delivery.ledger import Claimed
from kanal.delivery.ping import Pinger
from kanal.delivery.post import WebhookClient
from kanal.delivery.signing import Secret, new_private_key, new_secret
from kanal.delivery.typing_webhook import IN_FLIGHT_OF_CHANNEL, TypingWebhook
from kanal.delivery.verdict import LaneRow
from kanal.domain.webhook_options import WebhookOptions

SECRET = new_secret()
HELD_UP_SECONDS = 0.05
"""Long enough for a POST that must not come."""


def channel(url: str, channel_id: int = 1, **fields: Any) -> Claimed:
    values = {
        **dict.fromkeys(LaneRow.__struct_fields__, 0),
        "channel_id": channel_id,
        "webhook_url": url,
        "channel_type": "sync",
        "state": "active",
        "owner": "",
        "options": WebhookOptions(),
        **fields,
    }
    return Claimed(LaneRow(**values), (Secret(SECRET, new_private_key(), 1, None),))


def say(webhook: TypingWebhook, claimed: Claimed) -> None:
    webhook.send(claimed, case_id=7, staff_id=2, user_id=5, custom_user_id="007 ~ж")


async def test_it_is_a_form_signed_like_a_message() -> None:
    guard = AddressGuard(LOOPBACK)
    async with Receiver() as receiver, WebhookClient(guard, version="1") as client:
        webhook = TypingWebhook(client, ZONE)
        say(webhook, channel(receiver.url))
        [request] = await receiver.wait_for(1)
        await webhook.close()
    form = request.form
    date = form.pop("object[created_at]")
    assert date.endswith("+0300")
    assert form == {
        "type": "typing",
        "object[case_id]": "7",
        "object[staff_id]": "2",
        "object[user_id]": "5",
        "object[custom_user_id]": "007 ~ж",
    }
    assert request.headers["webhook-id"].startswith("typing_")
    Webhook(SECRET).verify(request.body, request.headers, json_parse=False)


async def test_it_and_the_test_button_speak_the_channels_form() -> None:
    guard = AddressGuard(LOOPBACK)
    async with Receiver() as receiver, WebhookClient(guard, version="1") as client:
        webhook, pinger = TypingWebhook(client, ZONE), Pinger(client, ZONE, 5.0)
        own = channel(receiver.url, options=WebhookOptions(format="json"))
        say(webhook, own)
        [typing] = await receiver.wait_for(1)
        await webhook.close()
        exchange = await pinger.ping(own)
    ping = receiver.received[1]
    assert [json.loads(each.body)["type"] for each in (typing, ping)] == ["typing", "ping"]
    assert json.loads(typing.body)["object"]["custom_user_id"] == "007 ~ж"
    assert {each.headers["content-type"] for each in (typing, ping)} == {"application/json"}
    assert exchange.headers["Content-Type"] == "application/json"
    for each in (typing, ping):
        Webhook(SECRET).verify(each.body, each.headers)


async def test_nothing_is_sent_while_the_channel_takes_no_messages() -> None:
    guard = AddressGuard(LOOPBACK)
    async with Receiver() as receiver, WebhookClient(guard, version="1") as client:
        webhook = TypingWebhook(client, ZONE)
        for fields in ({"state": "disabled"}, {"state": "deleted"}, {"paused_until": 2**60}):
            say(webhook, channel(receiver.url, **fields))
        await asyncio.sleep(HELD_UP_SECONDS)
        assert receiver.received == []


async def test_a_receiver_that_hangs_holds_up_no_other_and_nothing_is_tried_again() -> None:
    guard = AddressGuard(LOOPBACK)
    async with (
        Receiver(hang()) as slow,
        Receiver() as quick,
        WebhookClient(guard, version="1") as client,
    ):
        webhook = TypingWebhook(client, ZONE)
        for _ in range(IN_FLIGHT_OF_CHANNEL + 3):
            say(webhook, channel(slow.url))
        say(webhook, channel(quick.url, 2))
        say(webhook, channel(f"http://127.0.0.1:{closed_port()}/", 3))
        await quick.wait_for(1)
        await slow.wait_for(IN_FLIGHT_OF_CHANNEL)
        await asyncio.sleep(HELD_UP_SECONDS)
        assert len(slow.received) == IN_FLIGHT_OF_CHANNEL
        await webhook.close()
