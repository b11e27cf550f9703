"""Duties about files: named ones are fetched and attached, forgotten ones are removed; on a real log."""

import asyncio
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from folding import email
from story import person

from kanal.automation.agenda import Hand
from kanal.automation.fetch_files import GIVE_UP_SECONDS, FetchFiles, FilesMissing
from kanal.automation.orphans import AGE_SECONDS, EVERY, OrphanedFiles
from kanal.bootstrap import Store, opened
from kanal.domain.channels import create_channel
from kanal.domain.conversation import add_staff_reply, open_case
from kanal.domain.files import Fetched, NewFile, NotFetched
from kanal.domain.message_events import Texts
from kanal.domain.messages import Original, delete_message
from kanal.domain.staff import create_staff
from kanal.projections import files, runner
from kanal.projections.files import Attached, Awaited
from kanal.projections.registry import CORE
from kanal.settings import Settings

A, B = "https://example.com/a", "https://example.com/b"
SECOND = 1_000_000


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000 * SECOND

    def __call__(self) -> int:
        return self.now


class Servers:
    """Answers each address with what stands under it: contents, or a refusal."""

    def __init__(self) -> None:
        self.give: dict[str, bytes | NotFetched] = {}
        self.asked: list[str] = []
        self.fetching = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()

    async def fetch(self, url: str, target: Path) -> Fetched | NotFetched:
        self.asked.append(url)
        self.fetching.set()
        await self.go.wait()
        given = self.give[url]
        if isinstance(given, NotFetched):
            return given
        await asyncio.to_thread(target.write_bytes, given)
        return Fetched("../../Отчёт.txt\r\n", "text/plain; charset=x", len(given))


@pytest.fixture
def store(data_dir: Path, database_url: str) -> Iterator[Store]:
    """A case on a custom channel, with one message."""
    with opened(Settings(data_dir=data_dir, database_url=database_url)) as store:
        do(
            store,
            create_channel,
            title="App",
            webhook_url="https://example.com/hook",
            channel_type="async",
            secret_fingerprint="f",
        )
        address = email("anna@example.com")
        do(store, create_staff, email=address, full_name="Anna", key_fingerprint="f")
        do(store, open_case, who=person("u1"), content="Hello")
        yield store


@pytest.fixture
def servers() -> Servers:
    return Servers()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def duty(store: Store, servers: Servers, clock: Clock, data_dir: Path) -> FetchFiles:
    folder = data_dir / "fetching"
    folder.mkdir()
    hand = Hand(store.writer, FetchFiles.name)
    return FetchFiles(servers.fetch, hand, store.database.files, folder, clock)


def do(store: Store, command: Callable[..., Any], **arguments: Any) -> Any:
    return store.writer.submit_and_wait(partial(command, **arguments)).result


def reply(store: Store, *urls: str) -> int:
    added = do(store, add_staff_reply, case_id=1, staff_id=1, content="See", attachment_urls=urls)
    return int(added.message_id)


def due(store: Store, duty: FetchFiles) -> list[Awaited]:
    with store.database.reading() as connection:
        return list(duty.due(connection, runner.views(connection, CORE), 0))


def attached(store: Store, message_id: int) -> Attached:
    with store.database.reading() as connection:
        views = runner.views(connection, CORE)
        return files.of_messages(connection, views, [message_id])[message_id]


def stored(store: Store) -> set[str]:
    return {token for tokens in store.database.files.stored() for token in tokens}


def sent(store: Store) -> int:
    """Messages that went out."""
    events: list[Any] = [recorded.event for recorded in store.database.events_after(0)]
    return sum(getattr(event, "outgoing", 0) > 0 for event in events)


async def test_files_are_fetched_cleaned_and_attached_and_then_nothing_is_due(
    store: Store, duty: FetchFiles, servers: Servers, data_dir: Path
) -> None:
    message_id = reply(store, A, B)
    servers.give = {A: b"a", B: b"\x89PNG\r\n\x1a\n"}
    [item] = due(store, duty)
    await duty.act(item)
    assert due(store, duty) == []
    one, two = attached(store, message_id).files
    assert (one.file_name, one.mime_type, one.file_size) == ("Отчёт.txt", "text/plain", 1)
    assert two.mime_type == "image/png"
    assert b"".join(store.database.files.read(one.token)) == b"a"
    assert sent(store) == 1
    assert list((data_dir / "fetching").iterdir()) == []


