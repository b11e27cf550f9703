"""When the storage fails: callers are told to come again, what was stored is known, and all is well again by itself."""

import asyncio
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from open_log import DEADLINE, OpenLog, in_one_batch, open_log
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import OperationalError
from swallowing_proxy import Break, SwallowingProxy, swallowing_proxy

from kanal.domain.groups import create_group
from kanal.eventlog.writer import LogUnavailable


@pytest.fixture
def sqlite_log(data_dir: Path) -> Iterator[OpenLog]:
    with open_log("", data_dir) as log:
        yield log


@pytest.fixture
def postgres_log(postgres_url: str, data_dir: Path) -> Iterator[OpenLog]:
    with open_log(postgres_url, data_dir) as log:
        yield log


@pytest.fixture
def proxy(postgres_url: str) -> Iterator[SwallowingProxy]:
    with swallowing_proxy(postgres_url) as proxy:
        yield proxy


@pytest.fixture
def far_log(proxy: SwallowingProxy, data_dir: Path) -> Iterator[OpenLog]:
    with open_log(proxy.url, data_dir) as log:
        yield log


def titles(log: OpenLog) -> list[str]:
    return [recorded.event.title for recorded in log.events()]


def backend_of(log: OpenLog) -> int:
    """Process id of the writer's connection."""
    return log.writer.run_and_wait(
        lambda connection: connection.scalar(text("SELECT pg_backend_pid()"))
    )


def kill(url: str, process: int) -> None:
    """Returns when the backend is gone."""
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, %s)", (process, DEADLINE * 1000))


class Disk:
    """Each connection of the writer may use so many pages more than there are; None for as many as it likes."""

    def __init__(self, log: OpenLog) -> None:
        self._engine = log.database.writer
        self._pages: int | None = None
        event.listen(self._engine, "begin", self._limit)

    def fill(self) -> None:
        self._pages = 0

    def empty(self) -> None:
        self._pages = 2**30

    def _limit(self, connection: Connection) -> None:
        if self._pages is not None:
            used = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {used + self._pages}")


async def test_a_full_disk_fails_all_and_kills_nothing(sqlite_log: OpenLog) -> None:
    log = sqlite_log
    disk = Disk(log)
    log.do(create_group, title="before")
    disk.fill()
    big = "x" * 100_000
    answers = await in_one_batch(
        log.writer,
        log.submit(create_group, title="a"),
        log.submit(create_group, title=big),
        log.submit(create_group, title="b"),
    )
    assert [type(answer) for answer in answers] == [LogUnavailable] * 3
    assert log.writer.failing.kind == "OperationalError"
    assert titles(log) == ["before"]
    disk.empty()
    assert log.do(create_group, title="after") == 2
    assert log.writer.failing is None
    assert titles(log) == ["before", "after"]


def test_a_killed_connection_is_replaced(postgres_log: OpenLog, postgres_url: str) -> None:
    log = postgres_log
    log.do(create_group, title="before")
    kill(postgres_url, backend_of(log))
    with pytest.raises(LogUnavailable):
        log.do(create_group, title="lost")
    assert log.writer.failing
    assert log.do(create_group, title="after") == 2
    assert log.writer.failing is None
    assert titles(log) == ["before", "after"]


