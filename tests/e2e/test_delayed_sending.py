"""A reply that waits, while the process dies and comes back: it goes out at its time, once, as it was last edited."""

import signal
import time
from pathlib import Path

from nursery import Fate, ForkedKanal, Nursery
from webhook_receiver import Receiver

SECONDS = 30
"""Until what is due has come, on a machine that may be busy."""
HALF_AN_HOUR = 1800.0


def distinct(receiver: Receiver) -> list[tuple[str, str]]:
    """Number and text of each webhook at its first coming: one whose answer a kill cut off comes again."""
    first: dict[str, dict[str, str]] = {}
    for each in receiver.received:
        first.setdefault(each.headers["webhook-id"], each.form)
    return [(each["object[message_id]"], each["object[content]"]) for each in first.values()]


async def seen(receiver: Receiver, webhooks: int) -> None:
    await receiver.wait_until(lambda: len(distinct(receiver)) >= webhooks, SECONDS)


async def killed_and_started_again(kanal: ForkedKanal) -> None:
    await kanal.kill()
    await kanal.start(fate=Fate(moving_clock=True))


async def test_a_delayed_reply_survives_a_kill_and_goes_out_once(
    nursery: Nursery, data_dir: Path, database_url: str
) -> None:
    kanal = nursery.kanal(data_dir, database_url)
    async with Receiver() as receiver:
        await kanal.start()
        async with kanal.client() as client:
            channel = {"title": "App", "webhook_url": receiver.url, "channel_type": "async"}
            await client("POST", "custom_channels.json", {"custom_channel": channel})
            case = {"user_custom_id": "u1", "channel": "cch1", "content": "Help!"}
            await client("POST", "cases.json", {"case": case})
            soon = time.time() + HALF_AN_HOUR
            for content, send_at in (("first", soon), ("second", soon), ("late", soon + 1e6)):
                message = {"content": content, "send_at": f"{send_at:.6f}"}
                await client("POST", "cases/1/messages.json", {"message": message})
            await client("PUT", "cases/1/messages/2.json", {"content": "edited"})
            await client("POST", "cases/1/messages.json", {"message": {"content": "at once"}})
        await seen(receiver, 1)
        await killed_and_started_again(kanal)
        async with kanal.client() as client:
            await client("POST", "cases/1/messages.json", {"message": {"content": "before"}})
            await seen(receiver, 2)
        kanal.send_signal(signal.SIGUSR1)  # an hour passes
        await seen(receiver, 4)
        await killed_and_started_again(kanal)
        kanal.send_signal(signal.SIGUSR1)
        async with kanal.client() as client:
            await client("POST", "cases/1/messages.json", {"message": {"content": "last"}})
            await seen(receiver, 5)
            listed = await client("GET", "cases/1/messages.json")
    sent = distinct(receiver)
    at_once, later = sent[:2], sent[2:]
    assert at_once == [("5", "at once"), ("6", "before")]
    assert later == [("2", "edited"), ("3", "second"), ("7", "last")]
    assert [listed[str(at)]["message"]["content"] for at in range(7)] == [
        *("Help!", "edited", "second", "late", "at once", "before", "last")
    ]
