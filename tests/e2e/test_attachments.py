"""Files on their way through a real Kanal: in over the API or fetched by address, out to a webhook's receiver."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from kanal_process import Client
from nursery import Nursery
from webhook_receiver import Received, Receiver, delayed, hang, status

pytestmark = pytest.mark.timeout(180)  # several processes start, on a machine that may be busy

CONTENT = bytes(range(256)) * 2000
SECONDS = 30


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Takes webhooks under /hook; what else it is asked for, a test sets in `by_path`."""
    async with Receiver() as receiver:
        yield receiver


def webhooks(receiver: Receiver) -> list[Received]:
    return [request for request in receiver.received if request.path == "/hook"]


async def webhook(receiver: Receiver, number: int = 1) -> Received:
    await receiver.wait_until(lambda: len(webhooks(receiver)) >= number, SECONDS)
    return webhooks(receiver)[number - 1]


def files_in(request: Received) -> list[dict[str, str]]:
    """`object[attachments][0][url]` and its neighbours, as PHP would read them."""
    files: dict[str, dict[str, str]] = {}
    for key, value in request.pairs:
        if key.startswith("object[attachments]["):
            number, name = key.removeprefix("object[attachments][").rstrip("]").split("][")
            files.setdefault(number, {})[name] = value
    return list(files.values())


async def download(url: str) -> bytes:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200
        return await answer.read()


async def open_case(client: Client, receiver: Receiver) -> None:
    channel = {"title": "App", "webhook_url": receiver.url, "channel_type": "async"}
    await client("POST", "custom_channels.json", {"custom_channel": channel})
    case = {"user_custom_id": "u1", "channel": "cch1", "content": "Hello"}
    await client("POST", "cases.json", {"case": case})


async def say(client: Client, text: str = "", path: str = "messages", **fields: Any) -> Any:
    entity = "note" if path == "note" else "message"
    body = {entity: {"content": text, **fields}}
    return (await client("POST", f"cases/1/{path}.json", body))["message"]


async def shown(client: Client, message_id: int, **wanted: bool) -> Any:
    """The message in its list, as soon as it has, or has not, those keys."""
    give_up = time.monotonic() + SECONDS
    while True:
        listed = await client("GET", "cases/1/messages.json")
        rows = [row["message"] for key, row in listed.items() if key != "total_count"]
        [message] = [row for row in rows if row["message_id"] == message_id]
        if all((key in message) == there for key, there in wanted.items()):
            return message
        assert time.monotonic() < give_up, message


def at(receiver: Receiver, path: str) -> str:
    return f"http://127.0.0.1:{receiver.port}{path}"


async def test_a_replys_file_reaches_the_receiver_who_downloads_it(
    nursery: Nursery, data_dir: Path, database_url: str, receiver: Receiver
) -> None:
    async with nursery.serving(data_dir, database_url) as kanal, kanal.client() as client:
        await open_case(client, receiver)
        form = aiohttp.FormData(quote_fields=False)
        form.add_field("message[content]", "Договор")
        form.add_field(
            "message[attachments][0]", CONTENT, filename="договор №1.pdf", content_type="x/y"
        )
        sent = await client("POST", "cases/1/messages.json", data=form)
        request = await webhook(receiver)
        [file] = files_in(request)
        [answered] = sent["message"]["attachments"]
        assert file == {name: str(value) for name, value in answered.items()}
        assert file["file_name"] == "договор №1.pdf"
        assert await download(file["url"]) == CONTENT
        keys = [key for key, _ in request.pairs]
        assert (keys[0], keys[-1]) == ("type", "object[created_at]")
        assert keys[-2] == "object[attachments][0][url]"
        await kanal.stop()
        await kanal.start()
        # Another port now, since the test lets Kanal choose; the path stays.
        path = file["url"].partition("/files/")[2]
        assert await download(f"{kanal.address}/files/{path}") == CONTENT