class Killing:
    """An inline projection whose connection is killed in the middle of a batch, once, for a group called `fatal`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._killed = False

    def apply(self, connection: Connection, events: Any, *_: Any) -> None:
        if not self._killed and any(recorded.event.title == "fatal" for recorded in events):
            self._killed = True
            kill(self._url, connection.scalar(text("SELECT pg_backend_pid()")))

    def committed(self, events: Any) -> None:
        pass


async def test_a_connection_killed_between_insert_and_commit_leaves_nothing(
    postgres_url: str, data_dir: Path
) -> None:
    with open_log(postgres_url, data_dir, inline=lambda _: [Killing(postgres_url)]) as log:
        answers = await in_one_batch(
            log.writer,
            log.submit(create_group, title="a"),
            log.submit(create_group, title="fatal"),
        )
        assert [type(answer) for answer in answers] == [LogUnavailable] * 2
        assert titles(log) == []
        assert log.do(create_group, title="after") == 1


async def test_a_host_that_became_read_only_is_left(postgres_log: OpenLog) -> None:
    """As after a failover: the connection lives on, but this server takes no writes any more."""
    log = postgres_log

    def demote(connection: Connection) -> None:
        connection.execute(text("SET SESSION default_transaction_read_only = on"))

    await log.writer.run(demote)
    with pytest.raises(LogUnavailable):
        await log.submit(create_group, title="lost")
    assert (await log.submit(create_group, title="after")).result == 1


async def test_a_text_too_long_for_an_index_is_no_failure_of_the_storage(
    postgres_log: OpenLog,
) -> None:
    """Although the driver counts it among its operational errors."""
    log = postgres_log

    def too_long(connection: Connection) -> None:
        connection.execute(text("CREATE TABLE short (id text PRIMARY KEY)"))
        noise = random.Random(0).randbytes(50_000).hex()  # nothing that could be compressed
        connection.execute(text("INSERT INTO short VALUES (:noise)"), {"noise": noise})

    group, failed = await in_one_batch(
        log.writer, log.submit(create_group, title="a"), log.writer.run(too_long)
    )
    assert group.result == 1
    assert isinstance(failed, OperationalError)
    assert log.writer.failing is None


async def test_a_commit_that_failed_is_answered_as_failed(
    postgres_log: OpenLog, postgres_url: str
) -> None:
    log = postgres_log
    with psycopg.connect(postgres_url, autocommit=True) as other:
        other.execute(
            "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END$$"
        )
        other.execute(
            "CREATE CONSTRAINT TRIGGER die AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION die()"
        )
        with pytest.raises(LogUnavailable):
            await log.submit(create_group, title="lost")
        other.execute("DROP TRIGGER die ON events")
    assert titles(log) == []
    assert (await log.submit(create_group, title="after")).result == 1


async def test_a_commit_whose_answer_was_lost_is_answered_as_done(
    far_log: OpenLog, proxy: SwallowingProxy
) -> None:
    log = far_log
    answers = await batch_that_meets("after the commit", proxy, log)
    assert [answer.result for answer in answers] == [1, 2]
    assert [answer.position for answer in answers] == [r.position for r in log.events()]
    assert titles(log) == ["a", "b"]
    assert log.writer.failing is None
    assert (await log.submit(create_group, title="after")).result == 3


async def test_a_commit_that_never_arrived_is_answered_as_failed(
    far_log: OpenLog, proxy: SwallowingProxy
) -> None:
    log = far_log
    answers = await batch_that_meets("before the commit", proxy, log)
    assert [type(answer) for answer in answers] == [LogUnavailable] * 2
    assert titles(log) == []
    assert (await log.submit(create_group, title="after")).result == 1


async def test_a_commit_that_is_still_under_way_is_waited_for(
    far_log: OpenLog, proxy: SwallowingProxy, postgres_url: str
) -> None:
    log = far_log

    def deliver_when_asked_for() -> None:
        """When the writer's next connection stands before the lock that the cut-off one still holds."""
        proxy.broken.wait(DEADLINE)
        give_up = time.monotonic() + DEADLINE
        with psycopg.connect(postgres_url, autocommit=True) as other:
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            while not other.execute(waiting).fetchone()[0] and time.monotonic() < give_up:
                pass
        proxy.deliver.set()

    thread = threading.Thread(target=deliver_when_asked_for)
    thread.start()
    answers = await batch_that_meets("during the commit", proxy, log)
    await asyncio.to_thread(thread.join)
    assert [answer.result for answer in answers] == [1, 2]
    assert titles(log) == ["a", "b"]


async def batch_that_meets(how: Break, proxy: SwallowingProxy, log: OpenLog) -> list[Any]:
    """Two groups in one transaction, at whose COMMIT the wire breaks."""
    _, *answers = await in_one_batch(
        log.writer,
        log.writer.run(lambda _: proxy.arm(how)),
        log.submit(create_group, title="a"),
        log.submit(create_group, title="b"),
    )
    return answers
