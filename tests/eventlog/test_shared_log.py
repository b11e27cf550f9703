"""Several processes write one log: each decides on what the others have done, and whoever follows misses nothing."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from open_log import DEADLINE, OpenLog, in_one_batch, open_log, read_on, until
from sqlalchemy import func, select

from kanal.domain.channels import create_channel, disable_channel
from kanal.domain.conversation import add_user_message, open_case
from kanal.domain.errors import ChannelDisabled, EmailTaken, KeyRevoked
from kanal.domain.event import Event
from kanal.domain.groups import create_group
from kanal.domain.identities import Identification
from kanal.domain.links import Contact
from kanal.domain.staff import STAFF, check_key, create_staff, issue_key, revoke_key
from kanal.eventlog.postgres import PostgresDatabase
from kanal.eventlog.writer import LogUnavailable
from kanal.projections.groups import PROJECTION as GROUP_ROWS

STARTING_PROCESS = Path(__file__).with_name("starting_process.py")


def mail(address: str) -> Contact:
    return Contact("email", address, address, "test.1")


@pytest.fixture
def logs(postgres_url: str, data_dir: Path) -> Iterator[list[OpenLog]]:
    """As two processes have it: nothing in common but the database."""
    with ExitStack() as stack:
        yield [stack.enter_context(open_log(postgres_url, data_dir)) for _ in range(2)]


def channel(log: OpenLog) -> None:
    log.do(
        create_channel,
        title="App",
        webhook_url="https://example.com/hook",
        channel_type="async",
        secret_fingerprint="f",
    )


def opening(log: OpenLog, external_id: str, **contacts: Contact) -> Any:
    who = Identification(channel_id=1, external_id=external_id, **contacts)
    return log.do(open_case, who=who, content="x")


def test_a_stream_that_is_only_read_is_seen_as_the_other_process_left_it(
    logs: list[OpenLog],
) -> None:
    here, there = logs
    channel(here)
    opening(here, "ann")
    there.do(add_user_message, case_id=1, user_id=1, content="loads the channel there")
    here.do(disable_channel, channel_id=1)
    before = here.events()
    with pytest.raises(ChannelDisabled):
        there.do(add_user_message, case_id=1, user_id=1, content="y")
    assert here.events() == before


def test_a_key_that_was_revoked_elsewhere_fails_at_once(logs: list[OpenLog]) -> None:
    here, there = logs
    here.do(create_staff, email=mail("a@example.com"), full_name="A", key_fingerprint="f")
    here.do(issue_key, staff_id=1, name="second", fingerprint="g")
    there.do(check_key, staff_id=1, key_id=1, email="a@example.com")
    here.do(revoke_key, staff_id=1, key_id=1)
    with pytest.raises(KeyRevoked):
        there.do(check_key, staff_id=1, key_id=1, email="a@example.com")


def test_what_must_be_unique_is_unique_over_all_processes(logs: list[OpenLog]) -> None:
    here, there = logs
    channel(here)
    assert opening(here, "ann", email=mail("a@example.com")).user_id == 1
    assert opening(there, "ann").user_id == 1
    assert opening(there, "bob", email=mail("a@example.com")).conflicts == ("email",)
    here.do(create_staff, email=mail("s@example.com"), full_name="S", key_fingerprint="f")
    with pytest.raises(EmailTaken):
        there.do(create_staff, email=mail("s@example.com"), full_name="S", key_fingerprint="f")


def test_numbers_and_times_grow_in_the_log_s_order_whoever_writes(
    postgres_url: str, data_dir: Path
) -> None:
    with (
        open_log(postgres_url, data_dir, clock=lambda: 2_000) as fast,
        open_log(postgres_url, data_dir, clock=lambda: 1_000) as slow,
    ):
        made = [log.do(create_group, title="x") for log in (fast, slow, slow, fast, slow)]
        assert made == [1, 2, 3, 4, 5]
        assert [recorded.envelope.at for recorded in slow.events()] == [2_000] * 5


def test_after_a_failed_batch_the_other_s_events_are_known_still(
    logs: list[OpenLog],
) -> None:
    here, there = logs
    here.do(create_group, title="a")

    def fails(connection: Any) -> None:
        raise ZeroDivisionError

    there.do(create_group, title="b")
    with pytest.raises(ZeroDivisionError):
        here.writer.run_and_wait(fails)
    assert here.do(create_group, title="c") == 3


class Positions:
    """What a follower needs of a log: events behind a position, in order."""

    def __init__(self, log: OpenLog) -> None:
        self._log = log
        self.seen: list[tuple[int, Event]] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()

    def _follow(self) -> None:
        last = False
        position = 0
        while not last:
            last = self._done.is_set()
            for recorded in read_on(self._log.database, position):
                position = recorded.position
                self.seen.append((position, recorded.event))

    def stop(self) -> list[tuple[int, Event]]:
        """After a last look."""
        self._done.set()
        self._thread.join(DEADLINE)
        return self.seen


WRITERS, GROUPS_OF_EACH = 8, 40


def test_who_follows_the_log_beside_eight_writers_misses_nothing(
    database_url: str, data_dir: Path
) -> None:
    """Of SQLite eight callers' threads and one writer; of PostgreSQL eight writers with a connection each."""
    with ExitStack() as stack:
        logs = [stack.enter_context(open_log(database_url, data_dir))]
        while len(logs) < WRITERS:
            more = (
                stack.enter_context(open_log(database_url, data_dir)) if database_url else logs[0]
            )
            logs.append(more)
        follower = Positions(logs[0])

        def write(number: int) -> None:
            for one in range(GROUPS_OF_EACH):
                logs[number].do(create_group, title=f"{number}/{one}")

        threads = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE)
        seen = follower.stop()
        assert seen == [(recorded.position, recorded.event) for recorded in logs[0].events()]
        assert [event.group_id for _, event in seen] == list(range(1, WRITERS * GROUPS_OF_EACH + 1))
        assert {event.title for _, event in seen} == {
            f"{number}/{one}" for number in range(WRITERS) for one in range(GROUPS_OF_EACH)
        }


