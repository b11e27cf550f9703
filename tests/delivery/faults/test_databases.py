"""Databases that go away, refuse, fill up or stall under load, and clocks that are wrong: nothing is lost, repeated or reordered."""

import asyncio
import contextlib
import resource
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from correspondence import Correspondence
from invariants import all_delivered
from nursery import Fate, ForkedKanal, Nursery
from postgres_server import NoPostgres, OwnServer, own_server
from psycopg import sql
from webhook_receiver import Line, Received, Receiver, status

pytestmark = pytest.mark.timeout(120)  # processes start and die, on a machine that may be busy

SEED = 20261122
OK = status(200)
FAULT_SECONDS = 0.4
"""A fault lasts at least so long; what matters is noticed sooner."""
STOPPED_SECONDS = 0.05
"""Longer than a transaction, and much shorter than an attempt."""
LEASE_SECONDS = 1.5
QUICK = {"KANAL_WEBHOOK_TIMEOUT": "0.9"}
"""Attempts that fit into such a lease."""
BROKEN = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER refuse BEFORE UPDATE ON attempts EXECUTE FUNCTION refuse();
"""


@pytest.fixture
def own() -> Iterator[OwnServer]:
    try:
        with own_server() as server:
            yield server
    except NoPostgres as error:
        pytest.skip(f"no PostgreSQL: {error}")


@contextlib.asynccontextmanager
async def desk_of(
    receiver: Receiver, *kanals: ForkedKanal, channels: int = 2
) -> AsyncIterator[Correspondence]:
    """At the end everything has been delivered as it should."""
    async with Correspondence(receiver, kanals, SEED) as desk:
        await desk.open(channels=channels, cases=2)
        yield desk
        await desk.until_all_ended()
        assert not all_delivered(await desk.check())


async def progress(receiver: Receiver, count: int = 5) -> None:
    """What arrives from now on, on a machine that may be busy."""
    await receiver.wait_for(len(receiver.received) + count, 30)


def run(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(sql.SQL(statement))  # type: ignore[arg-type]


def end_backends(url: str) -> None:
    run(
        url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'",
    )


async def test_postgresql_may_stop_crash_refuse_and_fill_up(
    nursery: Nursery, receiver: Receiver, own: OwnServer, data_dir: Path
) -> None:
    run(own.url, "CREATE DATABASE kanal")
    url = urlsplit(own.url)._replace(path="/kanal").geturl()
    kanal = nursery.kanal(data_dir, url)
    await kanal.start()
    async with (
        kanal.client() as client,
        desk_of(receiver, kanal) as desk,
        desk.writing(writers=2, pause=0.05),
    ):
        await progress(receiver)
        for end in (own.stop, own.crash):
            await asyncio.to_thread(end)
            desk.crashes += 1
            for path in ("deliveries.json", "cases.json"):
                code, refusal = await client.answer("GET", path)
                assert (code, refusal["error"]) == (503, "log_unavailable")
            await asyncio.to_thread(own.start)
            await progress(receiver)

        end_backends(own.url)
        await progress(receiver)

        # No connection can be had.
        run(own.url, "ALTER DATABASE kanal ALLOW_CONNECTIONS false")
        end_backends(own.url)
        await asyncio.sleep(FAULT_SECONDS)
        run(own.url, "ALTER DATABASE kanal ALLOW_CONNECTIONS true")
        await progress(receiver)

        run(own.url, "ALTER DATABASE kanal SET default_transaction_read_only = on")
        end_backends(own.url)
        await asyncio.sleep(FAULT_SECONDS)
        run(own.url, "ALTER DATABASE kanal RESET default_transaction_read_only")
        end_backends(own.url)
        await progress(receiver)

        run(url, BROKEN)
        await progress(receiver, 1)
        await asyncio.sleep(FAULT_SECONDS)
        run(url, "DROP FUNCTION refuse CASCADE")
        await progress(receiver)


async def test_sqlite_may_be_locked_and_its_disk_full(
    nursery: Nursery, receiver: Receiver, data_dir: Path
) -> None:
    kanal = nursery.kanal(data_dir)
    await kanal.start()
    async with desk_of(receiver, kanal) as desk, desk.writing(writers=2, pause=0.05):
        await progress(receiver)
        with contextlib.closing(sqlite3.connect(data_dir / "kanal.db")) as other:
            other.execute("BEGIN IMMEDIATE")
            await asyncio.sleep(FAULT_SECONDS)
            other.execute("ROLLBACK")
        await progress(receiver)

        _, hard = resource.prlimit(kanal.pid, resource.RLIMIT_FSIZE)
        size = (data_dir / "kanal.db-wal").stat().st_size
        resource.prlimit(kanal.pid, resource.RLIMIT_FSIZE, (size, hard))
        await asyncio.sleep(FAULT_SECONDS)
        resource.prlimit(kanal.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))
        await progress(receiver)


async def stop_between_transactions(kanal: ForkedKanal, url: str) -> None:
    """Who is stopped within one keeps the log's lock, which is another story."""
    query = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND state LIKE 'idle in%'"
    )
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        while True:
            kanal.send_signal(signal.SIGSTOP)
            await asyncio.sleep(STOPPED_SECONDS)  # whoever else is within one comes out of it
            found = await (await connection.execute(query)).fetchone()
            if found == (0,):
                return
            kanal.send_signal(signal.SIGCONT)
            await asyncio.sleep(STOPPED_SECONDS)


