"""`kanal deliveries` beside a `kanal serve` and without one, on each database."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from kanal_process import Client, Kanal
from nursery import Nursery
from webhook_receiver import Receiver

from kanal.__main__ import main

CASE = {"user_custom_id": "u1", "channel": "cch1", "content": "Hello"}


async def kanal_deliveries(kanal: Kanal, *arguments: str) -> tuple[int, str]:
    """In this process, to save the start of another; the settings are those of the installation."""
    settings = {name: value for name, value in kanal.environment.items() if name[:6] == "KANAL_"}
    run = CliRunner(env=settings).invoke
    result = await asyncio.to_thread(run, main, ["deliveries", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result.exit_code, result.output


async def answered(kanal: Kanal, *arguments: str) -> Any:
    code, output = await kanal_deliveries(kanal, *arguments, "--json")
    assert code == 0, output
    return json.loads(output)


async def until_state(client: Client, delivery_id: str, state: str) -> None:
    async with asyncio.timeout(20):
        while True:
            shown = await client("GET", f"deliveries/{delivery_id}.json")
            if shown["delivery"]["state"] == state:
                return


@pytest.mark.timeout(180)
async def test_an_operator_looks_at_deliveries_and_decides_with_or_without_a_server(
    nursery: Nursery, data_dir: Path, database_url: str
) -> None:
    async with Receiver() as receiver, nursery.serving(data_dir, database_url) as kanal:
        async with kanal.client() as client:
            channel = {"title": "App", "webhook_url": receiver.url, "channel_type": "async"}
            await client("POST", "custom_channels.json", {"custom_channel": channel})
            await client("POST", "cases.json", {"case": CASE})
            await client("PUT", "custom_channels/1/disable.json")
            for text in ("One", "Two"):
                await client("POST", "cases/1/messages.json", {"message": {"content": text}})
            listed = await answered(kanal, "list", "--channel", "cch1")
            two, one = (listed[at]["delivery"]["delivery_id"] for at in "01")
            assert listed == await client("GET", "deliveries.json")
            held = await answered(kanal, "hold", one, "--reason", "Not yet")
            assert held["delivery"]["reason"] == "Held by the operator. Not yet"
            assert (await answered(kanal, "skip", two))["delivery"]["state"] == "dead"
            await client("PUT", "custom_channels/1/enable.json")
            assert (await kanal_deliveries(kanal, "release", one))[0] == 0
            await until_state(client, one, "delivered")
            code, output = await kanal_deliveries(kanal, "hold", one)
            assert (code, f"Delivery {one} is delivered" in output) == (1, True)
        await kanal.stop()

        code, output = await kanal_deliveries(kanal, "list")
        assert code == 0
        assert [line.split()[0] for line in output.splitlines()[1:3]] == [two, one]
        assert "Skipped by the operator." in output
        code, output = await kanal_deliveries(kanal, "show", one)
        assert "The receiver took the message (HTTP 200)." in output
        assert (await kanal_deliveries(kanal, "show", "msg_none"))[0] == 1
        assert (await kanal_deliveries(kanal, "replay"))[0] == 1
        assert (await kanal_deliveries(kanal, "replay", "--ended-as", "lost"))[0] == 2
        code, output = await kanal_deliveries(kanal, "replay", "--case", "1", "--dry-run")
        assert (code, output) == (0, "2 deliveries would be sent again.\n")
        asked = await answered(kanal, "replay", "--case", "1", "--ended-as", "delivered")
        assert (asked["replay"]["replay_id"], asked["replay"]["total"]) == (1, 1)
        assert (await answered(kanal, "replay", two))["replay"]["delivery_id"] == two
        assert (await answered(kanal, "cancel", "2"))["replay"]["state"] == "cancelled"
        code, output = await kanal_deliveries(kanal, "replays")
        assert [line.split()[:2] for line in output.splitlines()[1:3]] == [
            ["2", "cancelled"],
            ["1", "running"],
        ]

        await kanal.start()
        await receiver.wait_for(2)
        assert (await kanal_deliveries(kanal, "retry", two))[0] == 0
        await receiver.wait_for(3)
    texts = [request.form["object[content]"] for request in receiver.received]
    assert texts == ["One", "One", "Two"]
    flags = [request.headers.get("kanal-replay") for request in receiver.received]
    assert flags == [None, "1", None]


def test_without_an_installation_there_is_nothing_to_decide(tmp_path: Path) -> None:
    result = CliRunner(env={"KANAL_DATA_DIR": str(tmp_path)}).invoke(main, ["deliveries", "list"])
    assert (result.exit_code, "there is no installation" in result.output) == (1, True)
