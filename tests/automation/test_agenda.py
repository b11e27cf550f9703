"""Duties with a real log: what is due is done once, failures wait, one process works at a time."""

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from open_log import OpenLog, open_log, until
from sqlalchemy import Connection, text

from kanal.automation.agenda import AT_ONCE, Agenda, Hand
from kanal.domain.groups import create_group
from kanal.projections.read_model import Views


class Todo(NamedTuple):
    number: int


class Chores:
    """Names what stands in `todo`; takes it off when done."""

    name = "chores"

    def __init__(self, *numbers: int) -> None:
        self.todo = [Todo(number) for number in numbers]
        self.begun: list[int] = []
        self.go = asyncio.Event()
        self.go.set()
        self.trouble: set[int] = set()
        self.asked = 0

    def due(self, connection: Connection, views: Views, now: int) -> Sequence[Todo]:
        self.asked += 1
        return list(self.todo)

    async def act(self, item: Todo) -> None:
        self.begun.append(item.number)
        await self.go.wait()
        if item.number in self.trouble:
            raise RuntimeError("trouble")
        self.todo.remove(item)


class Trouble:
    """A clock that fails so many times."""

    def __init__(self, times: int) -> None:
        self.times = times

    def __call__(self) -> int:
        self.times -= 1
        if self.times >= 0:
            raise OSError("no clock")
        return 1


@pytest.fixture
def chores() -> Chores:
    return Chores(1, 2, 3)


def agenda(opened: OpenLog, *duties: Any, **options: Any) -> Agenda:
    return Agenda(opened.database, (), duties, **options)


async def test_what_is_due_is_done_and_not_begun_twice(
    database_url: str, data_dir: Path, chores: Chores
) -> None:
    with open_log(database_url, data_dir) as opened:
        working = agenda(opened, chores)
        chores.go.clear()
        await working.turn()
        await until(lambda: chores.begun == [1, 2, 3])
        await working.turn()
        assert chores.begun == [1, 2, 3]
        chores.go.set()
        await until(lambda: not chores.todo)
        await working.turn()
        assert chores.begun == [1, 2, 3]
        await working.close(1)


async def test_a_failed_item_waits_a_while_and_holds_up_no_other(
    data_dir: Path, chores: Chores
) -> None:
    with open_log("", data_dir) as opened:
        working = agenda(opened, chores)
        chores.trouble = {2}
        await working.turn()
        await until(lambda: chores.todo == [Todo(2)])
        await working.turn()
        assert chores.begun == [1, 2, 3]
        chores.trouble = set()
        working.start()
        await until(lambda: not chores.todo)
        assert chores.begun == [1, 2, 3, 2]
        await working.close(1)


async def test_a_duty_that_cannot_be_asked_does_not_end_the_agenda(
    data_dir: Path, chores: Chores
) -> None:
    with open_log("", data_dir) as opened:
        working = agenda(opened, chores, clock=Trouble(1))
        working.start()
        await until(lambda: not chores.todo)
        await working.close(1)


async def test_a_duty_whose_question_fails_does_not_stop_the_others(
    database_url: str, data_dir: Path, chores: Chores
) -> None:
    class Broken(Chores):
        name = "broken"

        def due(self, connection: Connection, views: Views, now: int) -> Sequence[Todo]:
            connection.execute(text("SELECT * FROM no_such_table"))
            return []

    with open_log(database_url, data_dir) as opened:
        working = agenda(opened, Broken(), chores)
        await working.turn()
        await until(lambda: not chores.todo)
        await working.close(1)


async def test_a_flood_of_one_duty_leaves_room_for_another(data_dir: Path) -> None:
    flood, other = Chores(*range(AT_ONCE + 10)), Chores(1)
    other.name = "other"
    with open_log("", data_dir) as opened:
        working = agenda(opened, flood, other)
        flood.go.clear()
        await working.turn()
        await until(lambda: not other.todo)
        assert len(flood.begun) == AT_ONCE
        flood.go.set()
        await until(lambda: len(flood.todo) == 10)
        await working.turn()
        await until(lambda: not flood.todo)
        await working.close(1)


async def test_closing_lets_what_is_under_way_end_but_not_for_ever(
    data_dir: Path, chores: Chores
) -> None:
    with open_log("", data_dir) as opened:
        working = agenda(opened, chores)
        chores.go.clear()
        await working.turn()
        await until(lambda: len(chores.begun) == 3)
        await working.close(0.01)
        assert len(chores.todo) == 3


async def test_a_clock_decides_what_is_due(data_dir: Path) -> None:
    asked: list[int] = []

    class Asking(Chores):
        def due(self, connection: Connection, views: Views, now: int) -> Sequence[Todo]:
            asked.append(now)
            return []

    with open_log("", data_dir) as opened:
        await agenda(opened, Asking(), clock=lambda: 17).turn()
    assert asked == [17]


async def test_one_process_at_a_time_works_and_the_next_takes_over(
    postgres_url: str, data_dir: Path
) -> None:
    first, second = Chores(), Chores()
    with open_log(postgres_url, data_dir) as one, open_log(postgres_url, data_dir) as two:
        leader, waiting = agenda(one, first), agenda(two, second)
        await leader.turn()
        await waiting.turn()
        assert (first.asked, second.asked) == (1, 0)
        await leader.close(1)
        await waiting.turn()
        assert (first.asked, second.asked) == (1, 1)
        await waiting.close(1)


async def test_who_closes_while_asking_whether_it_leads_leaves_no_connection(
    postgres_url: str, data_dir: Path
) -> None:
    with open_log(postgres_url, data_dir) as opened:
        closing = agenda(opened, Chores())
        asking = asyncio.create_task(closing.turn())
        await asyncio.sleep(0)
        await closing.close(1)
        await asking
        waiting = agenda(opened, chores := Chores())
        await waiting.turn()
        assert chores.asked == 1
        await waiting.close(1)


async def test_whoever_loses_its_connection_does_not_lead_any_more(
    postgres_url: str, data_dir: Path
) -> None:
    first, second = Chores(), Chores()
    with open_log(postgres_url, data_dir) as one, open_log(postgres_url, data_dir) as two:
        leader, waiting = agenda(one, first), agenda(two, second)
        await leader.turn()
        with two.database.writer.begin() as connection:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid, 20000) FROM pg_locks "
                    "WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
                )
            )
        await waiting.turn()
        await leader.turn()
        assert (first.asked, second.asked) == (1, 1)
        await leader.close(1)
        await waiting.close(1)


async def test_a_hand_writes_in_the_system_s_name_and_says_for_what(data_dir: Path) -> None:
    with open_log("", data_dir) as opened:
        hand = Hand(opened.writer, "chores")
        done = await hand.submit(partial(create_group, title="Night shift"), cause=7)
        envelope = done.events[0].envelope
    assert done.result == 1
    assert (envelope.who, envelope.origin, envelope.request, envelope.cause) == (
        "system",
        "automation",
        "chores",
        7,
    )