async def test_a_stalled_process_is_shut_out_and_the_new_owners_state_stays(
    nursery: Nursery, receiver: Receiver, postgres_url: str, data_dir: Path
) -> None:
    held = asyncio.Event()

    async def hold(request: Received, line: Line) -> None:
        held.set()
        await line.ended()

    fate = Fate(lease_seconds=LEASE_SECONDS)
    api, stalled, other = (
        nursery.kanal(data_dir / name, postgres_url, **QUICK) for name in ("api", "one", "two")
    )
    await api.start("--role", "api")
    await stalled.start("--role", "worker", fate=fate)
    async with Correspondence(receiver, [api], SEED) as desk:
        await desk.open(channels=1, cases=2)
        await desk.write(desk.cases[0])
        await desk.until_all_ended()
        receiver.then(hold)
        await desk.write(desk.cases[0])
        await held.wait()
        await stop_between_transactions(stalled, postgres_url)
        await desk.write(desk.cases[0])
        await desk.write(desk.cases[1])
        await other.start("--role", "worker", fate=fate)
        await desk.until_all_ended()
        before = await desk.evidence()
        stalled.send_signal(signal.SIGCONT)
        # It goes on: its late record comes before what it does next.
        await other.stop()
        await desk.write(desk.cases[1])
        await desk.until_all_ended()
        evidence = await desk.check(stalled=True)
        assert not all_delivered(evidence)
        kept = {each.delivery_id: each for each in evidence.deliveries}
        for each in before.deliveries:
            assert replace(kept[each.delivery_id], log=()) == replace(each, log=())
        (again,) = [each for each in before.deliveries if each.attempts == 2]
        assert [attempt.outcome for attempt in again.log] == ["unknown", "ok"]
        # The late record says what came of the attempt, and counts for nothing.
        late = [attempt.outcome for attempt in kept[again.delivery_id].log]
        assert late == ["response_timeout", "ok"]


async def test_wrong_clocks_of_processes_move_nothing_where_postgresqls_counts(
    nursery: Nursery, receiver: Receiver, postgres_url: str, data_dir: Path
) -> None:
    """Also a database that answers nothing for a while, longer than a lease."""
    fate = Fate(moving_clock=True, lease_seconds=LEASE_SECONDS)
    one, two = (nursery.kanal(data_dir / name, postgres_url, **QUICK) for name in ("one", "two"))
    await one.start(fate=fate)
    await two.start(fate=fate)
    async with desk_of(receiver, one, two, channels=4) as desk:
        async with desk.writing(writers=2, pause=0.05):
            await progress(receiver)
            for process, number in (
                (one, signal.SIGUSR1),
                (two, signal.SIGUSR2),
                (one, signal.SIGUSR2),
                (two, signal.SIGUSR1),
            ):
                process.send_signal(number)
                receiver.then(status(500))
                await progress(receiver, 10)
        with psycopg.connect(postgres_url) as connection:
            connection.execute("LOCK TABLE lanes, deliveries IN ACCESS EXCLUSIVE MODE")
            writing = asyncio.create_task(desk.write(desk.cases[0]))
            await asyncio.sleep(LEASE_SECONDS * 1.5)
        await writing
        began = time.monotonic()
        await desk.until_all_ended()
        assert time.monotonic() - began < 20
