"""Chats: who accepts, what completes and reopens them, and what a deadline or an offer that comes too late changes."""

from collections.abc import Callable
from typing import Any

import pytest
from folding import SECOND
from story import ANNA, APP, BORIS, Story, desk, person

from kanal.domain.cases import (
    CASES,
    change_case,
    delete_case,
    mark_case_as_spam,
    restore_case,
    trash_case,
)
from kanal.domain.channels import change_channel
from kanal.domain.chat_events import (
    ChatAccepted,
    ChatCompleted,
    ChatOffered,
    ChatReopened,
    ChatReturned,
    ChatStarted,
    ChatTransferred,
)
from kanal.domain.chats import accept_chat, complete_chat, complete_idle_chat, offer_chat
from kanal.domain.conversation import (
    add_note,
    add_rule_message,
    add_staff_reply,
    add_user_message,
    open_case,
)
from kanal.domain.errors import (
    CaseNotFound,
    ChatIsCompleted,
    ChatTaken,
    NotAChat,
    StaffNotActive,
    StaffNotFound,
    UserHasNoAccess,
)
from kanal.domain.staff import NO_CHATS, OFFLINE, ONLINE, disable_staff
from kanal.domain.staff_statuses import set_staff_status

ABOUT = {"case_id": 1, "user_id": 1, "channel_id": APP}


def sync_desk(**options: Any) -> Story:
    return desk().given(change_channel, channel_id=APP, channel_type="sync", **options)


def waiting(**options: Any) -> Story:
    """Case 1 of user 1, a chat that waits."""
    return sync_desk(**options).given(open_case, who=person("ann"), content="Hello")


def active(**options: Any) -> Story:
    """With Boris."""
    return waiting(**options).given(accept_chat, case_id=1, staff_id=BORIS)


def completed(**options: Any) -> Story:
    return active(**options).given(complete_chat, case_id=1, staff_id=BORIS)


def state(story: Story) -> str:
    chat: str = story.load(CASES, 1).chat
    return chat


# -- beginning -------------------------------------------------------------------------------------


def test_a_case_that_a_user_opens_on_a_sync_channel_is_a_chat_that_waits() -> None:
    story = sync_desk().when(open_case, who=person("ann"), content="Hello")
    assert story.recorded(ChatStarted) == [ChatStarted(**ABOUT, state="waiting", staff_id=0)]
    assert story.new[-1].chat == "waiting"


def test_a_case_that_staff_open_on_a_sync_channel_is_active_at_once() -> None:
    story = sync_desk().when(open_case, who=person("ann"), staff_id=BORIS, content="Hello")
    assert story.recorded(ChatStarted) == [ChatStarted(**ABOUT, state="active", staff_id=BORIS)]


def test_a_case_that_is_opened_as_closed_is_no_chat_that_waits() -> None:
    story = sync_desk().when(open_case, who=person("ann"), content="Hello", status="closed")
    assert state(story) == "completed"
    story.when(add_user_message, case_id=1, user_id=1, content="x")
    assert state(story) == "waiting"


def test_a_case_of_an_async_channel_has_nothing_of_a_chat() -> None:
    story = desk().given(open_case, who=person("ann"), content="Hello")
    story.when(add_user_message, case_id=1, user_id=1, content="x")
    story.then_named("case.message_added.1")
    assert story.new[0].chat == ""
    story.when(accept_chat, case_id=1, staff_id=BORIS).refused(NotAChat)
    story.when(complete_chat, case_id=1, staff_id=BORIS).refused(NotAChat)
    story.when(change_case, case_id=1, status="closed").then_named("case.status_changed.1")


def test_a_case_keeps_being_what_it_was_when_its_channel_changes_its_type() -> None:
    story = completed().given(change_channel, channel_id=APP, channel_type="async")
    story.when(add_user_message, case_id=1, user_id=1, content="x")
    assert state(story) == "completed"
    story.given(change_channel, channel_id=APP, channel_type="sync")
    story.given(open_case, who=person("bob", channel_id=2), content="x")
    story.given(change_channel, channel_id=2, channel_type="sync")
    story.when(add_user_message, case_id=2, user_id=2, content="x")
    story.then_named("case.message_added.1")


# -- accepting -------------------------------------------------------------------------------------


