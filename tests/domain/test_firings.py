"""What a rule does, once for its cause; which events are causes."""

from typing import Any

import pytest
from msgspec.structs import replace
from story import ANNA, BORIS, Story, desk, person

from kanal.domain.actions import Action, RotationTurned
from kanal.domain.case_events import CaseAssigned, CaseLabelsChanged, MessageAdded
from kanal.domain.cases import (
    CASES,
    change_case,
    mark_case_as_spam,
    merge_case,
    restore_case,
    trash_case,
)
from kanal.domain.causes import cause_of
from kanal.domain.chat_events import (
    ChatAccepted,
    ChatCompleted,
    ChatReopened,
    ChatReturned,
    ChatStarted,
    ChatTransferred,
)
from kanal.domain.conditions import Cause, Condition
from kanal.domain.conversation import (
    add_note,
    add_rule_message,
    add_staff_reply,
    add_user_message,
    open_case,
)
from kanal.domain.custom_fields import create_field
from kanal.domain.firings import Outcome, RuleFired, RuleLoopCut, fire_rule, report_loop
from kanal.domain.labels import create_label
from kanal.domain.roles import ChannelLevel, Grants, create_role
from kanal.domain.rules import change_rule, create_rule, delete_rule, disable_rule
from kanal.domain.staff import change_role_of, disable_staff

OPEN = Condition(field="status", operator="is", value=["open"])
NOTE = Action("add_note", content="For [user_name]")
VALUES = {"user_name": "Ann"}


def with_rule(*actions: Action, **more: Any) -> Story:
    """Case 1 is open; there are label 1 and field cf_1 of users; rule 1 is for what users write."""
    story = desk().given(create_label, title="VIP")
    story.given(create_field, title="Plan", field_type="text", field_level="user")
    story.given(open_case, who=person("u1"), content="Hi")
    given = {"kind": "incoming", "title": "R", "conditions": OPEN, **more}
    return story.given(create_rule, actions=actions or (NOTE,), **given)


def cause(story: Story, number: int = -1) -> Cause:
    """The last of what may be a cause."""
    found = [each for each in map(cause_of, story.events) if each]
    return found[number]


def fired(story: Story, rule_id: int = 1, number: int = -1) -> Story:
    return story.when(
        fire_rule,
        rule_id=rule_id,
        cause=cause(story, number),
        matches=lambda *_: False,
        values=VALUES,
    )


def test_a_rule_does_everything_in_its_own_name_and_leaves_word_of_it() -> None:
    story = with_rule(
        NOTE,
        Action("email_to_user", {"1": "Привет, [user_name]"}),
        Action("add_labels", [1]),
        Action("subject", "[user_name] asks"),
        Action("custom_fields", {"cf_1": "of [user_name]"}),
        Action("priority", "high"),
        Action("group_id", 1),
        Action("round_robin", [BORIS, ANNA]),
        Action("status", "waiting"),
        Action("stop"),
    )
    fired(story)
    note, message = story.recorded(MessageAdded)
    assert (note.kind, note.rule_id, note.staff_id, note.content) == ("note", 1, 0, "For Ann")
    assert (message.kind, message.rule_id, message.content) == ("rule_message", 1, "Привет, Ann")
    case = story.load(CASES, 1)
    assert (case.locked_labels, case.subject, case.priority, case.group_id, case.status) == (
        (1,),
        "Ann asks",
        "high",
        1,
        "waiting",
    )
    [left] = story.recorded(RuleFired)
    assert (left.rule_id, left.version, left.case_id, left.user_id, left.channel_id) == (
        1,
        1,
        1,
        1,
        1,
    )
    assert (left.cause, left.stopped, left.skipped) == (cause(story, 0).position, True, ())
    assert story.result == Outcome(True, True)
    assert story.recorded(RotationTurned) == [RotationTurned(rule_id=1, staff_id=BORIS)]