async def test_files_named_by_address_are_fetched_and_what_goes_out_waits_for_them(
    nursery: Nursery, data_dir: Path, database_url: str, receiver: Receiver
) -> None:
    png = b"\x89PNG\r\n\x1a\n"
    receiver.by_path["/photo.png"] = status(200, png, {"Content-Type": "image/png"})
    receiver.by_path["/later.txt"] = delayed(0.5, status(200, b"later"))
    receiver.by_path["/gone"] = status(404)
    async with nursery.serving(data_dir, database_url) as kanal, kanal.client() as client:
        await open_case(client, receiver)
        urls = [at(receiver, path) for path in ("/photo.png", "/later.txt", "/gone")]
        reply = await say(client, "See", attachment_urls=urls)
        assert (reply["attachments"], reply["awaited_attachments"]) == ([], urls)
        request = await webhook(receiver)
        files = files_in(request)
        assert [file["file_name"] for file in files] == ["photo.png", "later.txt"]
        assert [await download(file["url"]) for file in files] == [png, b"later"]
        message = await shown(client, reply["message_id"], awaited_attachments=False)
        assert message["missed_attachments"] == [
            {"url": urls[2], "reason": "it answered with status 404"}
        ]
        assert [str(file["file_id"]) for file in message["attachments"]] == [
            file["file_id"] for file in files
        ]
        note = await say(client, "For us", "note", attachment_urls=urls[:1])
        request = await webhook(receiver, 2)
        assert request.form["object[note]"] == "1"
        assert len(files_in(request)) == 1
        assert request.form["object[message_id]"] == str(note["message_id"])


async def test_a_users_message_is_shown_before_its_files_are_there(
    nursery: Nursery, data_dir: Path, receiver: Receiver
) -> None:
    go = asyncio.Event()

    async def when_told(request: Received, line: Any) -> None:
        await go.wait()
        await status(200, b"content")(request, line)

    receiver.by_path["/slow.txt"] = when_told
    async with nursery.serving(data_dir) as kanal, kanal.client() as client:
        await open_case(client, receiver)
        sent = await say(client, "Look", user_id=1, attachment_urls=at(receiver, "/slow.txt"))
        await receiver.wait_for(1)
        message = await shown(client, sent["message_id"], awaited_attachments=True)
        assert message["attachments"] == []
        go.set()
        message = await shown(client, sent["message_id"], awaited_attachments=False)
        assert [file["file_name"] for file in message["attachments"]] == ["slow.txt"]
        assert webhooks(receiver) == []


async def test_a_server_that_fails_at_first_is_asked_again(
    nursery: Nursery, data_dir: Path, receiver: Receiver
) -> None:
    async with nursery.serving(data_dir) as kanal, kanal.client() as client:
        await open_case(client, receiver)
        receiver.then(status(503), status(500))
        sent = await say(client, user_id=1, attachment_urls=[at(receiver, "/flaky.txt")])
        message = await shown(client, sent["message_id"], awaited_attachments=False)
        assert len(message["attachments"]) == 1
        assert len(receiver.received) == 3


async def test_a_fetch_that_a_crash_cut_off_is_done_again_and_attached_once(
    nursery: Nursery, data_dir: Path, database_url: str, receiver: Receiver
) -> None:
    receiver.then(hang())
    kanal = nursery.kanal(data_dir, database_url)
    await kanal.start()
    try:
        async with kanal.client() as client:
            await open_case(client, receiver)
            sent = await say(client, "See", attachment_urls=[at(receiver, "/file.txt")])
        await receiver.wait_for(1)
        await kanal.kill()
        await kanal.start()
        request = await webhook(receiver)
        [file] = files_in(request)
        assert await download(file["url"]) == b'{"result":"ok"}'
        async with kanal.client() as client:
            message = await shown(client, sent["message_id"], awaited_attachments=False)
            assert len(message["attachments"]) == 1
        assert len(webhooks(receiver)) == 1
        await kanal.stop()
        assert not [path for path in (data_dir / "uploads").rglob("*") if path.is_file()]
    finally:
        await kanal.kill()


async def test_files_survive_a_backup_from_either_database_to_the_other(
    nursery: Nursery,
    tmp_path: Path,
    database_url: str,
    postgres_url: str,
    receiver: Receiver,
) -> None:
    archive = str(tmp_path / "kanal.zip")
    async with nursery.serving(tmp_path / "old", database_url) as kanal, kanal.client() as client:
        await open_case(client, receiver)
        form = aiohttp.FormData()
        form.add_field("note[attachments][]", CONTENT, filename="a.bin")
        sent = await client("POST", "cases/1/note.json", data=form)
        path = sent["message"]["attachments"][0]["url"].partition("/files/")[2]
        code, output = await kanal.command("backup", archive)
        assert code == 0, output
    restored = nursery.kanal(tmp_path / "new", "" if database_url else postgres_url)
    code, output = await restored.command("restore", archive)
    assert code == 0, output
    await restored.start()
    try:
        assert await download(f"{restored.address}/files/{path}") == CONTENT
    finally:
        await restored.kill()
