"""A migrated log with its writer on either database, for the tests of the log and of what is folded from it."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from kanal.domain.stream import Recorded
from kanal.eventlog.database import Database
from kanal.eventlog.migrate import migrate
from kanal.eventlog.postgres import PostgresDatabase
from kanal.eventlog.projection import InlineProjection
from kanal.eventlog.sqlite import SqliteDatabase
from kanal.eventlog.stream_ids import StreamIds
from kanal.eventlog.writer import Done, Writer

DEADLINE = 30
"""Seconds that a test waits for what takes milliseconds."""

MakeInline = Callable[[Database], Iterable[InlineProjection]]


def database_of(database_url: str, data_dir: Path) -> Database:
    if database_url:
        return PostgresDatabase(database_url)
    return SqliteDatabase(data_dir / "kanal.db")


@dataclass
class OpenLog:
    database: Database
    stream_ids: StreamIds
    writer: Writer

    def do(self, command: Callable[..., Any], **arguments: Any) -> Any:
        """The command's result; blocking."""
        return self.writer.submit_and_wait(partial(command, **arguments)).result

    async def submit(self, command: Callable[..., Any], **arguments: Any) -> Done[Any]:
        return await self.writer.submit(
            partial(command, **arguments), who="staff:1", origin="api", request="request"
        )

    def events(self) -> list[Recorded]:
        """The whole log, read as any reader does."""
        return list(read_on(self.database))


@contextmanager
def open_log(
    database_url: str, data_dir: Path, *, inline: MakeInline = lambda _: (), **options: Any
) -> Iterator[OpenLog]:
    database = database_of(database_url, data_dir)
    try:
        stream_ids = migrate(database)
        writer = Writer(database, stream_ids, inline(database), **options)
        writer.start()
        try:
            yield OpenLog(database, stream_ids, writer)
        finally:
            writer.close()
    finally:
        database.close()


def read_on(database: Database, after: int = 0) -> Iterator[Recorded]:
    while events := database.events_after(after):
        yield from events
        after = events[-1].position


async def in_one_batch(writer: Writer, *orders: Awaitable[Any]) -> list[Any]:
    """Carried out in one transaction, in this order; results or exceptions."""
    started, go = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        started.set()
        go.wait(DEADLINE)

    holding = asyncio.ensure_future(writer.run(hold))
    await asyncio.to_thread(started.wait, DEADLINE)
    tasks = [asyncio.ensure_future(order) for order in orders]
    await until(lambda: writer.waiting == len(orders))
    go.set()
    await holding
    return await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], object]) -> None:
    """Turn the event loop until it holds."""
    give_up = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < give_up, "waited in vain"
        await asyncio.sleep(0)
