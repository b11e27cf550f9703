"""Rules on a real log: they run for what happens, in their order, once for each cause, and loops are cut."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from folding import email
from open_log import until
from story import person

from kanal.automation import agenda as agenda_module
from kanal.automation.agenda import Agenda
from kanal.automation.patterns import matches, wrong_pattern
from kanal.automation.rules import MAX_DEPTH, MAX_MESSAGES, RuleRunner
from kanal.bootstrap import Store, opened
from kanal.domain.access import Scope
from kanal.domain.actions import Action
from kanal.domain.case_events import MessageAdded
from kanal.domain.cases import CASES, change_case
from kanal.domain.channels import create_channel
from kanal.domain.conditions import Condition
from kanal.domain.conversation import add_user_message, open_case
from kanal.domain.event import Event
from kanal.domain.firings import RuleFired, RuleLoopCut
from kanal.domain.rules import change_rule, create_rule, disable_rule, enable_rule, order_rules
from kanal.domain.staff import create_staff
from kanal.eventlog.writer import LogBusy, Writer
from kanal.projections import changelog, runner
from kanal.projections import rules as rows
from kanal.projections.causes import chain
from kanal.projections.registry import CORE
from kanal.settings import Settings

REPLY = Action("email_to_user", "Thank you, [user_name]: [last_message]")
OPEN = Condition(field="status", operator="is", value=["open"])
NOTED = Condition(field="change", operator="is", value=["note"])


def has(text: str) -> Condition:
    return Condition(field="text", operator="matches", value=text)


@pytest.fixture
def store(data_dir: Path) -> Iterator[Store]:
    """Channel 1, staff 1, no rules."""
    with opened(Settings(data_dir=data_dir)) as store:
        yield prepared(store)


def prepared(store: Store) -> Store:
    do(store, create_staff, email=email("a@example.com"), full_name="A", key_fingerprint="f")
    do(
        store,
        create_channel,
        title="App",
        webhook_url="https://example.com/hook",
        channel_type="async",
        secret_fingerprint="f",
    )
    return store


def do(store: Store, command: Callable[..., Any], **arguments: Any) -> Any:
    return store.writer.submit_and_wait(partial(command, **arguments)).result


def rule(store: Store, *actions: Action, **more: Any) -> int:
    given = {"kind": "incoming", "title": "R", "actions": actions, **more}
    return int(do(store, create_rule, **given))


def case(store: Store, content: str = "Hi") -> int:
    who = person("u1", details={"full_name": "Ann"})
    return int(do(store, open_case, who=who, content=content).case_id)


def rules_of(store: Store) -> RuleRunner:
    return RuleRunner(store.database, store.stream_ids, store.writer, CORE)


async def begun(store: Store) -> RuleRunner:
    runner_ = rules_of(store)
    await runner_.begin()
    return runner_


def recorded(store: Store, kind: type[Event]) -> list[Any]:
    return [each for each in store.database.events_after(0) if isinstance(each.event, kind)]


def messages(store: Store) -> list[tuple[str, str]]:
    """What rules have written: kind and text."""
    written = [each.event for each in recorded(store, MessageAdded)]
    return [(each.kind, each.content) for each in written if each.rule_id]


async def test_a_rule_answers_and_its_events_say_why(data_dir: Path, database_url: str) -> None:
    with opened(Settings(data_dir=data_dir, database_url=database_url)) as store:
        rules = await begun(prepared(store))
        rule(store, REPLY, Action("priority", "high"), conditions=has("(?i)refund"))
        case(store, "Hello")
        case(store, "A REFUND, please")
        await rules.follow()
        assert messages(store) == [("rule_message", "Thank you, Ann: A REFUND, please")]
        [fired] = recorded(store, RuleFired)
        caused = [each for each in store.database.events_after(0) if each.envelope.origin == "rule"]
        cause = next(
            each.position
            for each in recorded(store, MessageAdded)
            if each.event.content.startswith("A REFUND")
        )
        assert fired.event.cause == cause
        assert {(each.envelope.who, each.envelope.request) for each in caused} == {
            ("rule:1", "rule-1.1")
        }
        assert {each.envelope.cause for each in caused} == {cause}
        with store.database.reading() as connection:
            views = runner.views(connection, CORE)
            stream = store.stream_ids.of(CASES, "2")
            shown = changelog.of_case(connection, views, store.database, 2, stream)
            assert [row.case_id for row in rows.fired(connection, views, 2)] == [2]
            links = list(chain(connection, views, store.database, caused[0].position))
            assert list(chain(connection, views, store.database, 10**9)) == []
            blind = views.within(Scope(custom="none"))
            assert list(chain(connection, blind, store.database, caused[0].position)) == []
        assert [link.recorded.position for link in links] == [caused[0].position, cause]
        assert [link.firing and link.firing.version for link in links] == [1, None]
        assert [(each.kind, each.who, each.old) for each in shown] == [
            ("priority", "rule:1", "normal"),
            ("rules", "rule:1", "R (ID - 1)"),
        ]
        again = rules_of(store)
        await again.follow()
        assert len(recorded(store, RuleFired)) == 1


async def test_what_was_before_a_rule_or_while_it_was_disabled_is_not_for_it(store: Store) -> None:
    case(store)
    rules = await begun(store)
    case(store)
    rule(store, Action("add_note", content="x"))
    case(store)
    do(store, disable_rule, rule_id=1)
    case(store)
    do(store, enable_rule, rule_id=1)
    case(store)
    await rules.follow()
    assert [each.event.case_id for each in recorded(store, RuleFired)] == [3, 5]


async def test_rules_run_in_their_order_each_on_what_the_ones_before_have_done(
    store: Store,
) -> None:
    rules = await begun(store)
    high = Condition(field="priority", operator="is", value=["high"])
    rule(store, Action("add_note", content="never"))
    rule(store, Action("add_note", content="high"), Action("stop"), conditions=high)
    rule(store, Action("priority", "high"))
    do(store, order_rules, rule_ids=[3, 2, 1])
    case(store)
    case(store)
    await rules.follow()
    assert messages(store) == [("note", "high")] * 2


async def test_everything_again_comes_to_nothing_even_where_a_rule_stopped_the_others(
    data_dir: Path, database_url: str
) -> None:
    """As after a crash: the engine begins anew where the position was stored, on the same log."""
    with opened(Settings(data_dir=data_dir, database_url=database_url)) as store:
        rules = await begun(prepared(store))
        close = Action("status", "closed")
        rule(store, close, Action("add_note", content="first"), Action("stop"), conditions=OPEN)
        rule(store, Action("add_note", content="second"))
        rule(store, Action("add_note", content="once"), once_per_case=True, kind="changed")
        for _ in range(3):
            case(store)
        await rules.follow()
        before = len(store.database.events_after(0))
        assert [text for _, text in messages(store)].count("first") == 3
        for _ in range(2):
            await rules_of(store).follow()
            assert len(store.database.events_after(0)) == before
        await rules.rest()
        await rules.follow()
        assert len(store.database.events_after(0)) == before


async def test_two_engines_on_one_log_do_everything_once(data_dir: Path, postgres_url: str) -> None:
    """As in the moment when one process leads no more and does not know it yet."""
    settings = Settings(data_dir=data_dir, database_url=postgres_url)
    with opened(settings) as one, opened(settings) as two:
        first, second = await begun(prepared(one)), await begun(two)
        rule(one, REPLY, Action("add_note", content="x"))
        for _ in range(5):
            case(one)
        async_runs = [first.follow(), second.follow()]
        for run in async_runs:
            await run
        case(two)
        await second.follow()
        await first.follow()
        assert len(recorded(one, RuleFired)) == 6
        assert len(messages(one)) == 12


async def test_loops_are_cut_and_reported(store: Store) -> None:
    rules = await begun(store)
    note = Action("add_note", content="again")
    rule(store, note, kind="changed", conditions=NOTED)
    for number in reversed(range(MAX_DEPTH + 2)):
        subject = Condition(field="subject", operator="is", value=str(number))
        changed = Condition(field="change", operator="is", value=["subject"])
        step = Action("subject", str(number + 1))
        rule(store, step, kind="changed", conditions=Condition(all=(subject, changed)))
    case_id = case(store)
    do(store, change_case, case_id=case_id, subject="0")
    await rules.follow()
    assert [each.event.reason for each in recorded(store, RuleLoopCut)] == ["depth"]
    assert len(recorded(store, RuleFired)) == MAX_DEPTH
    rule(store, note)
    do(store, add_user_message, case_id=case_id, user_id=1, content="x")
    await rules.follow()
    assert messages(store) == [("note", "again")] * 2
    assert [each.event.reason for each in recorded(store, RuleLoopCut)] == ["depth", "repeat"]
    for _ in range(MAX_MESSAGES + 3):
        do(store, add_user_message, case_id=case_id, user_id=1, content="x")
    await rules.follow()
    fired = [each.event.rule_id for each in recorded(store, RuleFired)]
    assert fired.count(MAX_DEPTH + 4) == MAX_MESSAGES
    with store.database.reading() as connection:
        shown = rows.listed(connection, runner.views(connection, CORE))
    loops = {row.rule_id: row.loop for row in shown if row.loop}
    assert set(loops.values()) == {"repeat", "depth", "rate"}
    do(store, change_rule, rule_id=1, title="New")
    with store.database.reading() as connection:
        row = rows.find(connection, runner.views(connection, CORE), 1)
    assert row
    assert row.loop == ""


async def test_a_log_that_cannot_be_written_is_come_back_to_and_a_broken_rule_left_behind(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = await begun(store)
    rule(store, Action("email_to_user", 5))  # no text: nothing from outside could make it
    rule(store, Action("add_note", content="x"))
    case(store)
    submit, busy = Writer.submit, [LogBusy("busy")]

    async def sometimes(self: Writer, *given: Any, **more: Any) -> Any:
        if busy:
            raise busy.pop()
        return await submit(self, *given, **more)

    monkeypatch.setattr(Writer, "submit", sometimes)
    with pytest.raises(LogBusy):
        await rules.follow()
    await rules.follow()
    assert [each.event.rule_id for each in recorded(store, RuleFired)] == [2]


async def test_the_agenda_runs_rules_as_soon_as_something_is_committed(store: Store) -> None:
    rules = await begun(store)
    agenda = Agenda(store.database, CORE, [], [rules])
    agenda.start()
    store.bell.attach(agenda.wake)
    rule(store, REPLY)
    case(store)
    await until(lambda: messages(store))
    await agenda.close(1)
    stored = rules_of(store)
    await stored.follow()
    assert len(messages(store)) == 1


async def test_what_is_committed_while_it_looks_is_not_passed_over(
    data_dir: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A case that came after the look began is not there yet, and its message must not count as done."""
    with opened(Settings(data_dir=data_dir, database_url=database_url)) as store:
        rules = await begun(prepared(store))
        rule(store, REPLY)
        await rules.follow()
        resume, still = RuleRunner._resume, [None]

        def and_then_a_case(self: RuleRunner, connection: Any) -> None:
            resume(self, connection)
            if still:
                still.pop()
                case(store)

        monkeypatch.setattr(RuleRunner, "_resume", and_then_a_case)
        await rules.follow()
        await rules.follow()
        assert len(messages(store)) == 1


async def test_the_leader_is_woken_by_what_other_processes_commit(
    data_dir: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by looking: that would take ten minutes here."""
    monkeypatch.setattr(agenda_module, "REACTION_SECONDS", 600)
    settings = Settings(data_dir=data_dir, database_url=postgres_url)
    with opened(settings) as one, opened(settings) as two:
        agenda = Agenda(one.database, CORE, [], [await begun(prepared(one))])
        agenda.start()
        one.bell.attach(agenda.wake, lambda: agenda.leads)
        rule(one, REPLY)
        await until(lambda: agenda.leads)
        case(two)
        await until(lambda: len(messages(one)) == 1)
        case(two)
        await until(lambda: len(messages(one)) == 2)
        await agenda.close(1)


def test_patterns_take_linear_time_and_wrong_ones_are_explained() -> None:
    assert matches("(?i)заказ", "Мой ЗАКАЗ")
    assert not matches("(a+)+$", "a" * 60_000 + "b")
    assert wrong_pattern("a|b") == ""
    assert "(" in wrong_pattern("a(")
    assert wrong_pattern("(?=a)")
