"""What goes out on a channel, for a receiver that asks for it; the client of docs/delivery.md is run as it stands there."""

import asyncio
import re
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from served_api import EMAIL, KEY, Api, caller, settings_of

from kanal.bootstrap import opened, running
from kanal.delivery import polling
from kanal.http.api import outbox

DELIVERY = (Path(__file__).parents[3] / "docs" / "delivery.md").read_text()
CLIENT = re.compile(r"## Without an address.*?```python\n(.*?)```", re.DOTALL)
DEADLINE = 20
"""Seconds; well under the thirty that a call may wait."""


@pytest.fixture
async def channel(api: Api) -> str:
    """A polled channel with a case of its own, and no Webhook URL."""
    made = await api.post(
        "custom_channels.json",
        {"custom_channel": {"title": "App", "channel_type": "sync", "webhook_polling": 1}},
    )
    assert made["custom_channel"]["webhook_url"] == ""
    key: str = made["custom_channel"]["channel_api_key"]
    return key


async def asked(api: Api, channel: str, query: str = "") -> Any:
    return (await api.get(f"custom_channels/{channel}/outbox.json{query}"))["outbox"]


async def until_waiting(api: Api) -> None:
    async def waits() -> bool:
        return "kanal_outbox_calls_waiting 1.0" in (await api.call("GET", "../metrics")).text

    while not await waits():  # noqa: ASYNC110 asked as a program asks
        await asyncio.sleep(0.01)


async def written(api: Api, channel: str) -> None:
    """Two cases on the channel with two replies each, and one elsewhere."""
    await api.channel()
    await api.message((await api.case(channel="cch2"))["case_id"])
    cases = [(await api.case(channel=channel, user_custom_id=who))["case_id"] for who in "ab"]
    for case_id in cases + cases:
        await api.message(case_id)


