"""What-if on a real log: what a rule would have done, each state as it was then, and nothing is done."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from folding import email
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from story import person

from kanal.automation.reading_process import ReadingProcesses, ReadingTookTooLong, TooManyReaders
from kanal.automation.rules import MAX_MESSAGES, RuleRunner
from kanal.automation.timed_rules import MINUTE
from kanal.automation.what_if import DAY, Findings, Job, WhatIf, opened_to_read
from kanal.bootstrap import Store, opened
from kanal.domain.actions import Action
from kanal.domain.cases import change_case
from kanal.domain.channels import create_channel
from kanal.domain.conditions import Condition
from kanal.domain.conversation import add_staff_reply, add_user_message, open_case
from kanal.domain.message_events import Texts
from kanal.domain.messages import Original, edit_message
from kanal.domain.response_targets import Target, add_response_target
from kanal.domain.rules import Draft, change_rule, create_rule, draft_rule
from kanal.domain.staff import create_staff
from kanal.domain.users import change_user
from kanal.projections.registry import CORE
from kanal.settings import Settings

REPLY = Action("email_to_user", "[user_name], [staff_name]: [case_description] / [last_message]")
NOTE = Action("add_note", content="x")
OPEN = Condition(field="status", operator="is", value=["open"])
HOUR = 60 * MINUTE


class Past:
    """A log whose clock is set by hand, channel 1, staff 1."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = store.writer.clock() + DAY
        store.writer.clock = lambda: self.now
        self.do(create_staff, email=email("a@example.com"), full_name="A", key_fingerprint="f")
        self.do(
            create_channel,
            title="App",
            webhook_url="https://example.com/hook",
            channel_type="async",
            secret_fingerprint="f",
        )

    def do(self, command: Callable[..., Any], **arguments: Any) -> Any:
        self.now += 1  # two commands of one moment would count as one
        return self.store.writer.submit_and_wait(partial(command, **arguments)).result

    def pass_time(self, microseconds: int) -> None:
        self.now += microseconds

    def case(self, number: int = 1, content: str = "Hi", **fields: Any) -> int:
        who = person(f"u{number}", details={"full_name": "Ann"})
        return int(self.do(open_case, who=who, content=content, **fields).case_id)

    def says(self, case_id: int, content: str) -> None:
        """Each case has a user of its own."""
        self.do(add_user_message, case_id=case_id, user_id=case_id, content=content)

    @property
    def head(self) -> int:
        with self.store.database.reading() as connection:
            return self.store.database.head(connection)

    def ask(self, *, days: int = 7, limit: int = 10, **draft: Any) -> Findings:
        made: Draft = self.do(draft_rule, **draft)
        job = Job(
            database=self.store.database.address,
            draft=made.rule,
            live=made.live,
            before=made.before,
            days=days,
            upto=self.head,
            limit=limit,
        )
        with closing(opened_to_read(job.database)) as database:
            return WhatIf(database, self.store.stream_ids, job).find()


@pytest.fixture
def past(data_dir: Path) -> Iterator[Past]:
    with opened(Settings(data_dir=data_dir)) as store:
        yield Past(store)


def told(found: Findings) -> list[tuple[int, list[str]]]:
    return [(each.case_id, [text.content for text in each.texts]) for each in found.items]