async def test_what_failed_is_tried_again_what_is_there_is_kept(
    store: Store, duty: FetchFiles, servers: Servers, clock: Clock
) -> None:
    message_id = reply(store, A, B)
    servers.give = {A: b"a", B: NotFetched("it answered with status 503", for_good=False)}
    [item] = due(store, duty)
    clock.now = item.since
    with pytest.raises(FilesMissing, match="503"):
        await duty.act(item)
    [again] = due(store, duty)
    assert again == Awaited(message_id, (B,), item.since)
    assert sent(store) == 0
    servers.give[B] = b"b"
    await duty.act(again)
    assert servers.asked == [A, B, B]
    assert [file.file_size for file in attached(store, message_id).files] == [1, 1]
    assert (due(store, duty), sent(store)) == ([], 1)


@pytest.mark.parametrize("for_good", [True, False])
async def test_what_cannot_be_had_is_given_up_at_once_or_after_ten_minutes(
    store: Store, duty: FetchFiles, servers: Servers, clock: Clock, for_good: bool
) -> None:
    message_id = reply(store, A)
    servers.give = {A: NotFetched("nobody there", for_good=for_good)}
    [item] = due(store, duty)
    clock.now = item.since + (0 if for_good else GIVE_UP_SECONDS * SECOND)
    if not for_good:
        with pytest.raises(FilesMissing):
            await duty.act(item)
        assert due(store, duty) == [item]
        clock.now += 1
    await duty.act(item)
    [missed] = attached(store, message_id).missed
    assert (missed.url, missed.reason) == (A, "nobody there")
    assert (due(store, duty), sent(store), stored(store)) == ([], 1, set())


async def test_an_item_done_twice_attaches_once_and_leaves_no_bytes(
    store: Store, duty: FetchFiles, servers: Servers
) -> None:
    message_id = reply(store, A)
    servers.give = {A: b"a"}
    [item] = due(store, duty)
    await asyncio.gather(duty.act(item), duty.act(item))
    [file] = attached(store, message_id).files
    assert stored(store) == {file.token}
    assert sent(store) == 1


async def test_a_message_deleted_while_its_file_comes_in_gets_none(
    store: Store, duty: FetchFiles, servers: Servers
) -> None:
    message_id = reply(store, A)
    servers.give = {A: b"a"}
    servers.go.clear()
    [item] = due(store, duty)
    acting = asyncio.create_task(duty.act(item))
    await servers.fetching.wait()
    await asyncio.to_thread(
        do,
        store,
        delete_message,
        original=Original(message_id, 1, "staff_reply", 1, Texts("See", "")),
    )
    servers.go.set()
    await acting
    assert (due(store, duty), stored(store), sent(store)) == ([], set(), 0)


async def test_a_fetch_that_is_cut_off_leaves_nothing_and_stays_due(
    store: Store, duty: FetchFiles, servers: Servers, data_dir: Path
) -> None:
    reply(store, A)
    servers.go.clear()
    [item] = due(store, duty)
    acting = asyncio.create_task(duty.act(item))
    await servers.fetching.wait()
    acting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await acting
    assert due(store, duty) == [item]
    assert list((data_dir / "fetching").iterdir()) == []


async def test_bytes_that_no_event_mentions_are_removed_when_they_are_old(
    store: Store, clock: Clock, data_dir: Path
) -> None:
    uploads = [data_dir / name for name in ("mentioned", "forgotten")]
    for upload in uploads:
        upload.write_bytes(b"content")
        os.utime(upload, (clock.now / SECOND, clock.now / SECOND))
    tokens = store.database.files.keep(uploads)
    file = NewFile("a.txt", 7, "text/plain", tokens[0])
    added = do(store, add_staff_reply, case_id=1, staff_id=1, files=(file,))
    original = Original(added.message_id, 1, "staff_reply", 1, Texts("", ""))
    do(store, delete_message, original=original)
    sweep = OrphanedFiles(store.database, CORE, clock)
    if store.database.shared:
        # There the time of storing counts, which is now.
        clock.now = store.writer.clock()
    assert swept(store, sweep, clock)
    await sweep.act(0)
    assert stored(store) == set(tokens)
    assert not swept(store, sweep, clock)
    clock.now += max(EVERY, AGE_SECONDS * SECOND) + SECOND
    assert swept(store, sweep, clock)
    await sweep.act(0)
    # The message is deleted, but the log mentions its file.
    assert stored(store) == {tokens[0]}


def swept(store: Store, sweep: OrphanedFiles, clock: Clock) -> bool:
    """Whether it is time for it."""
    with store.database.reading() as connection:
        return bool(sweep.due(connection, runner.views(connection, CORE), clock()))


def test_logs_name_hosts_and_no_addresses() -> None:
    urls = ("https://ann:secret@files.example/a?token=secret", "http://[::1/", "https://a.example/")
    shown = str(Awaited(message_id=7, urls=urls, since=1))
    assert shown == "message 7 from a.example, files.example, nowhere"