def test_it_runs_once_for_its_cause_whatever_its_version() -> None:
    story = with_rule(Action("stop"))
    fired(story).then_named("rule.fired.1")
    fired(story).then()
    assert story.result == Outcome(True, True)
    story.given(change_rule, rule_id=1, title="New")
    fired(story).then()
    story.given(add_user_message, case_id=1, user_id=1, content="And?")
    fired(story).then_named("rule.fired.1")
    assert story.new[0].version == 2  # type: ignore[attr-defined]


def test_a_rule_that_runs_once_per_case_does_and_stops_nothing_for_later_causes() -> None:
    story = with_rule(Action("stop"), once_per_case=True)
    fired(story).then_named("rule.fired.1")
    story.given(add_user_message, case_id=1, user_id=1, content="And?")
    fired(story).then()
    assert story.result == Outcome(True, False)


def test_what_holds_no_more_when_it_is_its_turn_does_not_run() -> None:
    for command, arguments in (
        (change_case, {"case_id": 1, "status": "closed"}),
        (
            change_rule,
            {"rule_id": 1, "conditions": Condition(field="staff_id", operator="is", value=[1])},
        ),
        (change_rule, {"rule_id": 1, "channels": ("cch2",)}),
        (disable_rule, {"rule_id": 1}),
        (delete_rule, {"rule_id": 1}),
        (trash_case, {"case_id": 1}),
        (mark_case_as_spam, {"case_id": 1}),
    ):
        story = with_rule()
        first = cause(story)
        story.given(command, **arguments)
        run = {"rule_id": 1, "cause": first, "matches": lambda *_: False, "values": VALUES}
        story.when(fire_rule, **run).then()
        assert story.result == Outcome(), command
    story = with_rule(conditions=Condition()).given(open_case, who=person("u1"), content="Hi")
    first = cause(story, 0)
    story.given(merge_case, case_id=1, parent_case_id=2)
    run = {"rule_id": 1, "cause": first, "matches": lambda *_: False, "values": VALUES}
    story.when(fire_rule, **run).then()


def test_what_cannot_be_done_any_more_is_left_out_and_said() -> None:
    story = with_rule(Action("staff_id", BORIS), NOTE).given(disable_staff, staff_id=BORIS)
    fired(story).then_named("case.message_added.1", "rule.fired.1")
    [left] = story.recorded(RuleFired)
    assert [each.place for each in left.skipped] == [0]
    assert left.skipped[0].reason


def test_staff_take_turns_and_who_left_is_passed_over() -> None:
    story = with_rule(Action("round_robin", [ANNA, BORIS]), conditions=Condition())
    turns = []
    for _ in range(3):
        story.given(add_user_message, case_id=1, user_id=1, content="?")
        turns += [event.new for event in fired(story).recorded(CaseAssigned)]
    assert turns == [ANNA, BORIS, ANNA]
    story.given(disable_staff, staff_id=BORIS)
    story.given(change_case, case_id=1, staff_id=0)
    story.given(add_user_message, case_id=1, user_id=1, content="?")
    assert [event.new for event in fired(story).recorded(CaseAssigned)] == [ANNA]


def test_the_turn_is_of_whoever_may_answer_the_case_once_it_is_theirs() -> None:
    answers, own = Grants(custom_channels="answer"), Grants(custom_channels="answer", cases="own")
    given = {
        Grants(custom_channels="see"): ANNA,
        replace(answers, channels=(ChannelLevel(1, "none"),)): ANNA,
        replace(answers, all_groups=False, groups=(1,)): ANNA,
        own: BORIS,
    }
    for number, (gives, whose) in enumerate(given.items()):
        story = with_rule(Action("round_robin", [BORIS, ANNA]), conditions=Condition())
        story.given(create_role, title=f"Role {number}", gives=gives)
        story.given(change_role_of, staff_id=BORIS, role_id=101)
        story.given(add_user_message, case_id=1, user_id=1, content="?")
        assert [event.new for event in fired(story).recorded(CaseAssigned)] == [whose], gives


