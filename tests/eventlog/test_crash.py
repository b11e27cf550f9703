"""SIGKILL at any moment: what was answered is there, once, and so is what is folded from it."""

import signal
import subprocess
import sys
from pathlib import Path

from folding import engine_of, folded_at_once
from open_log import DEADLINE, OpenLog, open_log
from sqlalchemy import select

from kanal.projections.groups import PROJECTION as GROUPS

WRITING_PROCESS = Path(__file__).with_name("writing_process.py")
ANSWERS_BEFORE_KILL = (1, 150, 40)


def answers_until_killed(path: Path, enough: int) -> list[str]:
    with subprocess.Popen(
        [sys.executable, WRITING_PROCESS, path], stdout=subprocess.PIPE, text=True
    ) as process:
        answers = [process.stdout.readline() for _ in range(enough)]
        process.kill()
        answers += process.stdout.readlines()
        assert process.wait(DEADLINE) == -signal.SIGKILL
    return [answer.rstrip("\n") for answer in answers if answer.endswith("\n")]


def test_what_was_answered_before_a_kill_is_there_once(data_dir: Path) -> None:
    answered: list[str] = []
    for enough in ANSWERS_BEFORE_KILL:
        answered += answers_until_killed(data_dir / "kanal.db", enough)
        with open_log("", data_dir) as log:
            check(log, answered)


def check(log: OpenLog, answered: list[str]) -> None:
    events = log.events()
    stored = [f"{recorded.event.group_id} {recorded.event.title}" for recorded in events]
    assert len(set(stored)) == len(stored)
    assert set(answered) <= set(stored)
    assert [recorded.event.group_id for recorded in events] == list(range(1, len(events) + 1))
    with log.database.reading() as connection, engine_of("").connect() as memory:
        rows = connection.execute(select(GROUPS.tables(1)["groups"])).all()
        expected = folded_at_once(memory, events).rows()["groups.groups"]
        assert sorted(map(tuple, rows)) == expected
    check_numbers_go_on(log, len(events))


def check_numbers_go_on(log: OpenLog, last: int) -> None:
    """A number that nothing is recorded under stays free."""
    taken = log.do(lambda work: work.take("group"))
    assert taken == last + 1