async def test_each_state_and_text_is_as_of_its_cause_and_nothing_is_written(
    data_dir: Path, database_url: str
) -> None:
    with opened(Settings(data_dir=data_dir, database_url=database_url)) as store:
        past = Past(store)
        case_id = past.case(content="First")
        past.pass_time(2 * DAY)
        past.says(case_id, "Second")
        past.do(change_case, case_id=case_id, staff_id=1, status="closed")
        original = Original(1, case_id, "user_message", 0, Texts("First", ""))
        past.do(edit_message, original=original, content="Edited", content_html="")
        past.do(change_user, user_id=1, full_name="Ben")
        past.says(case_id, "Third")
        past.do(change_case, case_id=case_id, status="waiting")
        head = past.head
        found = past.ask(kind="incoming", actions=[REPLY, NOTE], conditions=OPEN)
        assert told(found) == [
            (1, ["Ann, : First / First", "x"]),
            (1, ["Ann, : First / Second", "x"]),
            (1, ["Ben, A: Edited / Third", "x"]),
        ]
        assert (found.runs, found.cases, found.live_runs, found.ran) == (3, 1, 0, 0)
        assert found.texts == {"email_to_user": 3, "add_note": 3, "webhook": 0}
        assert found == past.ask(kind="incoming", actions=[REPLY, NOTE], conditions=OPEN)
        recent = past.ask(days=1, limit=1, kind="incoming", actions=[REPLY], conditions=OPEN)
        assert told(recent) == [(1, ["Ann, : First / Second"])]
        assert (recent.runs, recent.after > found.after) == (2, True)
        assert past.head == head
        with (
            closing(opened_to_read(store.database.address)) as database,
            database.writer.connect() as connection,
            pytest.raises(DBAPIError),
        ):
            connection.execute(text("DELETE FROM installation"))


async def test_a_changed_rule_is_compared_with_the_live_one_and_with_what_ran(past: Past) -> None:
    rules = RuleRunner(past.store.database, past.store.stream_ids, past.store.writer, CORE)
    await rules.begin()
    early = past.case(2, "A refund")
    refund = Condition(field="text", operator="contains", value="refund")
    money = Condition(field="text", operator="contains", value="money")
    past.do(create_rule, kind="incoming", title="Stop", actions=[Action("stop")], conditions=money)
    past.do(create_rule, kind="incoming", title="R", actions=[NOTE], conditions=refund)
    case_id = past.case(1, "A refund")
    past.says(case_id, "My money")
    past.says(case_id, "No money, no refund")
    past.says(case_id, "Thanks")
    await rules.follow()
    same = past.ask(rule_id=2)
    assert [(each.case_id, each.live, each.ran) for each in same.items] == [
        (early, True, False),
        (case_id, True, True),
    ]
    assert (same.live_runs, same.only_draft, same.only_live, same.ran) == (2, 0, 0, 1)
    thanks = Condition(field="text", operator="contains", value="thanks")
    other = past.ask(rule_id=2, conditions=thanks)
    assert [(each.live, each.ran) for each in other.items] == [(False, False)]
    assert [(each.case_id, each.ran) for each in other.live_items] == [
        (early, False),
        (case_id, True),
    ]
    before_it = past.ask(kind="incoming", actions=[NOTE], conditions=money)
    assert before_it.runs == 0
    once = past.ask(rule_id=2, conditions=OPEN, once_per_case=True)
    assert [(each.case_id, each.live) for each in once.items] == [(early, True), (case_id, True)]


async def test_loops_are_cut_as_they_are_live(past: Past) -> None:
    rules = RuleRunner(past.store.database, past.store.stream_ids, past.store.writer, CORE)
    await rules.begin()
    noted = Condition(field="change", operator="is", value=["note"])
    past.do(create_rule, kind="incoming", title="R", actions=[NOTE])
    past.do(create_rule, kind="changed", title="R", actions=[Action("priority", "high")])
    case_id = past.case()
    await rules.follow()
    found = past.ask(rule_id=2, actions=[NOTE], conditions=noted)
    assert (found.runs, found.loops_cut) == (1, 0)
    found = past.ask(rule_id=2, actions=[NOTE])
    assert (found.runs, found.loops_cut, found.ran) == (1, 1, 1)
    for _ in range(MAX_MESSAGES + 2):
        past.says(case_id, "x")
    assert past.ask(kind="incoming", actions=[REPLY]).loops_cut == 3
    past.pass_time(HOUR)
    past.says(case_id, "x")
    assert past.ask(kind="incoming", actions=[REPLY]).runs == MAX_MESSAGES + 1