def test_who_accepts_a_chat_gets_its_case() -> None:
    story = waiting().when(accept_chat, case_id=1, staff_id=BORIS)
    story.then_named("case.assigned.1", "case.chat_accepted.1")
    assert story.recorded(ChatAccepted) == [ChatAccepted(**ABOUT, staff_id=BORIS)]
    story.when(accept_chat, case_id=1, staff_id=BORIS).then()
    story.when(accept_chat, case_id=1, staff_id=ANNA).refused(ChatTaken)


def test_the_first_reply_accepts_a_chat() -> None:
    story = waiting().when(add_staff_reply, case_id=1, staff_id=BORIS, content="Hi")
    story.then_named(
        "case.message_added.1",
        "case.status_changed.1",
        "case.assigned.1",
        "case.chat_accepted.1",
    )
    story.when(add_staff_reply, case_id=1, staff_id=ANNA, content="Hi")
    story.then_named("case.message_added.1")


def test_notes_and_rule_messages_leave_a_chat_as_it_is() -> None:
    story = waiting().when(add_note, case_id=1, staff_id=BORIS, content="x")
    story.then_named("case.message_added.1")
    story.when(add_rule_message, case_id=1, rule_id=1, content="x")
    story.then_named("case.message_added.1")
    assert story.load(CASES, 1).chat_activity == 3


def test_only_active_staff_accept_only_chats_that_are_there() -> None:
    story = waiting().given(disable_staff, staff_id=BORIS)
    story.when(accept_chat, case_id=1, staff_id=BORIS).refused(StaffNotActive)
    story.when(accept_chat, case_id=1, staff_id=9).refused(StaffNotFound)
    story.when(accept_chat, case_id=9, staff_id=ANNA).refused(CaseNotFound)
    completed().when(accept_chat, case_id=1, staff_id=ANNA).refused(ChatIsCompleted)


def test_an_active_chat_goes_with_its_case() -> None:
    story = active().when(change_case, case_id=1, staff_id=ANNA)
    story.then_named("case.assigned.1", "case.chat_transferred.1")
    assert story.recorded(ChatTransferred) == [ChatTransferred(**ABOUT, old=BORIS, new=ANNA)]
    story.when(change_case, case_id=1, staff_id=0)
    assert story.recorded(ChatReturned) == [ChatReturned(**ABOUT, staff_id=ANNA)]
    assert state(story) == "waiting"
    story.when(change_case, case_id=1, staff_id=BORIS).then_named("case.assigned.1")


# -- completing ------------------------------------------------------------------------------------


def test_staff_and_users_complete_a_chat_and_the_status_stays() -> None:
    story = active().when(complete_chat, case_id=1, staff_id=ANNA)
    story.then(ChatCompleted(**ABOUT, by="staff", staff_id=ANNA, reason="completed"))
    story.when(complete_chat, case_id=1, staff_id=ANNA).then()
    story.when(complete_chat, case_id=1, user_id=1).then()
    waiting().when(complete_chat, case_id=1, user_id=1).then(
        ChatCompleted(**ABOUT, by="user", staff_id=0, reason="completed")
    )


def test_a_chat_is_completed_by_its_user_or_a_linked_profile_alone() -> None:
    story = active().given(open_case, who=person("bob", mail="b@example.com"), content="x")
    story.when(complete_chat, case_id=1, user_id=2).refused(UserHasNoAccess)
    story.given(open_case, who=person("ann", mail="a@example.com"), content="x")
    story.given(open_case, who=person(mail="a@example.com"), content="x")
    story.when(complete_chat, case_id=1, user_id=3).then_named("case.chat_completed.1")


@pytest.mark.parametrize(
    ("command", "reason"),
    [(trash_case, "trashed"), (mark_case_as_spam, "spam"), (change_case, "closed")],
)
@pytest.mark.parametrize("chat", [waiting, active])
def test_a_chat_ends_with_its_case(
    chat: Callable[[], Story], command: Callable[..., Any], reason: Any
) -> None:
    closing = {"status": "closed"} if command is change_case else {}
    story = chat().when(command, case_id=1, **closing)
    assert story.recorded(ChatCompleted) == [
        ChatCompleted(**ABOUT, by="staff", staff_id=0, reason=reason)
    ]
    story.given(restore_case, case_id=1).given(change_case, case_id=1, status="open")
    assert state(story) == "completed"


def test_a_case_that_is_closed_and_given_away_at_once_takes_no_chat_along() -> None:
    story = active().when(change_case, case_id=1, status="closed", staff_id=ANNA)
    story.then_named("case.status_changed.1", "case.chat_completed.1", "case.assigned.1")


# -- going on --------------------------------------------------------------------------------------


