"""Macros: defined by staff, applied in one go."""

from typing import Any

import pytest
from story import ANNA, BORIS, Story, desk, person

from kanal.domain.actions import ME, Action
from kanal.domain.case_events import CaseAssigned, MessageAdded
from kanal.domain.cases import CASES, change_case, trash_case
from kanal.domain.conversation import open_case
from kanal.domain.errors import (
    CaseNotFound,
    GroupNotActive,
    GroupNotFound,
    MacroNotFound,
    NoRight,
    StaffNotActive,
    StaffNotFound,
    UnknownLabels,
)
from kanal.domain.groups import disable_group
from kanal.domain.labels import create_label, delete_label
from kanal.domain.macros import (
    MacroAction,
    MacroChanged,
    MacroCreated,
    MacroDeleted,
    apply_macro,
    change_macro,
    create_macro,
    delete_macro,
)
from kanal.domain.staff import disable_staff

NOTE = Action("add_note", content="Ask [user_name]")
VALUES = {"user_name": "Ann"}


def with_macro(*actions: Action, **more: Any) -> Story:
    """Macro 1 is Boris' own; case 1 is open and nobody's; there is label 1."""
    story = desk().given(create_label, title="VIP").given(open_case, who=person("u1"), content="Hi")
    return story.given(create_macro, by=BORIS, title="Mine", actions=actions or (NOTE,), **more)


def applied(story: Story, **arguments: Any) -> Story:
    given = {"by": BORIS, "macro_id": 1, "case_id": 1, "values": VALUES, **arguments}
    return story.when(apply_macro, **given)


def numbered(action: Action, number: int) -> MacroAction:
    return MacroAction(action.type, action.destination, action.content, action.subject, number)


def test_a_macro_is_its_makers_unless_it_is_shared() -> None:
    story = desk().when(create_macro, by=BORIS, title="Mine", actions=[NOTE, NOTE])
    assert story.result == 1
    created = {"macro_id": 1, "title": "Mine", "group_name": "", "position": 0}
    actions = (numbered(NOTE, 1), numbered(NOTE, 2))
    story.then(MacroCreated(**created, staff_id=BORIS, actions=actions))
    story.when(create_macro, by=BORIS, title="Ours", actions=[NOTE], shared=True).refused(NoRight)
    story.when(create_macro, by=ANNA, title="Ours", actions=[NOTE], shared=True)
    story.then_named("macro.created.1")
    for command in (change_macro, delete_macro):
        story.when(command, by=ANNA, macro_id=1).refused(MacroNotFound)
        story.when(command, by=BORIS, macro_id=2).refused(NoRight)
    story.when(delete_macro, by=ANNA, macro_id=2).then(MacroDeleted(2))
    for command in (change_macro, delete_macro):
        story.when(command, by=ANNA, macro_id=2).refused(MacroNotFound)


def test_a_changed_macro_is_one_event_with_the_whole_of_it() -> None:
    story = with_macro()
    whole = {"macro_id": 1, "title": "New", "group_name": "Shop", "position": 3}
    change = {"by": BORIS, "macro_id": 1, "title": "New", "group_name": "Shop", "position": 3}
    story.when(change_macro, **change).then(MacroChanged(**whole, actions=(numbered(NOTE, 1),)))
    story.when(change_macro, **change, actions=[NOTE]).then()
    other = Action("status", "closed")
    story.when(change_macro, by=BORIS, macro_id=1, actions=[NOTE, other]).then(
        MacroChanged(**whole, actions=(numbered(NOTE, 2), numbered(other, 3)))
    )


@pytest.mark.parametrize(
    ("action", "error"),
    [
        (Action("staff_id", 77), StaffNotFound),
        (Action("group_id", 77), GroupNotFound),
        (Action("add_labels", [1, 77]), UnknownLabels),
        (Action("delete_labels", [77]), UnknownLabels),
    ],
)
def test_a_macro_names_only_what_there_is(action: Action, error: Any) -> None:
    story = with_macro()
    story.when(create_macro, by=BORIS, title="x", actions=[NOTE, action]).refused(error)
    story.when(change_macro, by=BORIS, macro_id=1, actions=[action]).refused(error)


def test_all_actions_are_carried_out_in_their_order() -> None:
    story = with_macro(
        NOTE,
        Action("email_to_user", "Dear [user_name]"),
        Action("status", "closed"),
        Action("priority", "high"),
        Action("staff_id", ME),
        Action("group_id", 1),
        Action("add_labels", [1]),
    )
    applied(story).then_named(
        "case.message_added.1",
        "case.message_added.1",
        "case.status_changed.1",
        "case.status_changed.1",
        "case.priority_changed.1",
        "case.assigned.1",
        "case.group_changed.1",
        "case.labels_changed.1",
    )
    note, reply = story.recorded(MessageAdded)
    assert (note.kind, note.staff_id, note.content) == ("note", BORIS, "Ask Ann")
    assert (reply.kind, reply.staff_id, reply.content) == ("staff_reply", BORIS, "Dear Ann")
    case = story.load(CASES, 1)
    assert (case.status, case.priority) == ("closed", "high")
    assert (case.staff_id, case.group_id, case.labels) == (BORIS, 1, (1,))
    assert story.recorded(CaseAssigned)[0].new == BORIS
    story.given(create_macro, by=BORIS, title="Off", actions=[Action("delete_labels", [1])])
    applied(story, macro_id=2).then_named("case.labels_changed.1")
    applied(story, macro_id=2).then()


def test_what_is_set_already_is_no_event() -> None:
    applied(with_macro(Action("status", "open"), Action("staff_id", 0))).then()


@pytest.mark.parametrize(("language_id", "text"), [(2, "Hello"), (1, "Привет"), (5, "Привет")])
def test_a_reply_is_in_the_language_of_the_case(language_id: int, text: str) -> None:
    story = with_macro(Action("email_to_user", {"1": "Привет", "2": "Hello"}))
    story.given(change_case, case_id=1, language_id=language_id)
    assert applied(story).recorded(MessageAdded)[0].content == text


def test_one_refused_action_refuses_the_whole() -> None:
    story = with_macro(NOTE, Action("group_id", 1)).given(disable_group, group_id=1)
    applied(story).refused(GroupNotActive)
    story = with_macro(NOTE, Action("staff_id", BORIS)).given(disable_staff, staff_id=BORIS)
    applied(story).refused(StaffNotActive)
    story = with_macro(Action("status", "closed"), Action("add_labels", [1]))
    applied(story.given(delete_label, label_id=1)).refused(UnknownLabels)


def test_only_ones_own_and_shared_macros_are_applied_and_only_to_cases_that_take_messages() -> None:
    story = with_macro()
    applied(story, by=ANNA).refused(MacroNotFound)
    applied(story, macro_id=9).refused(MacroNotFound)
    applied(story, case_id=9).refused(CaseNotFound)
    applied(story.given(trash_case, case_id=1)).refused(CaseNotFound)