def test_a_rule_takes_off_what_rules_put_on() -> None:
    story = with_rule(Action("delete_labels", [1]))
    story.given(create_rule, kind="incoming", title="R", actions=[Action("add_labels", [1])])
    fired(story, 2, 0)
    assert fired(story, 1, 0).recorded(CaseLabelsChanged)[0].locked_labels == ()


@pytest.mark.parametrize("kind", ["incoming", "changed"])
def test_a_rule_is_for_what_users_write_or_for_all_else(kind: Any) -> None:
    story = with_rule(kind=kind, conditions=Condition())
    causes: dict[tuple[str, str], bool] = {}

    def happens(command: Any, **arguments: Any) -> None:
        story.given(command, case_id=1, **arguments)
        last = cause(story)
        ran = fired(story).result == Outcome(True, False)
        causes[last.change, last.author] = ran

    happens(add_user_message, user_id=1, content_html="<p>Hi</p>")
    happens(add_note, staff_id=1, content="x")
    happens(add_rule_message, rule_id=1, content="x")
    happens(change_case, priority="low")
    happens(change_case, subject="x")
    story.given(add_staff_reply, case_id=1, staff_id=1, content="x")
    reply = cause(story, -2)
    assert (reply.change, reply.author, cause(story).change) == ("staff_reply", "staff", "status")
    assert cause(story).author == "staff"
    assert causes == {
        ("user_message", "user"): kind == "incoming",
        ("note", "staff"): kind == "changed",
        ("rule_message", "rule"): kind == "changed",
        ("priority", "system"): kind == "changed",
        ("subject", "system"): kind == "changed",
    }


def test_what_is_laid_aside_has_rules_for_that_alone_and_chats_for_all_that_happens_to_them() -> (
    None
):
    story = with_rule(kind="changed", conditions=Condition())
    ran = {}
    for command in (mark_case_as_spam, restore_case, trash_case):
        story.given(command, case_id=1)
        change = cause(story).change
        ran[change] = fired(story).result.fired
    story.given(change_case, case_id=1, priority="low")
    assert ran == {"spam": True, "restore": True, "trash": True}
    assert not fired(story).result.fired
    whose = {"case_id": 1, "user_id": 1, "channel_id": 1}
    for event, change in (
        (ChatStarted(**whose, state="waiting", staff_id=0), "chat_started"),
        (ChatAccepted(**whose, staff_id=1), "chat_accepted"),
        (ChatTransferred(**whose, old=1, new=2), "chat_transferred"),
        (ChatReturned(**whose, staff_id=2), "chat_returned"),
        (ChatCompleted(**whose, by="system", staff_id=0, reason="idle"), "chat_completed"),
        (ChatReopened(**whose, state="waiting", staff_id=0), "chat_reopened"),
    ):
        known = cause_of(story.events[-1]._replace(event=event))
        assert known
        assert known.change == change


def test_texts_of_html_are_what_is_read_and_imports_are_no_causes() -> None:
    story = with_rule().given(
        add_user_message, case_id=1, user_id=1, content_html="<p>H<b>i</b></p>"
    )
    assert cause(story).text == "Hi"
    last = story.events[-1]
    assert cause_of(last)
    assert cause_of(last._replace(envelope=replace(last.envelope, origin="import"))) is None
    assert all(cause_of(each) is None for each in story.events if isinstance(each.event, RuleFired))


def test_a_loop_is_reported_once_for_each_version_and_reason() -> None:
    story = with_rule()
    given = {"rule_id": 1, "version": 1, "cause": cause(story)}
    story.when(report_loop, **given, reason="repeat").then(
        RuleLoopCut(rule_id=1, version=1, case_id=1, cause=cause(story).position, reason="repeat")
    )
    story.when(report_loop, **given, reason="repeat").then()
    story.when(report_loop, **given, reason="depth").then_named("rule.loop_cut.1")
