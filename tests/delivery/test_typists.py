"""Who is typing: for seconds, within bounds, and known to all processes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest
from folding import SECOND, START
from open_log import DEADLINE, database_of, open_log

from kanal.delivery import typists
from kanal.delivery.typists import QUIET_SECONDS, TYPING_SECONDS, Typist, Typists
from kanal.eventlog import postgres

ANNA, USER = Typist(0, 1), Typist(5, 0)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not await holds():  # noqa: ASYNC110 another process has no event to wait for
            await asyncio.sleep(0.01)


class Clock:
    now = START

    def __call__(self) -> int:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)


@asynccontextmanager
async def process(database_url: str, data_dir: Path, clock: Clock) -> AsyncIterator[Typists]:
    database = database_of(database_url, data_dir)
    known = Typists(database, clock)
    known.start()
    try:
        yield known
    finally:
        await known.close()
        await asyncio.to_thread(database.close)


async def test_who_types_is_known_for_seconds_and_for_longer_if_they_go_on(data_dir: Path) -> None:
    clock = Clock()
    async with process("", data_dir, clock) as known:
        noted = await known.note(1, ANNA)
        assert noted == (clock.now + TYPING_SECONDS * SECOND, True)
        await known.note(1, USER)
        assert list(known.of(1)) == [ANNA, USER]
        assert known.of(2) == {}
        clock.move(TYPING_SECONDS - 1)
        await known.note(1, USER)
        clock.move(1)
        assert list(known.of(1)) == [USER]
        clock.move(TYPING_SECONDS)
        assert known.of(1) == {}


async def test_what_is_said_again_at_once_is_no_news(data_dir: Path) -> None:
    clock = Clock()
    async with process("", data_dir, clock) as known:
        first = await known.note(1, ANNA)
        clock.move(QUIET_SECONDS - 1)
        assert await known.note(1, ANNA) == (first.until, False)
        assert (await known.note(1, USER)).is_news
        assert (await known.note(2, ANNA)).is_news
        clock.move(2)
        assert (await known.note(1, ANNA)).is_news


async def test_memory_is_bounded(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typists, "REMEMBERED", 3)
    async with process("", data_dir, Clock()) as known:
        for case_id in (1, 2, 3, 2, 4):
            await known.note(case_id, ANNA)
        assert [case_id for case_id in range(1, 5) if known.of(case_id)] == [2, 3, 4]


async def test_other_processes_hear_of_it(postgres_url: str, data_dir: Path) -> None:
    with open_log(postgres_url, data_dir):
        clock = Clock()
        async with (
            process(postgres_url, data_dir, clock) as one,
            process(postgres_url, data_dir, clock) as other,
        ):

            async def heard() -> bool:
                await one.note(1, ANNA)
                clock.move(QUIET_SECONDS)
                return list(other.of(1)) == [ANNA]

            await until(heard)


async def test_a_listener_that_lost_the_database_hears_again(
    postgres_url: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "LISTEN_AGAIN_SECONDS", 0.01)
    with open_log(postgres_url, data_dir):
        clock = Clock()
        async with (
            process(postgres_url, data_dir, clock) as one,
            process(postgres_url, data_dir, clock) as other,
        ):

            async def heard(typist: Typist) -> bool:
                await one.note(1, typist)
                clock.move(QUIET_SECONDS)
                return typist in other.of(1)

            await until(lambda: heard(ANNA))
            with psycopg.connect(postgres_url, autocommit=True) as server:
                server.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE query LIKE 'LISTEN%' AND datname = current_database()"
                )
            await until(lambda: heard(USER))
