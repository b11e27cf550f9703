"""A reply that waits, while the process dies and comes back: it goes out at its time, once, as it was last edited."""

import time
from pathlib import Path

import pytest
from kanal_process import Kanal
from webhook_receiver import Receiver

pytestmark = pytest.mark.timeout(120)  # processes start and die, on a machine that may be busy

SECONDS = 3.0


def distinct(receiver: Receiver) -> list[tuple[str, str]]:
    """Number and text of each webhook at its first coming: one whose answer a kill cut off comes again."""
    first: dict[str, dict[str, str]] = {}
    for each in receiver.received:
        first.setdefault(each.headers["webhook-id"], each.form)
    return [(each["object[message_id]"], each["object[content]"]) for each in first.values()]


async def seen(receiver: Receiver, webhooks: int) -> None:
    await receiver.wait_until(lambda: len(distinct(receiver)) >= webhooks, 30)


async def test_a_delayed_reply_survives_a_kill_and_goes_out_once(
    data_dir: Path, database_url: str
) -> None:
    kanal = Kanal(data_dir, database_url)
    async with Receiver() as receiver:
        await kanal.start()
        try:
            async with kanal.client() as client:
                channel = {"title": "App", "webhook_url": receiver.url, "channel_type": "async"}
                await client("POST", "custom_channels.json", {"custom_channel": channel})
                case = {"user_custom_id": "u1", "channel": "cch1", "content": "Help!"}
                await client("POST", "cases.json", {"case": case})
                soon = time.time() + SECONDS
                for content, send_at in (("first", soon), ("second", soon), ("late", soon + 1e6)):
                    message = {"content": content, "send_at": f"{send_at:.6f}"}
                    await client("POST", "cases/1/messages.json", {"message": message})
                await client("PUT", "cases/1/messages/2.json", {"content": "edited"})
                await client("POST", "cases/1/messages.json", {"message": {"content": "at once"}})
            await seen(receiver, 1)
            await kanal.kill()
            await kanal.start()
            await seen(receiver, 3)
            assert time.time() >= soon
            await kanal.kill()
            await kanal.start()
            async with kanal.client() as client:
                await client("POST", "cases/1/messages.json", {"message": {"content": "last"}})
                await seen(receiver, 4)
                listed = await client("GET", "cases/1/messages.json")
        finally:
            await kanal.kill()
    sent = distinct(receiver)
    assert sent == [("5", "at once"), ("2", "edited"), ("3", "second"), ("6", "last")]
    assert [listed[str(at)]["message"]["content"] for at in range(6)] == [
        *("Help!", "edited", "second", "late", "at once", "last")
    ]
