"""Timed rules that count from response targets, on a real log: once for each wait, whatever is set anew meanwhile."""

import time
from functools import partial
from pathlib import Path
from typing import Any

from folding import email
from story import person

from kanal.automation.timed_rules import BATCH, MINUTE, TimedRules
from kanal.bootstrap import Store, opened
from kanal.domain.access import Scope
from kanal.domain.actions import Action
from kanal.domain.cases import change_case, restore_case, trash_case
from kanal.domain.conversation import add_staff_reply, add_user_message, open_case
from kanal.domain.firings import RuleFired
from kanal.domain.groups import create_group
from kanal.domain.response_targets import Target, add_response_target
from kanal.domain.rules import create_rule, disable_rule, enable_rule
from kanal.domain.staff import create_staff
from kanal.eventlog.follower import Follower
from kanal.projections import deadlines, runner
from kanal.projections.registry import CORE, FOLLOWED
from kanal.settings import Settings

NOTE = Action("add_note", content="Hurry!")


def do(store: Store, command: Any, **arguments: Any) -> Any:
    return store.writer.submit_and_wait(partial(command, **arguments)).result


def fired(store: Store) -> list[tuple[int, int]]:
    """Rule and case, since the last call."""
    events = [each.event for each in store.database.events_after(0)]
    return [(each.rule_id, each.case_id) for each in events if isinstance(each, RuleFired)]


async def at(store: Store, minutes: float, duty: TimedRules | None = None) -> int:
    """As if it were so much later; how many batches were due. A duty as after a restart, unless one is given."""
    await Follower(
        store.database, store.writer, partial(runner.following, models=FOLLOWED)
    ).catch_up()
    duty = duty or TimedRules(store.database, store.stream_ids, store.writer, CORE)
    now, batches = time.time_ns() // 1000 + int(minutes * MINUTE), 0
    while True:
        with store.database.reading() as connection:
            due = duty.due(connection, runner.views(connection, CORE + FOLLOWED), now)
        if not due:
            return batches
        for batch in due:
            await duty.act(batch)
        batches += len(due)


async def test_a_rule_runs_once_for_each_wait_when_its_target_comes_near_or_is_over(
    data_dir: Path, database_url: str
) -> None:
    with opened(Settings(data_dir=data_dir, database_url=database_url)) as store:
        do(store, create_staff, email=email("a@example.com"), full_name="A", key_fingerprint="f")
        do(store, create_group, title="Quick")
        hour = Target("Hour", first_response=60, next_response=60, hours="clock")
        do(store, add_response_target, target=hour)
        quick = Target("Quick", groups=(1,), first_response=5, hours="clock")
        do(store, add_response_target, target=quick)
        timed = partial(create_rule, kind="timed", title="T", actions=[NOTE])
        do(store, timed, since="first_response_target", minutes=-30)
        do(store, timed, since="first_response_target")
        do(store, timed, since="next_response_target", minutes=10)
        for number in (1, 2, 3):
            do(store, open_case, who=person(mail=f"u{number}@example.com"), content="Hi")
        assert await at(store, 29) == 0
        assert await at(store, 31) == 1
        assert fired(store) == [(1, 1), (1, 2), (1, 3)]
        do(store, add_staff_reply, case_id=2, staff_id=1, content="Hello")
        do(store, trash_case, case_id=3)
        await at(store, 61)
        assert fired(store)[3:] == [(2, 1)]
        assert await at(store, 62) == 0
        # A case comes back, and its deadline passed while it was away.
        do(store, restore_case, case_id=3)
        await at(store, 63)
        assert fired(store)[4:] == [(2, 3)]
        do(store, add_user_message, case_id=2, user_id=2, content="And?")
        do(store, open_case, who=person(mail="u4@example.com"), content="Hi")
        # The same duty goes on: what is set anew is set behind what it has asked.
        duty = TimedRules(store.database, store.stream_ids, store.writer, CORE)
        await at(store, 20, duty)
        do(store, change_case, case_id=4, group_id=1)
        await at(store, 20, duty)
        assert fired(store)[5:] == [(1, 4), (2, 4)]
        with store.database.reading() as connection:
            views = runner.views(connection, CORE + FOLLOWED)
            later = time.time_ns() // 1000 + 100 * MINUTE
            late = deadlines.violated(connection, views, later, 2)
            assert (late.rows, late.total) == ([4, 1], 4)
            further = deadlines.violated(connection, views, later, 2, late.end)
            assert (further.rows, further.total, further.end) == ([3, 2], 4, None)
            own = views.within(Scope(groups=frozenset({1})))
            assert deadlines.violated(connection, own, later, 2) == ([4], 1, None)
            assert deadlines.violated(connection, own, later - 99 * MINUTE, 2) == ([], 0, None)
            first = deadlines.of_cases(connection, views, [1, 4])
            assert {each.measure for each in first.values()} == {"first_response"}
        await at(store, 71, duty)
        assert fired(store)[7:] == [(3, 1), (3, 3), (3, 2)]
        do(store, change_case, case_id=4, group_id=0)
        await at(store, 200, duty)
        assert fired(store)[10:] == [(3, 4)]


async def test_much_that_comes_due_at_once_is_done_in_turns_and_not_after_a_rule_was_off(
    data_dir: Path,
) -> None:
    with opened(Settings(data_dir=data_dir)) as store:
        do(store, create_staff, email=email("a@example.com"), full_name="A", key_fingerprint="f")
        do(store, add_response_target, target=Target("T", first_response=10, hours="clock"))
        rule = {"kind": "timed", "title": "T", "actions": [NOTE]}
        do(store, create_rule, since="first_response_target", **rule)
        for number in range(BATCH + 5):
            do(store, open_case, who=person(mail=f"u{number}@example.com"), content="Hi")
        assert await at(store, 11) == 2
        assert sorted(fired(store)) == [(1, number + 1) for number in range(BATCH + 5)]
        do(store, disable_rule, rule_id=1)
        do(store, open_case, who=person(mail="late@example.com"), content="Hi")
        assert await at(store, 30) == 0
        do(store, enable_rule, rule_id=1)
        assert await at(store, 30) == 0
        do(store, open_case, who=person(mail="new@example.com"), content="Hi")
        assert await at(store, 30) == 1
        assert fired(store)[BATCH + 5 :] == [(1, BATCH + 7)]
