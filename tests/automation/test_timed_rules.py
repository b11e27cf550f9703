"""Timed rules on a real log: each case is asked once, when it is due, whatever is restarted, changed or answered meanwhile."""

import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from folding import email
from story import person

from kanal.automation.timed_rules import MINUTE, Batch, TimedRules
from kanal.bootstrap import Store, opened
from kanal.domain.actions import Action
from kanal.domain.cases import change_case
from kanal.domain.conditions import Condition
from kanal.domain.conversation import add_staff_reply, add_user_message, open_case
from kanal.domain.firings import RuleFired
from kanal.domain.rules import change_rule, create_rule, disable_rule, enable_rule
from kanal.domain.staff import create_staff
from kanal.eventlog.follower import Follower
from kanal.eventlog.writer import LogBusy, Writer
from kanal.projections import runner
from kanal.projections.registry import CORE, FOLLOWED
from kanal.settings import Settings

NOTE = Action("add_note", content="Still there?")
HOUR = 60 * MINUTE


def do(store: Store, command: Any, **arguments: Any) -> Any:
    return store.writer.submit_and_wait(partial(command, **arguments)).result


def prepared(store: Store, *, cases: int = 2, **rule: Any) -> Store:
    """Timed rule 1; then cases 1, 2, ..., open and without an answer."""
    do(store, create_staff, email=email("a@example.com"), full_name="A", key_fingerprint="f")
    given = {"since": "unanswered", "minutes": 60, "actions": [NOTE], **rule}
    do(store, create_rule, kind="timed", title="Slow", **given)
    for number in range(cases):
        do(store, open_case, who=person(mail=f"u{number}@example.com"), content="Hi")
    return store


async def pass_time(store: Store, minutes: int) -> list[Batch]:
    """As if it were so much later; a duty as after a restart each time."""
    await Follower(
        store.database, store.writer, partial(runner.following, models=FOLLOWED)
    ).catch_up()
    duty = TimedRules(store.database, store.stream_ids, store.writer, CORE)
    now = time.time_ns() // 1000 + minutes * MINUTE
    with store.database.reading() as connection:
        due = list(duty.due(connection, runner.views(connection, CORE + FOLLOWED), now))
    for batch in due:
        await duty.act(batch)
    return due


def fired(store: Store) -> list[tuple[int, int]]:
    """Case and version of the rule."""
    events = [each.event for each in store.database.events_after(0)]
    return [(each.case_id, each.version) for each in events if isinstance(each, RuleFired)]


async def test_a_case_is_asked_once_for_each_time_that_it_is_due(
    data_dir: Path, database_url: str
) -> None:
    with opened(Settings(data_dir=data_dir, database_url=database_url)) as store:
        prepared(store)
        assert await pass_time(store, 59) == []
        do(store, add_staff_reply, case_id=2, staff_id=1, content="Hello")
        await pass_time(store, 61)
        assert fired(store) == [(1, 1)]
        assert await pass_time(store, 100) == []
        do(store, change_rule, rule_id=1, minutes=30)
        assert await pass_time(store, 100) == []
        do(store, add_user_message, case_id=1, user_id=1, content="And?")
        do(store, add_user_message, case_id=2, user_id=2, content="And?")
        await pass_time(store, 31)
        assert fired(store) == [(1, 1), (1, 2), (2, 2)]
        note = next(
            each
            for each in store.database.events_after(0)
            if each.envelope.who == "rule:1" and each.event.NAME == "case.message_added.1"
        )
        assert (note.envelope.origin, note.envelope.cause is not None) == ("rule", True)


async def test_what_has_ended_when_the_command_is_its_turn_does_not_count(data_dir: Path) -> None:
    with opened(Settings(data_dir=data_dir)) as store:
        prepared(store)
        duty = TimedRules(store.database, store.stream_ids, store.writer, CORE)
        await Follower(
            store.database, store.writer, partial(runner.following, models=FOLLOWED)
        ).catch_up()
        with store.database.reading() as connection:
            views = runner.views(connection, CORE + FOLLOWED)
            [batch] = duty.due(connection, views, time.time_ns() // 1000 + 2 * HOUR)
        do(store, add_staff_reply, case_id=1, staff_id=1, content="Hello")
        await duty.act(batch)
        assert fired(store) == [(2, 1)]


@pytest.mark.parametrize(
    ("since", "starts", "ends"),
    [
        ("opened", None, None),
        ("status", {"status": "closed"}, {"status": "open"}),
        ("user_message", None, None),
        ("staff_reply", "Hello", None),
    ],
)
async def test_each_beginning_is_counted_from(
    data_dir: Path, since: str, starts: Any, ends: Any
) -> None:
    with opened(Settings(data_dir=data_dir)) as store:
        prepared(store, cases=1, since=since, once_per_case=True)
        if isinstance(starts, str):
            assert await pass_time(store, 61) == []
            do(store, add_staff_reply, case_id=1, staff_id=1, content=starts)
        elif starts:
            do(store, change_case, case_id=1, **starts)
            do(store, change_case, case_id=1, **ends)
        await pass_time(store, 61)
        await pass_time(store, 200)
        assert fired(store) == [(1, 1)]


async def test_conditions_count_and_what_was_due_while_it_was_disabled_is_not_for_it(
    data_dir: Path,
) -> None:
    with opened(Settings(data_dir=data_dir)) as store:
        high = Condition(field="priority", operator="is", value=["high"])
        prepared(store, conditions=high, minutes=1)
        do(store, change_case, case_id=2, priority="high")
        await pass_time(store, 2)
        assert fired(store) == [(2, 1)]
        do(store, disable_rule, rule_id=1)
        do(store, add_user_message, case_id=2, user_id=2, content="And?")
        assert await pass_time(store, 60) == []
        do(store, enable_rule, rule_id=1)
        # It was made and enabled in this very minute, so what began a moment ago is still to come.
        [batch] = await pass_time(store, 60)
        assert [each.case_id for each in batch.times] == [2]


async def test_a_batch_that_was_cut_off_is_asked_again_and_nothing_done_twice(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(Settings(data_dir=data_dir)) as store:
        prepared(store, cases=3)
        submit, turns = Writer.submit, [0]

        async def sometimes(self: Writer, *given: Any, **more: Any) -> Any:
            turns[0] += 1
            if turns[0] == 2:
                raise LogBusy("busy")
            return await submit(self, *given, **more)

        monkeypatch.setattr(Writer, "submit", sometimes)
        with pytest.raises(LogBusy):
            await pass_time(store, 61)
        assert fired(store) == [(1, 1)]
        await pass_time(store, 61)
        assert fired(store) == [(1, 1), (2, 1), (3, 1)]
