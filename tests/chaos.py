"""`make chaos`: real processes are killed at random under load, a thousand times, and then eight rules are checked.

On SQLite one `kanal serve`; on PostgreSQL three, whose server is also restarted and whose connections are cut. The
receiver is slow, fails and drops connections now and then. tests/delivery/faults/README.md says what is checked.
"""

import argparse
import asyncio
import random
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import psycopg
from correspondence import Correspondence
from invariants import all_delivered, breaches
from nursery import ForkedKanal, Nursery
from postgres_server import NoPostgres, OwnServer, own_server
from webhook_receiver import Line, Received, Receiver, close, delayed, reset, status

KILLS: Final = 1000
MINUTES: Final = 30.0
PROCESSES: Final = 3
"""On PostgreSQL."""
CHANNELS: Final = 4
CASES: Final = 10
"""Of each channel."""
PAUSE_SECONDS: Final = 0.1
"""Of each writer between two messages, so that the processes have something else to do than to take them in."""
DRAIN_SECONDS: Final = 300
"""After the last kill: failures have paused channels for up to two minutes."""
TOLD_EVERY_SECONDS: Final = 10
SHOWN: Final = 20
"""Of the breaches."""

UNKIND: Final = 0.05
"""Of all requests."""
UNKINDNESSES: Final = (
    status(500),
    status(503, headers={"Retry-After": "1"}),
    reset(),
    close(),
)


class Given(NamedTuple):
    kills: int
    seconds: float
    seed: int


class Result(NamedTuple):
    database: str
    kills: int
    seconds: float
    counts: dict[str, int]
    breaches: list[str]


class Chaos:
    """One run on one database."""

    def __init__(self, given: Given, kanals: list[ForkedKanal], server: OwnServer | None) -> None:
        self.kills = 0
        self._given = given
        self._dice = random.Random(given.seed)
        self._kanals = kanals
        self._server = server

    async def run(self, database: str) -> Result:
        began = time.monotonic()
        async with (
            Receiver(self._react) as receiver,
            Correspondence(receiver, self._kanals, self._given.seed) as desk,
        ):
            await self._kanals[0].start()
            await desk.open(channels=CHANNELS, cases=CASES)
            async with desk.writing(pause=PAUSE_SECONDS):
                telling = asyncio.create_task(self._tell(desk, receiver, began))
                await asyncio.gather(*(self._torment(each) for each in self._kanals))
                telling.cancel()
                for kanal in self._kanals:
                    while not kanal.runs:
                        await kanal.launch()
                        await kanal.listens(or_dies=True)
            desk.crashes = self.kills
            try:
                await desk.until_all_ended(DRAIN_SECONDS)
            except TimeoutError:
                print(f"{await desk.waiting()} still wait after {DRAIN_SECONDS} s", flush=True)
            evidence = await desk.evidence()
            found = breaches(evidence)
            found += [f"not delivered: {each}" for each in all_delivered(evidence)]
            counts = evidence.counts()
            return Result(database, self.kills, time.monotonic() - began, counts, found)

    async def _torment(self, kanal: ForkedKanal) -> None:
        """Until there have been kills enough or the time is over."""
        ends = time.monotonic() + self._given.seconds
        while (kills := self._given.kills - self.kills) and (left := ends - time.monotonic()) > 0:
            each = left / kills * len(self._kanals)
            lifetime = asyncio.create_task(asyncio.sleep(self._dice.uniform(0, 2 * each)))
            if not kanal.runs:
                await kanal.launch()
                if self._dice.random() < 0.9:
                    # Mostly it does start, or nothing would ever be sent. Without a database it ends by itself.
                    await kanal.listens(or_dies=True)
            await lifetime
            await self._strike(kanal)

    async def _strike(self, kanal: ForkedKanal) -> None:
        luck = self._dice.random()
        if luck < 0.05:
            await kanal.stop()
        elif luck < 0.1:
            kanal.send_signal(signal.SIGSTOP)
            await asyncio.sleep(self._dice.uniform(0, 1))
            kanal.send_signal(signal.SIGCONT)
        elif self._server and luck < 0.15:
            await asyncio.to_thread(_cut_connections, self._server.url)
        elif self._server and luck < 0.16:
            # Nobody else may do so at the same time.
            server, self._server = self._server, None
            end: Callable[[], None] = self._dice.choice((server.stop, server.crash))
            await asyncio.to_thread(end)
            await asyncio.to_thread(server.start)
            self._server = server
        else:
            await kanal.kill()
            self.kills += 1

    async def _react(self, request: Received, line: Line) -> None:
        reaction = delayed(self._dice.uniform(0, 0.02), status(200))
        if self._dice.random() < UNKIND:
            reaction = self._dice.choice(UNKINDNESSES)
        await reaction(request, line)

    async def _tell(self, desk: Correspondence, receiver: Receiver, began: float) -> None:
        while True:
            await asyncio.sleep(TOLD_EVERY_SECONDS)
            print(
                f"{time.monotonic() - began:5.0f} s: {self.kills} kills, "
                f"{len(desk.written)} written, {len(receiver.received)} received",
                flush=True,
            )


