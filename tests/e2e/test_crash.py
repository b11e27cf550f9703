"""SIGKILL at any moment under load: what was answered is there once, what was due is delivered, what was recorded is not sent again."""

import asyncio
import random
import sqlite3
from collections import Counter
from pathlib import Path

import aiohttp
import psycopg
import pytest
from kanal_process import Client
from nursery import Nursery
from webhook_receiver import Receiver

pytestmark = pytest.mark.timeout(180)  # processes start and die, on a machine that may be busy

ROUNDS = 4
WRITERS = 8
CASES = 4
SEED = 20261122


class Load:
    """Staff replies and user messages, each with a text of its own, until the server is gone."""

    def __init__(self) -> None:
        self.answered: dict[str, int] = {}
        """Text -> message id."""
        self.enough = asyncio.Event()
        """As many are answered as `enough_after` says."""
        self.enough_after = 0
        self._number = 0

    async def run(self, client: Client) -> None:
        await asyncio.gather(*(self._write(client) for _ in range(WRITERS)))

    async def _write(self, client: Client) -> None:
        while True:
            self._number += 1
            number = self._number
            case_id = number % CASES + 1
            message: dict[str, object] = {"content": f"message {number}"}
            if number % 2:
                message["user_id"] = 1
            try:
                answer = await client(
                    "POST", f"cases/{case_id}/messages.json", {"message": message}
                )
            except (aiohttp.ClientError, ConnectionError):
                return
            self.answered[f"message {number}"] = answer["message"]["message_id"]
            if len(self.answered) >= self.enough_after:
                self.enough.set()


async def test_a_kill_under_load_loses_nothing_and_repeats_nothing(
    nursery: Nursery, data_dir: Path, database_url: str
) -> None:
    dice = random.Random(SEED)
    kanal, load = nursery.kanal(data_dir, database_url), Load()
    async with Receiver() as receiver:
        await kanal.start()
        try:
            async with kanal.client() as client:
                await _fill(client, receiver.url)
            for _ in range(ROUNDS):
                async with kanal.client() as client:
                    load.enough.clear()
                    load.enough_after = len(load.answered) + dice.randint(20, 200)
                    running = asyncio.create_task(load.run(client))
                    await load.enough.wait()
                    await kanal.kill()
                    await running
                recorded = _delivered(data_dir, database_url)
                seen = Counter(_ids(receiver))
                await kanal.start()
                async with kanal.client() as client:
                    await _all_delivered(client)
                again = Counter(_ids(receiver)) - seen
                assert not recorded & set(again)
            async with kanal.client() as client:
                stored = await _stored(client)
        finally:
            await kanal.kill()
        counted = Counter(text for _, text, _ in stored)
        assert not [text for text, count in counted.items() if count > 1]
        by_text = {text: message_id for message_id, text, _ in stored}
        assert {text: by_text.get(text) for text in load.answered} == load.answered
        replies = {message_id for message_id, _, staff_id in stored if staff_id}
        received = {int(each.form["object[message_id]"]) for each in receiver.received}
        assert received == replies
        _assert_in_order(receiver)


def _assert_in_order(receiver: Receiver) -> None:
    """The first receipts of each case come in the log's order."""
    first: dict[str, list[int]] = {}
    for each in receiver.received:
        case = first.setdefault(each.form["object[case_id]"], [])
        message_id = int(each.form["object[message_id]"])
        if message_id not in case:
            case.append(message_id)
    for messages in first.values():
        assert messages == sorted(messages)


async def _fill(client: Client, url: str) -> None:
    channel = {"title": "App", "webhook_url": url, "channel_type": "sync"}
    await client("POST", "custom_channels.json", {"custom_channel": channel})
    for _ in range(CASES):
        case = {"user_custom_id": "u1", "channel": "cch1", "content": "opened"}
        await client("POST", "cases.json", {"case": case})


async def _all_delivered(client: Client) -> None:
    async with asyncio.timeout(30):
        while (await client("GET", "deliveries.json?state=pending&limit=1"))["total_count"]:
            pass


async def _stored(client: Client) -> list[tuple[int, str, int]]:
    """Message id, text, staff id of all messages but the cases' first ones."""
    found = []
    for case_id in range(1, CASES + 1):
        page = 1
        while True:
            answer = await client("GET", f"cases/{case_id}/messages.json?page={page}&limit=100")
            rows = [row["message"] for key, row in answer.items() if key != "total_count"]
            if not rows:
                break
            found += [(row["message_id"], row["content"], row["staff_id"]) for row in rows]
            page += 1
    return [each for each in found if each[1] != "opened"]


def _ids(receiver: Receiver) -> list[str]:
    return [each.headers["webhook-id"] for each in receiver.received]


def _delivered(data_dir: Path, database_url: str) -> set[str]:
    """Webhook ids that the dead process had recorded as delivered."""
    query = "SELECT delivery_id FROM deliveries WHERE state = 'delivered'"
    if database_url:
        with psycopg.connect(database_url) as connection:
            return {row[0] for row in connection.execute(query)}
    with sqlite3.connect(data_dir / "kanal.db") as connection:
        found = {row[0] for row in connection.execute(query)}
    connection.close()
    return found
