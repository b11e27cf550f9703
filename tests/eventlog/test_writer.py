"""The writer: one transaction for all that waited, each command alone with its failure, answers only when durable."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from open_log import DEADLINE, OpenLog, in_one_batch, open_log
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    Table,
    Text,
    delete,
    event,
    insert,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError, IntegrityError

from kanal.domain.channels import create_channel
from kanal.domain.conversation import open_case
from kanal.domain.errors import ChannelNotFound, IdempotencyKeyReused
from kanal.domain.groups import GROUPS, Group, GroupCreated, create_group
from kanal.domain.identities import Identification
from kanal.domain.links import Contact
from kanal.domain.stream import Recorded
from kanal.domain.users import UserLinkRefused
from kanal.domain.work import Work
from kanal.eventlog import writer as writer_module
from kanal.eventlog.writer import LogBusy, LogUnavailable, Receipt

titles = Table(
    "titles",
    MetaData(),
    Column("position", Integer, primary_key=True),
    Column("title", Text, nullable=False),
)


class Titles:
    """An inline projection that writes a row for each group, and fails after it for those that are called `bad`."""

    def __init__(self) -> None:
        self.committed_positions: list[int] = []

    def apply(self, connection: Connection, events: Sequence[Recorded], *_: Any) -> None:
        for recorded in events:
            if isinstance(recorded.event, GroupCreated):
                title = recorded.event.title
                row = {"position": recorded.position, "title": title}
                connection.execute(insert(titles).values(row))
                if title == "bad":
                    raise ValueError("cannot fold this one")
                if title == "no such table":
                    connection.execute(text("INSERT INTO no_such_table VALUES (1)"))

    def committed(self, events: Sequence[Recorded]) -> None:
        self.committed_positions += [recorded.position for recorded in events]
        if any(getattr(recorded.event, "title", "") == "bad listener" for recorded in events):
            raise ValueError("cannot wake anybody")


@pytest.fixture
def projection() -> Titles:
    return Titles()


@pytest.fixture
def projected(database_url: str, data_dir: Path, projection: Titles) -> Iterator[OpenLog]:
    with open_log(database_url, data_dir, inline=lambda _: [projection]) as log:
        log.writer.run_and_wait(titles.create)
        yield log


def group(title: str) -> partial[int]:
    return partial(create_group, title=title)


def submitted(log: OpenLog, *names: str) -> list[Any]:
    return [log.submit(group(name)) for name in names]


def recorded_titles(log: OpenLog) -> list[str]:
    return [recorded.event.title for recorded in log.events()]


def rows(log: OpenLog) -> list[tuple[int, str]]:
    with log.database.reading() as connection:
        return [
            tuple(row) for row in connection.execute(select(titles).order_by(titles.c.position))
        ]


def commits_of(engine: Engine) -> list[Connection]:
    commits: list[Connection] = []
    event.listen(engine, "commit", commits.append)
    return commits


def kinds(answers: list[Any]) -> list[Any]:
    """The type of each exception, the result of each other answer."""
    return [
        type(answer) if isinstance(answer, Exception) else getattr(answer, "result", answer)
        for answer in answers
    ]


# -- group commit ----------------------------------------------------------------------------------


async def test_all_that_waited_is_one_transaction_in_its_order(log: OpenLog) -> None:
    names = [f"Group {number}" for number in range(100)]
    answers = in_one_batch(log.writer, *submitted(log, *names))
    commits = commits_of(log.database.writer)
    results = await answers
    assert len(commits) == 2  # the one they waited for, and theirs
    assert [done.result for done in results] == list(range(1, 101))
    assert [done.position for done in results] == sorted({done.position for done in results})
    assert recorded_titles(log) == names


async def test_nobody_waits_for_others_to_come(log: OpenLog) -> None:
    commits = commits_of(log.database.writer)
    for number in range(3):
        await log.submit(group(str(number)))
    assert len(commits) == 3


async def test_an_answer_shows_the_events_as_they_are_stored(log: OpenLog) -> None:
    done = await log.submit(group("Sales"))
    assert list(done.events) == log.events()
    assert (done.result, done.repeated, done.position) == (1, False, log.events()[-1].position)
    envelope = done.events[0].envelope
    assert (envelope.who, envelope.origin, envelope.request) == ("staff:1", "api", "request")


async def test_a_command_that_records_nothing_is_answered_without_a_place(log: OpenLog) -> None:
    done = await log.submit(lambda work: work.load(GROUPS, 1))
    assert (done.result, done.position, list(done.events)) == (Group(), 0, [])


async def test_a_command_sees_what_earlier_commands_of_its_batch_did(log: OpenLog) -> None:
    answers = await in_one_batch(
        log.writer,
        log.submit(group("Sales")),
        log.submit(lambda work: work.load(GROUPS, 1).settings.title),
    )
    assert answers[1].result == "Sales"


async def test_a_caller_that_went_away_takes_nobody_along(log: OpenLog) -> None:
    gone = asyncio.ensure_future(log.submit(group("a")))
    staying = asyncio.ensure_future(log.submit(group("b")))
    await asyncio.sleep(0)
    gone.cancel()
    assert (await staying).result == 2
    assert recorded_titles(log) == ["a", "b"]


# -- isolation -------------------------------------------------------------------------------------


def mistaken(work: Work) -> None:
    create_group(work, title="of a mistaken command")
    raise ZeroDivisionError


def refused(work: Work) -> None:
    create_group(work, title="of a refused command")
    raise ChannelNotFound(1)


def exhausted(work: Work) -> None:
    create_group(work, title="of a command that lets a StopIteration out")
    next(iter(()))


@pytest.mark.parametrize(
    ("bad", "error"),
    [(refused, ChannelNotFound), (mistaken, ZeroDivisionError), (exhausted, RuntimeError)],
)
async def test_a_command_that_fails_leaves_nothing_and_its_neighbours_alone(
    log: OpenLog, bad: Any, error: type[Exception]
) -> None:
    answers = await in_one_batch(
        log.writer, log.submit(group("a")), log.submit(bad), log.submit(group("b"))
    )
    assert kinds(answers) == [1, error, 2]
    assert recorded_titles(log) == ["a", "b"]


async def test_a_task_that_fails_leaves_nothing_and_its_neighbours_alone(
    projected: OpenLog,
) -> None:
    def task(connection: Connection) -> None:
        connection.execute(insert(titles).values(position=99, title="of a task"))
        raise ZeroDivisionError

    answers = await in_one_batch(
        projected.writer,
        projected.submit(group("a")),
        projected.writer.run(task),
        projected.submit(group("b")),
    )
    assert kinds(answers) == [1, ZeroDivisionError, 2]
    assert rows(projected) == [(p.position, p.event.title) for p in projected.events()]


async def test_what_fails_beside_a_command_fails_that_command_alone(log: OpenLog) -> None:
    def beside(connection: Connection, group_id: int) -> None:
        raise ZeroDivisionError

    with_secret = log.writer.submit(
        group("x"), who="system", origin="cli", request="", beside=beside
    )
    answers = await in_one_batch(
        log.writer, log.submit(group("a")), with_secret, log.submit(group("b"))
    )
    assert kinds(answers) == [1, ZeroDivisionError, 2]
    assert recorded_titles(log) == ["a", "b"]


async def test_what_is_written_beside_a_command_is_committed_with_it(projected: OpenLog) -> None:
    def beside(connection: Connection, group_id: int) -> None:
        connection.execute(insert(titles).values(position=99, title=f"secret of {group_id}"))

    await projected.writer.submit(group("a"), who="system", origin="cli", request="", beside=beside)
    assert (99, "secret of 1") in rows(projected)


@pytest.mark.parametrize(("title", "error"), [("bad", ValueError), ("no such table", DBAPIError)])
async def test_a_projection_that_fails_fails_only_the_culprit(
    projected: OpenLog, projection: Titles, title: str, error: type[Exception]
) -> None:
    answers = await in_one_batch(projected.writer, *submitted(projected, "a", title, "b"))
    assert isinstance(answers[1], error)
    assert [answers[0].result, answers[2].result] == [1, 2]
    assert recorded_titles(projected) == ["a", "b"]
    assert rows(projected) == [(p.position, p.event.title) for p in projected.events()]
    assert projection.committed_positions == [p.position for p in projected.events()]
    assert projected.writer.failing is None


async def test_a_failure_between_insert_and_commit_leaves_neither_events_nor_rows(
    projected: OpenLog,
) -> None:
    with pytest.raises(ValueError, match="cannot fold"):
        await projected.submit(group("bad"))
    assert projected.events() == []
    assert rows(projected) == []


async def test_a_failed_wake_up_takes_nothing_back(projected: OpenLog) -> None:
    assert (await projected.submit(group("bad listener"))).result == 1
    assert recorded_titles(projected) == ["bad listener"]
    assert (await projected.submit(group("next"))).result == 2


async def test_an_event_that_cannot_be_stored_fails_only_its_command(log: OpenLog) -> None:
    def unprintable(work: Work) -> None:
        work.record(GROUPS, 77, GroupCreated(77, object(), "", ""))  # type: ignore[arg-type]

    answers = await in_one_batch(
        log.writer, log.submit(group("a")), log.submit(unprintable), log.submit(group("b"))
    )
    assert [answers[0].result, answers[2].result] == [1, 2]
    assert isinstance(answers[1], TypeError)
    assert recorded_titles(log) == ["a", "b"]


async def test_of_two_links_in_one_batch_that_exclude_each_other_the_first_is_made(
    log: OpenLog,
) -> None:
    log.do(
        create_channel,
        title="App",
        webhook_url="https://example.com/hook",
        channel_type="async",
        secret_fingerprint="f",
    )

    def opening(external_id: str) -> Any:
        mail = Contact("email", "a@example.com", "a@example.com", "test.1")
        who = Identification(channel_id=1, external_id=external_id, email=mail)
        return log.submit(open_case, who=who, content="x")

    answers = await in_one_batch(
        log.writer, opening("ann"), opening("bob"), opening("ann"), opening("bob")
    )
    opened = [answer.result for answer in answers]
    assert [one.user_id for one in opened] == [1, 2, 1, 2]
    assert [one.conflicts for one in opened] == [(), ("email",), (), ("email",)]
    assert [r.event.taken_by for r in log.events() if isinstance(r.event, UserLinkRefused)] == [
        1,
        1,
    ]


async def test_a_stream_that_was_written_behind_the_writer_s_back_is_read_anew(
    log: OpenLog,
) -> None:
    """On SQLite nobody else may write; if it happens, one command fails and the next one knows."""
    log.do(create_group, title="a")

    def behind(connection: Connection) -> None:
        [stored] = [log.database.mapper.to_stored_event(recorded) for recorded in log.events()]
        other = type(stored)(stored.originator_id, 2, stored.topic, stored.state)
        log.database.append(connection, [other])

    def rename(work: Work) -> None:
        work.load(GROUPS, 1)
        work.record(GROUPS, 1, GroupCreated(1, "b", "", ""))

    log.writer.run_and_wait(behind)
    if not log.database.shared:
        with pytest.raises(Exception, match="UNIQUE"):
            await log.submit(rename)
    await log.submit(rename)
    assert [recorded.version for recorded in log.events()] == [1, 2, 3]


# -- numbers and time ------------------------------------------------------------------------------


def test_numbers_go_on_after_a_restart(database_url: str, data_dir: Path) -> None:
    for expected in (1, 2, 3):
        with open_log(database_url, data_dir) as log:
            assert log.do(create_group, title="x") == expected


async def test_a_number_that_nothing_was_recorded_under_does_not_stop_the_counter(
    log: OpenLog, database_url: str, data_dir: Path
) -> None:
    await log.submit(lambda work: work.take("group"))
    first = log.do(create_group, title="x")
    log.writer.close()
    log.database.close()
    with open_log(database_url, data_dir) as again:
        assert again.do(create_group, title="x") == first + 1


def test_time_never_goes_back(database_url: str, data_dir: Path) -> None:
    times = iter([100, 50, 70, 200, 150])
    with open_log(database_url, data_dir, clock=lambda: next(times)) as log:
        for _ in range(4):
            log.do(create_group, title="x")
        assert [recorded.envelope.at for recorded in log.events()] == [100, 100, 100, 200]
    with open_log(database_url, data_dir, clock=lambda: next(times)) as log:
        log.do(create_group, title="x")
        assert log.events()[-1].envelope.at == 200


# -- receipts --------------------------------------------------------------------------------------


def with_receipt(log: OpenLog, title: str, key: str = "key", request_hash: str = "") -> Any:
    receipt = Receipt(key, request_hash or title)
    return log.writer.submit(
        group(title), who="staff:1", origin="api", request="r", receipt=receipt
    )


async def test_a_repeated_request_gets_the_first_answer_and_does_nothing(log: OpenLog) -> None:
    first = await with_receipt(log, "Sales")
    again = await with_receipt(log, "Sales")
    assert (first.result, first.repeated) == (1, False)
    assert (again.result, again.repeated, again.position) == (1, True, 0)
    assert len(log.events()) == 2  # the group and the receipt


async def test_a_repeat_in_the_same_batch_does_nothing_either(log: OpenLog) -> None:
    answers = await in_one_batch(log.writer, with_receipt(log, "Sales"), with_receipt(log, "Sales"))
    assert [(done.result, done.repeated) for done in answers] == [(1, False), (1, True)]


async def test_a_receipt_outlives_the_process(
    log: OpenLog, database_url: str, data_dir: Path
) -> None:
    await with_receipt(log, "Sales")
    log.writer.close()
    log.database.close()
    with open_log(database_url, data_dir) as again:
        assert (await with_receipt(again, "Sales")).repeated


async def test_a_key_that_comes_with_another_request_is_refused(log: OpenLog) -> None:
    await with_receipt(log, "Sales")
    with pytest.raises(IdempotencyKeyReused):
        await with_receipt(log, "Support")
    assert (await with_receipt(log, "Support", key="other")).result == 2


async def test_a_refused_request_keeps_no_receipt(log: OpenLog) -> None:
    with pytest.raises(ChannelNotFound):
        await log.writer.submit(
            refused, who="x", origin="api", request="r", receipt=Receipt("key", "h")
        )
    assert (await with_receipt(log, "Sales")).result == 1


async def test_a_receipt_holds_ids_only(log: OpenLog) -> None:
    mail = Contact("email", "a@example.com", "a@example.com", "test.1")
    await log.writer.submit(
        partial(open_case, who=Identification(email=mail), subject="Secret", content="Secret"),
        who="staff:1",
        origin="api",
        request="r",
        receipt=Receipt("key", "h"),
    )
    [kept] = [r.event for r in log.events() if r.event.NAME == "receipt.kept.1"]
    assert kept.result == {"case_id": 1, "message_id": 1, "user_id": 1, "conflicts": []}


# -- limits and the end ----------------------------------------------------------------------------


async def test_who_comes_to_a_full_queue_is_told_to_come_again(
    log: OpenLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "QUEUE_LIMIT", 3)
    names = [str(number) for number in range(5)]

    async def one(name: str) -> int:
        return (await log.submit(group(name))).result

    started, go = threading.Event(), threading.Event()

    def hold(_: Connection) -> None:
        started.set()
        go.wait(DEADLINE)

    holding = asyncio.ensure_future(log.writer.run(hold))
    await asyncio.to_thread(started.wait, DEADLINE)
    waiting = [asyncio.ensure_future(one(name)) for name in names]
    await asyncio.sleep(0)
    assert log.writer.waiting == 3
    go.set()
    await holding
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert kinds(answers) == [1, 2, 3, LogBusy, LogBusy]
    assert (await log.submit(group("later"))).result == 4


async def test_closing_carries_out_what_is_queued_and_takes_no_more(log: OpenLog) -> None:
    queued = [asyncio.ensure_future(order) for order in submitted(log, "a", "b")]
    await asyncio.sleep(0)
    await asyncio.to_thread(log.writer.close)
    assert [(await order).result for order in queued] == [1, 2]
    with pytest.raises(LogUnavailable, match="shutting down"):
        await log.submit(group("c"))


def test_nobody_who_comes_while_it_closes_is_left_without_an_answer(
    database_url: str, data_dir: Path
) -> None:
    with open_log(database_url, data_dir) as log:
        answers: list[Any] = []

        def go_on() -> None:
            while True:
                try:
                    answers.append(log.do(create_group, title="x"))
                except LogUnavailable as error:
                    answers.append(error)
                    return

        callers = [threading.Thread(target=go_on) for _ in range(4)]
        for caller in callers:
            caller.start()
        while len(answers) < 20:
            assert any(caller.is_alive() for caller in callers)
        log.writer.close()
        for caller in callers:
            caller.join(DEADLINE)
            assert not caller.is_alive()
        made = [answer for answer in answers if isinstance(answer, int)]
        assert sorted(made) == list(range(1, len(log.events()) + 1))


async def test_the_identity_map_forgets_what_was_not_used_for_longest(
    log: OpenLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "IDENTITY_MAP_LIMIT", 10)
    for number in range(1, 31):
        assert log.do(create_group, title=f"Group {number}") == number
    assert len(log.writer._identity_map) == 10
    loaded = log.do(
        lambda work: [work.load(GROUPS, number).settings.title for number in range(1, 31)]
    )
    assert loaded == [f"Group {number}" for number in range(1, 31)]
    assert len(log.writer._identity_map) == 10
    assert len(log.writer._places) <= 20


def test_a_row_that_exists_already_is_the_task_s_own_failure(projected: OpenLog) -> None:
    def task(connection: Connection) -> None:
        connection.execute(delete(titles))
        connection.execute(insert(titles), [{"position": 1, "title": "x"}] * 2)

    with pytest.raises(IntegrityError):
        projected.writer.run_and_wait(task)
    assert projected.writer.failing is None
