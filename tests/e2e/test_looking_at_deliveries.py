"""What an administrator sees of webhooks: a test of the URL, and every attempt of a delivery."""

from pathlib import Path

import pytest
from kanal_process import Client
from nursery import Nursery
from standardwebhooks import Webhook
from webhook_receiver import Receiver, status

pytestmark = pytest.mark.timeout(180)  # processes start, on a machine that may be busy

CHANNEL = {"title": "App", "channel_type": "sync"}
CASE = {"user_custom_id": "u1", "channel": "cch1", "subject": "S", "content": "Hello"}


async def made_channel(client: Client, url: str) -> str:
    """The channel's secret."""
    fields = {"custom_channel": {**CHANNEL, "webhook_url": url}}
    made = await client("POST", "custom_channels.json", fields)
    return str(made["custom_channel"]["secret"])


async def test_a_ping_is_signed_as_a_message_and_shows_the_whole_exchange(
    nursery: Nursery, data_dir: Path, database_url: str
) -> None:
    async with (
        Receiver() as receiver,
        nursery.serving(data_dir, database_url) as kanal,
        kanal.client() as client,
    ):
        secret = await made_channel(client, receiver.url)
        receiver.then(status(200, b"taken"), status(404, b"no such hook"))
        ping = (await client("POST", "custom_channels/cch1/ping.json"))["ping"]
        [got] = receiver.received
        assert got.form["type"] == "ping"
        assert list(got.form) == ["type", "object[channel_id]", "object[created_at]"]
        Webhook(secret).verify(got.body, got.headers, json_parse=False)
        assert (ping["succeeded"], ping["class"], ping["http_status"]) == (True, "ok", 200)
        assert (ping["excerpt"], ping["address"]) == ("taken", "127.0.0.1")
        request = ping["request"]
        assert request["url"] == receiver.url
        assert request["body"] == got.body.decode()
        assert {name: got.headers[name.lower()] for name in request["headers"]} == request[
            "headers"
        ]

        refused = (await client("POST", "custom_channels/1/ping.json"))["ping"]
        assert (refused["succeeded"], refused["http_status"]) == (False, 404)
        assert "404" in refused["sentence"]
        first, second = (each.headers["webhook-id"] for each in receiver.received)
        assert first != second
        assert await client("GET", "deliveries.json") == {"total_count": 0}


async def test_a_ping_goes_to_no_forbidden_address_and_to_no_deleted_channel(
    nursery: Nursery, data_dir: Path
) -> None:
    async with (
        Receiver() as receiver,
        nursery.serving(data_dir) as kanal,
        kanal.client() as client,
    ):
        await made_channel(client, receiver.url)
        await client("PUT", "custom_channels/1/disable.json")
        assert (await client("POST", "custom_channels/1/ping.json"))["ping"]["succeeded"]
        await kanal.stop()
        kanal.environment["KANAL_WEBHOOK_ALLOW"] = ""
        await kanal.start()
        ping = (await client("POST", "custom_channels/1/ping.json"))["ping"]
        assert (ping["succeeded"], ping["class"]) == (False, "blocked_by_policy")
        await client("DELETE", "custom_channels/1.json")
        code, error = await client.answer("POST", "custom_channels/1/ping.json")
        assert (code, error["error"]) == (404, "channel_not_found")
        assert len(receiver.received) == 1


async def test_a_delivery_shows_its_bytes_and_every_attempt(
    nursery: Nursery, data_dir: Path, database_url: str
) -> None:
    async with (
        Receiver() as receiver,
        nursery.serving(data_dir, database_url) as kanal,
        kanal.client() as client,
    ):
        await made_channel(client, receiver.url)
        await client("POST", "cases.json", {"case": CASE})
        receiver.then(status(500, b"oops"))
        await client("POST", "cases/1/messages.json", {"message": {"content": "Hi"}})
        await receiver.wait_for(2)
        delivery_id = receiver.received[0].headers["webhook-id"]
        while True:  # the outcome is recorded a moment after the receiver has answered
            shown = (await client("GET", f"deliveries/{delivery_id}.json"))["delivery"]
            if shown["state"] == "delivered":
                break
        assert shown["delivery_id"] == delivery_id
        assert shown["body"] == receiver.received[1].body.decode()
        assert shown["content_type"] == "application/x-www-form-urlencoded"
        assert (shown["previous_id"], shown["attempts"]) == ("", 2)
        last, first = shown["attempt_log"]
        assert (first["number"], first["class"], first["http_status"]) == (1, "http_status", 500)
        assert (first["excerpt"], first["address"]) == ("oops", "127.0.0.1")
        assert (last["number"], last["class"], last["http_status"]) == (2, "ok", 200)
        assert all(each["milliseconds"] >= 0 for each in shown["attempt_log"])
        code, error = await client.answer("GET", "deliveries/msg_none.json")
        assert (code, error["error"]) == (404, "delivery_not_found")