def test_timed_rules_come_due_in_the_past_even_of_what_began_before_it(past: Past) -> None:
    slow = {"kind": "timed", "since": "unanswered", "minutes": 2 * 24 * 60, "actions": [NOTE]}
    first, answered, closed = (past.case(number) for number in (1, 2, 3))
    past.do(create_rule, title="Slow", **slow)
    past.pass_time(DAY)
    past.do(add_staff_reply, case_id=answered, staff_id=1, content="Hello")
    past.do(change_case, case_id=closed, status="closed")
    past.pass_time(DAY + HOUR)
    late = past.case(4)
    past.pass_time(HOUR)
    past.case(5)
    found = past.ask(days=1, conditions=OPEN, **slow)
    assert [(each.case_id, (past.now - each.at) // HOUR) for each in found.items] == [(first, 2)]
    past.pass_time(2 * DAY - HOUR // 2)
    past.case(6)
    changed = past.ask(days=1, rule_id=1, minutes=24 * 60)
    assert [(each.case_id, each.live) for each in changed.items] == [(late + 1, False)]
    assert [each.case_id for each in changed.live_items] == [late]
    past.do(change_rule, rule_id=1, minutes=24 * 60)
    assert past.ask(days=4, rule_id=1, once_per_case=True).only_live == 0


async def test_targets_are_asked_in_the_past_as_they_are_live(past: Past) -> None:
    """One target of 60 minutes by the clock; whoever answers late is told so."""
    rules = RuleRunner(
        past.store.database, past.store.stream_ids, past.store.writer, CORE, clock=lambda: past.now
    )
    await rules.begin()
    target = Target("T", first_response=60, next_response=60, hours="clock")
    past.do(add_response_target, target=target)
    late = Condition(field="next_response_violated", operator="is", value=True)
    near = Condition(field="minutes_to_next_response", operator="at_most", value=20)
    noted = Condition(field="change", operator="is", value=["status"])
    asked = Condition(all=(noted, Condition(any=(late, near))))
    high = [Action("priority", "high")]
    past.do(create_rule, kind="changed", title="R", conditions=asked, actions=high)
    for number, minutes in ((1, 39), (2, 41), (3, 61)):
        past.case(number)
        past.pass_time(minutes * MINUTE)
        past.do(change_case, case_id=number, status="waiting")
        await rules.follow()
        past.do(add_staff_reply, case_id=number, staff_id=1, content="Hello")
        past.do(change_case, case_id=number, status="open")
        await rules.follow()
    found = past.ask(rule_id=1)
    ran = [(each.case_id, each.live, each.ran) for each in found.items]
    assert ran == [(2, True, True), (3, True, True)]

    overdue = {"kind": "timed", "since": "next_response_target", "actions": [NOTE]}
    past.says(1, "And?")
    past.pass_time(2 * DAY)
    past.case(4)
    past.pass_time(50 * MINUTE)
    past.do(change_case, case_id=2, subject="What comes last")
    found = past.ask(days=3, **overdue)
    assert [(each.case_id, (past.now - each.at) // HOUR) for each in found.items] == [
        (3, 48),
        (1, 47),
    ]
    found = past.ask(days=1, minutes=-30, **overdue)
    assert [each.case_id for each in found.items] == [4]
    assert past.ask(days=1, minutes=-30, **overdue) == found


async def test_reading_apart_ends_when_nobody_waits_and_there_is_not_too_much_of_it() -> None:
    """`json.tool` reads until its input ends, which it does not."""
    processes = ReadingProcesses(at_once=1, seconds=0.5)
    waiting = asyncio.create_task(processes.run("json.tool", b"{}"))
    await asyncio.sleep(0)
    with pytest.raises(TooManyReaders):
        await processes.run("json.tool", b"{}")
    with pytest.raises(ReadingTookTooLong):
        await waiting
    waiting = asyncio.create_task(processes.run("json.tool", b"{}"))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert processes.under_way == 0
    with pytest.raises(RuntimeError):
        await ReadingProcesses().run("kanal.automation.what_if", b"nonsense")