def _cut_connections(url: str) -> None:
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
    except psycopg.OperationalError:
        pass  # the server is being restarted, which does the same


async def on_sqlite(nursery: Nursery, folder: Path, given: Given) -> Result:
    return await Chaos(given, [nursery.kanal(folder)], None).run("SQLite")


async def on_postgresql(nursery: Nursery, folder: Path, given: Given) -> Result:
    with own_server() as server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE kanal")
        url = urlsplit(server.url)._replace(path="/kanal").geturl()
        kanals = [nursery.kanal(folder / str(number), url) for number in range(PROCESSES)]
        return await Chaos(given, kanals, server).run("PostgreSQL")


RUNS: Final[dict[str, Callable[[Nursery, Path, Given], Awaitable[Result]]]] = {
    "sqlite": on_sqlite,
    "postgresql": on_postgresql,
}


async def run(databases: list[str], given: Given) -> list[Result]:
    results = []
    nursery = Nursery()
    try:
        for database in databases:
            with tempfile.TemporaryDirectory(
                prefix="kanal-chaos-", ignore_cleanup_errors=True
            ) as folder:
                async with nursery:
                    results.append(await RUNS[database](nursery, Path(folder), given))
    finally:
        nursery.close()
    return results


def show(results: list[Result]) -> None:
    columns = "events", "deliveries", "duplicates", "losses", "reorderings"
    print(f"\n{'':12}{'kills':>12}{'seconds':>12}" + "".join(f"{name:>12}" for name in columns))
    for result in results:
        counts = "".join(f"{result.counts[name]:12,}" for name in columns)
        print(f"{result.database:12}{result.kills:12,}{result.seconds:12,.0f}{counts}")
    print(
        "\nA duplicate is a message sent again because a kill or a lost answer hid that it was taken."
    )
    for result in results:
        for breach in result.breaches[:SHOWN]:
            print(f"BROKEN on {result.database}: {breach}")
        if len(result.breaches) > SHOWN:
            print(f"BROKEN on {result.database}: {len(result.breaches) - SHOWN} more")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos ARGS=...", description=__doc__)
    parser.add_argument("--kills", type=int, default=KILLS, help=f"in all ({KILLS})")
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"at most ({MINUTES:.0f})")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--database", choices=RUNS, help="only this one; else half on each")
    asked = parser.parse_args()
    databases = [asked.database] if asked.database else list(RUNS)
    shares = len(databases)
    given = Given(max(1, asked.kills // shares), asked.minutes * 60 / shares, asked.seed)
    print(f"--kills {asked.kills} --minutes {asked.minutes:g} --seed {asked.seed}", flush=True)
    try:
        results = asyncio.run(run(databases, given))
    except NoPostgres as error:
        print(f"No PostgreSQL: {error}")
        return 2
    show(results)
    return int(any(result.breaches for result in results))


if __name__ == "__main__":
    sys.exit(main())