def test_a_chat_goes_on_with_the_same_staff_member_only_if_they_take_chats() -> None:
    for status, reopened in [
        (ONLINE, ChatReopened(**ABOUT, state="active", staff_id=BORIS)),
        (OFFLINE, ChatReopened(**ABOUT, state="waiting", staff_id=0)),
        (NO_CHATS, ChatReopened(**ABOUT, state="waiting", staff_id=0)),
    ]:
        story = completed().given(set_staff_status, staff_id=BORIS, status_id=status)
        story.when(add_user_message, case_id=1, user_id=1, content="x")
        assert story.recorded(ChatReopened) == [reopened]
        assert state(story) == reopened.state


def test_a_reply_to_a_completed_chat_leaves_it_completed() -> None:
    story = completed().when(add_staff_reply, case_id=1, staff_id=BORIS, content="Bye")
    story.then_named("case.message_added.1", "case.status_changed.1")


def test_spam_reopens_no_chat() -> None:
    story = completed().given(mark_case_as_spam, case_id=1)
    story.when(add_user_message, case_id=1, user_id=1, content="x")
    story.then_named("case.message_added.1")


def test_setting_the_status_open_before_a_message_neither_reopens_nor_disturbs() -> None:
    story = completed().when(change_case, case_id=1, status="open").then()
    story.when(add_user_message, case_id=1, user_id=1, content="x")
    story.then_named("case.message_added.1", "case.chat_reopened.1")


# -- deadlines -------------------------------------------------------------------------------------


def activity(story: Story) -> int:
    version: int = story.load(CASES, 1).chat_activity
    return version


def test_silence_completes_an_active_chat_once() -> None:
    story = active(chat_idle_minutes=5)
    seen = activity(story)
    story.when(complete_idle_chat, case_id=1, activity=seen)
    story.then(ChatCompleted(**ABOUT, by="system", staff_id=0, reason="idle"))
    story.when(complete_idle_chat, case_id=1, activity=seen).then()


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (add_user_message, {"user_id": 1, "content": "x"}),
        (add_staff_reply, {"staff_id": ANNA, "content": "x"}),
        (change_case, {"staff_id": ANNA}),
        (delete_case, {}),
    ],
)
def test_a_deadline_is_void_when_something_was_done_since(
    command: Callable[..., Any], arguments: dict[str, Any]
) -> None:
    story = active(chat_idle_minutes=5)
    seen = activity(story)
    story.given(command, case_id=1, **arguments)
    story.when(complete_idle_chat, case_id=1, activity=seen).then()


def test_no_chat_is_completed_by_silence_that_waits_or_whose_channel_allows_it() -> None:
    story = waiting(chat_idle_minutes=5)
    story.when(complete_idle_chat, case_id=1, activity=activity(story)).then()
    story = active(chat_idle_minutes=0)
    story.when(complete_idle_chat, case_id=1, activity=activity(story)).then()


# -- offers ----------------------------------------------------------------------------------------


def test_an_offer_stands_for_the_seconds_of_its_channel_and_names_those_before() -> None:
    story = waiting(chat_offer_seconds=20)
    for each in (ANNA, BORIS):
        story.given(set_staff_status, staff_id=each, status_id=ONLINE)
    story.when(offer_chat, case_id=1, staff_id=BORIS, offers=0)
    until = story.now + 20 * SECOND
    story.then(ChatOffered(**ABOUT, staff_id=BORIS, until=until, passed=()))
    story.when(offer_chat, case_id=1, staff_id=ANNA, offers=0).then()
    story.when(offer_chat, case_id=1, staff_id=ANNA, offers=1)
    [offered] = story.recorded(ChatOffered)
    assert offered.passed == (BORIS,)
    story.given(accept_chat, case_id=1, staff_id=BORIS)
    story.when(offer_chat, case_id=1, staff_id=ANNA, offers=2).then()
    assert story.load(CASES, 1).offered == ()


@pytest.mark.parametrize("status", [OFFLINE, NO_CHATS])
def test_nobody_is_offered_a_chat_who_takes_none(status: int) -> None:
    story = waiting().given(set_staff_status, staff_id=BORIS, status_id=status)
    story.when(offer_chat, case_id=1, staff_id=BORIS, offers=0).then()
    story.given(set_staff_status, staff_id=BORIS, status_id=ONLINE)
    story.given(delete_case, case_id=1)
    story.when(offer_chat, case_id=1, staff_id=BORIS, offers=0).then()