def test_four_processes_that_start_at_once_on_an_empty_database_all_work(
    bare_postgres_url: str,
) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, STARTING_PROCESS, bare_postgres_url, str(number), "5"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    ended = [process.communicate(timeout=DEADLINE * 2) for process in processes]
    errors = [
        error for process, (_, error) in zip(processes, ended, strict=True) if process.returncode
    ]
    assert errors == []
    made = [int(line) for output, _ in ended for line in output.split()]
    assert sorted(made) == list(range(1, 21))
    database = PostgresDatabase(bare_postgres_url)
    with database.reading() as connection:
        rows = connection.scalar(select(func.count()).select_from(GROUP_ROWS.tables(1)["groups"]))
    database.close()
    assert rows == 20


async def test_whoever_waits_too_long_for_another_process_is_told_to_come_again(
    logs: list[OpenLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kanal.eventlog.postgres.LOCK_TIMEOUT_SECONDS", 0.1)
    here, there = logs
    held, go = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        held.set()
        go.wait(DEADLINE)

    holding = asyncio.ensure_future(here.writer.run(hold))
    await until(held.is_set)
    with pytest.raises(LogUnavailable):
        await there.submit(create_group, title="x")
    go.set()
    await holding
    await there.submit(create_group, title="y")
    assert there.writer.failing is None


async def test_who_waits_for_the_lock_takes_all_that_came_meanwhile(logs: list[OpenLog]) -> None:
    here, there = logs
    answers = await in_one_batch(
        here.writer, here.submit(create_group, title="a"), here.submit(create_group, title="b")
    )
    assert [answer.result for answer in answers] == [1, 2]
    assert (await there.submit(lambda work: work.load(STAFF, 1))).events == []