async def test_pages_follow_the_log_with_the_ids_and_bytes_of_the_webhooks(
    api: Api, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = await asked(api, channel)
    assert (empty["deliveries"], empty["more"]) == ([], False)
    await written(api, channel)
    whole = await asked(api, channel, f"?after={empty['cursor']}")
    assert [each["sequence"] for each in whole["deliveries"]] == [1, 1, 2, 2]
    for each in whole["deliveries"]:
        listed = (await api.get(f"deliveries/{each['delivery_id']}.json"))["delivery"]
        assert listed.items() >= each.items()
    assert await asked(api, channel) == whole

    first = await asked(api, channel, "?limit=3")
    rest = await asked(api, channel, f"?limit=3&after={first['cursor']}")
    assert first["deliveries"] + rest["deliveries"] == whole["deliveries"]
    assert (first["more"], rest["more"]) == (True, False)
    assert rest["cursor"] == whole["cursor"]
    end = await asked(api, channel, f"?after={rest['cursor']}")
    assert end == {"deliveries": [], "cursor": rest["cursor"], "more": False}

    # However large the bodies are, one comes at least.
    monkeypatch.setattr(polling, "PAGE_BYTES", 1)
    one = await asked(api, channel)
    assert (one["deliveries"], one["more"]) == (whole["deliveries"][:1], True)

    elsewhere = await api.call("GET", f"custom_channels/cch2/outbox.json?after={end['cursor']}")
    assert elsewhere.refusal == (400, "wrong_cursor")
    await api.call("DELETE", f"custom_channels/{channel}.json")
    gone = await api.call("GET", f"custom_channels/{channel}/outbox.json")
    assert gone.refusal == (404, "channel_not_found")


async def test_a_cursor_of_another_log_is_refused(api: Api, channel: str) -> None:
    await written(api, channel)
    page = await asked(api, channel)

    def restored(connection: Any) -> None:
        connection.exec_driver_sql("UPDATE deliveries SET delivery_id = 'other' || delivery_id")

    await api.store.writer.run(restored)
    refused = await api.call("GET", f"custom_channels/{channel}/outbox.json?after={page['cursor']}")
    assert refused.refusal == (400, "wrong_cursor")


async def test_what_is_acknowledged_is_delivered(
    api: Api, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "CHUNK", 1)
    await written(api, channel)
    two = await asked(api, channel, "?limit=2")
    path = f"custom_channels/{channel}/outbox/acknowledge.json"
    done = await api.put(path, {"cursor": two["cursor"]})
    assert done == {"outbox": {"acknowledged": 2}}
    states = [each["state"] for each in (await asked(api, channel))["deliveries"]]
    assert states == ["delivered", "delivered", "pending", "pending"]
    assert await api.put(path, {"cursor": two["cursor"]}) == {"outbox": {"acknowledged": 0}}

    posted = await asked(api, "cch2")
    refused = await api.call(
        "PUT", "custom_channels/2/outbox/acknowledge.json", {"cursor": posted["cursor"]}
    )
    assert refused.refusal == (400, "channel_not_polled")


async def test_a_channel_needs_a_url_or_is_polled(api: Api, channel: str) -> None:
    refused = await api.call(
        "POST", "custom_channels.json", {"title": "App", "channel_type": "sync"}
    )
    assert refused.refusal == (400, "webhook_url_required")
    refused = await api.call("PUT", f"custom_channels/{channel}.json", {"webhook_polling": 0})
    assert refused.refusal == (400, "webhook_url_required")
    url = {"webhook_polling": 0, "webhook_url": "https://example.com/hook"}
    changed = await api.put(f"custom_channels/{channel}.json", url)
    assert changed["custom_channel"]["webhook_polling"] is False


async def test_a_call_that_waits_is_answered_when_something_comes(
    api: Api, channel: str, tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "LOOK_SECONDS", 60)  # only being told helps
    case_id = (await api.case(channel=channel))["case_id"]
    cursor = (await asked(api, channel, "?wait=1"))["cursor"]

    async def heard(writing: Api) -> None:
        nonlocal cursor
        waiting = asyncio.create_task(asked(api, channel, f"?wait=30&after={cursor}"))
        await until_waiting(api)
        await writing.message(case_id)
        async with asyncio.timeout(DEADLINE):
            page = await waiting
        assert len(page["deliveries"]) == 1
        cursor = page["cursor"]

    await heard(api)
    await heard(api)
    if database_url:  # from another process too
        folder = tmp_path / "other"
        with opened(settings_of(folder, database_url)) as store:
            async with running(store, role="api") as kanal, caller(kanal.address, store) as other:
                await heard(other)


async def test_kanal_does_not_wait_for_calls_that_wait(data_dir: Path, database_url: str) -> None:
    with opened(settings_of(data_dir, database_url)) as store:
        kanal = running(store, role="api")
        address = (await kanal.__aenter__()).address
        async with caller(address, store) as api:
            await api.channel(webhook_polling=1)
            waiting = asyncio.create_task(asked(api, "cch1", "?wait=30"))
            await until_waiting(api)
            async with asyncio.timeout(DEADLINE):
                await kanal.__aexit__(None, None, None)
                assert (await waiting)["deliveries"] == []


async def test_the_documented_client_takes_each_message_once(api: Api, channel: str) -> None:
    await written(api, channel)
    found = CLIENT.search(DELIVERY)
    assert found
    taken: list[str] = []
    saved: Queue[str] = Queue()

    class Enough(Exception):
        pass

    def take(delivery_id: str, body: str) -> None:
        assert body.startswith("type=message_new&")
        taken.append(delivery_id)

    def save(cursor: str) -> None:
        saved.put(cursor)
        if len(taken) == 6:
            raise Enough

    names = {
        "KANAL": api.address,
        "EMAIL": EMAIL,
        "KEY": KEY,
        "CHANNEL": channel,
        "saved_cursor": str,
        "save": save,
        "take": take,
    }

    def client() -> None:
        with pytest.raises(Enough):
            exec(found[1], names)  # noqa: S102 our own paper

    running_client = asyncio.create_task(asyncio.to_thread(client))
    for _ in range(2):
        assert await asyncio.to_thread(saved.get, timeout=DEADLINE)
        case_id = (await api.case(channel=channel, user_custom_id="c"))["case_id"]
        await api.message(case_id)
    async with asyncio.timeout(DEADLINE):
        await running_client
    assert len(set(taken)) == len(taken) == 6
