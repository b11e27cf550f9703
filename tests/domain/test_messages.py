"""A message's later life: it waits for its time, is edited, deleted, rated."""

from typing import Any

import pytest
from story import ANNA, APP, BORIS, Story, desk, person

from kanal.domain import cases, conversation
from kanal.domain.case_events import MessageAdded, MessageKind
from kanal.domain.cases import CASES
from kanal.domain.channels import change_channel, delete_channel, disable_channel
from kanal.domain.conversation import CLOCK_SKEW
from kanal.domain.errors import (
    CaseNotFound,
    CreatedInFuture,
    DomainError,
    MessageIsSent,
    MessageNotFound,
    MessageNotRateable,
    StaffNotActive,
)
from kanal.domain.message_events import MessageScheduled
from kanal.domain.messages import (
    CASE_DELETED,
    MESSAGES,
    Message,
    MessageDeleted,
    MessageDiscarded,
    MessageEdited,
    MessageRated,
    MessageSent,
    Original,
    TakenBack,
    Texts,
    delete_message,
    edit_message,
    rate_message,
    reply_with_undo,
    schedule_staff_reply,
    send_now,
    send_scheduled,
    take_back,
)
from kanal.domain.staff import disable_staff

SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
WHOSE = {"case_id": 1, "user_id": 1, "channel_id": APP}


def conversation_of(*kinds: str) -> Story:
    """Case 1 of user 1 with the user's message 1, then a message of Anna for each kind."""
    story = desk().given(conversation.open_case, who=person("u"), content="Help!")
    write: dict[str, Any] = {
        "reply": conversation.add_staff_reply,
        "note": conversation.add_note,
    }
    for kind in kinds:
        story.given(write[kind], case_id=1, staff_id=ANNA, content="Ok!")
    return story


def original(
    message_id: int, kind: MessageKind = "staff_reply", content: str = "Ok!", html: str = ""
) -> Original:
    author = 0 if kind == "user_message" else ANNA
    return Original(message_id, 1, kind, author, Texts(content, html))


def waiting(hours: int = 1) -> Story:
    """Message 2, Anna's reply, waits for so many hours."""
    story = conversation_of()
    send_at = story.now + hours * HOUR
    return story.given(
        schedule_staff_reply,
        case_id=1,
        staff_id=ANNA,
        send_at=send_at,
        content="Later",
        content_html="<p>Later</p>",
    )


def later(story: Story, hours: int) -> Story:
    story.now += hours * HOUR
    return story


# -- taken back ----------------------------------------------------------------------------------


def undoing(**reply: Any) -> Story:
    """Message 2, Anna's reply, goes out in ten seconds."""
    story = conversation_of().given(change_channel, channel_id=APP, undo_seconds=10)
    return story.given(reply_with_undo, case_id=1, staff_id=ANNA, content="Oops", **reply)


def test_a_reply_waits_as_long_as_its_channel_says_and_is_sent_then() -> None:
    story = conversation_of()
    story.when(reply_with_undo, case_id=1, staff_id=ANNA, content="At once", status="closed")
    story.then_named("case.message_added.1", "case.status_changed.1", "case.status_changed.1")
    story = undoing(status="closed")
    assert story.load(CASES, 1).status == "open"
    story.when(send_scheduled, message_id=2).then()
    story.now += 10 * SECOND
    story.when(send_scheduled, message_id=2)
    assert story.recorded(MessageAdded)[0].content == "Oops"
    assert story.load(CASES, 1).status == "closed"


def test_what_the_user_writes_while_a_reply_waits_leaves_the_case_open() -> None:
    for replying in (undoing(status="closed"), undoing(), waiting()):
        replying.given(
            conversation.add_user_message, case_id=1, user_id=1, content="One thing more"
        )
        replying.now += HOUR
        replying.when(send_scheduled, message_id=2).then_named(
            "message.sent.1", "case.message_added.1"
        )
        assert replying.load(CASES, 1).status == "open"
    # In the case that took it in nobody has answered.
    story = undoing(status="closed").given(conversation.open_case, who=person("u"), content="New")
    story.given(cases.merge_case, case_id=1, parent_case_id=2)
    story.now += HOUR
    story.when(send_scheduled, message_id=2)
    assert story.load(CASES, 2).status == "open"


def test_its_author_takes_it_back_or_sends_it_at_once_and_nobody_else_does() -> None:
    own = {"case_id": 1, "message_id": 2, "staff_id": ANNA}
    story = undoing().when(take_back, **own)
    story.then(MessageDeleted(**WHOSE, message_id=2))
    assert story.result == TakenBack(Texts("Oops", ""), files=0)
    story.when(take_back, **own).refused(MessageNotFound)
    story.now += 10 * SECOND
    story.when(send_scheduled, message_id=2).then()
    story = undoing().when(send_now, **own)
    assert story.load(CASES, 1).status == "waiting"
    story.when(send_now, **own).refused(MessageIsSent)
    story.when(take_back, **own).refused(MessageIsSent)
    for command in (take_back, send_now):
        undoing().when(command, **own | {"staff_id": BORIS}).refused(MessageNotFound)


def test_a_chat_is_taken_although_its_first_reply_can_be_taken_back() -> None:
    story = desk().given(change_channel, channel_id=APP, channel_type="sync", undo_seconds=5)
    story.given(conversation.open_case, who=person("u"), content="Hi")
    story.when(reply_with_undo, case_id=1, staff_id=BORIS, content="Hello")
    story.then_named("message.scheduled.1", "case.assigned.1", "case.chat_accepted.1")


# -- back-dated ----------------------------------------------------------------------------------


def test_what_was_written_earlier_bears_the_time_that_it_was_given() -> None:
    story = desk()
    then = story.now - DAY
    story.when(conversation.open_case, who=person("u"), content="x", created_at=then)
    case, message = story.new[-2:]
    assert (case.created_at, message.created_at) == (then, then)  # type: ignore[attr-defined]
    for write, author in [
        (conversation.add_staff_reply, {"staff_id": ANNA}),
        (conversation.add_note, {"staff_id": ANNA}),
        (conversation.add_user_message, {"user_id": 1}),
    ]:
        story.when(write, case_id=1, content="x", created_at=then, **author)
        assert story.recorded(MessageAdded)[0].created_at == then


def test_a_callers_clock_may_be_a_little_ahead_but_nothing_was_written_in_the_future() -> None:
    story = conversation_of()
    reply = {"case_id": 1, "staff_id": ANNA, "content": "x"}
    story.when(conversation.add_staff_reply, **reply, created_at=story.now + CLOCK_SKEW)
    assert story.recorded(MessageAdded)[0].created_at == 0
    too_late = story.now + CLOCK_SKEW + 2 * 1_000_000
    story.when(conversation.add_staff_reply, **reply, created_at=too_late).refused(CreatedInFuture)
    opening = {"who": person("v"), "content": "x", "created_at": too_late + DAY}
    story.when(conversation.open_case, **opening).refused(CreatedInFuture)


# -- edited --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message_id", "kind", "content"),
    [(1, "user_message", "Help!"), (2, "staff_reply", "Ok!"), (3, "note", "Ok!")],
)
def test_an_edit_replaces_both_texts(message_id: int, kind: MessageKind, content: str) -> None:
    story = conversation_of("reply", "note")
    edit = {"original": original(message_id, kind, content, "<p>old</p>")}
    edited = MessageEdited(message_id=message_id, **WHOSE, content="new", content_html="")
    story.when(edit_message, **edit, content="new", content_html="").then(edited)
    story.when(edit_message, **edit, content="new", content_html="").then()


def test_an_edit_to_the_same_texts_is_no_event_and_back_to_the_first_ones_is() -> None:
    story = conversation_of("reply")
    edit = {"original": original(2), "content_html": ""}
    story.when(edit_message, **edit, content="Ok!").then()
    story.given(edit_message, **edit, content="new")
    story.when(edit_message, **edit, content="Ok!").then_named("message.edited.1")
    story.when(edit_message, **edit, content="Ok!").then()


def test_an_edit_leaves_the_case_as_it_is() -> None:
    story = conversation_of("reply")
    before = story.load(CASES, 1)
    story.given(edit_message, original=original(2), content="new", content_html="")
    assert story.load(CASES, 1) == before


# -- deleted -------------------------------------------------------------------------------------


def test_a_deleted_message_is_there_no_more_for_any_command() -> None:
    story = conversation_of("reply")
    deleted = MessageDeleted(message_id=2, **WHOSE)
    story.when(delete_message, original=original(2)).then(deleted)
    story.when(delete_message, original=original(2)).refused(MessageNotFound)
    story.when(edit_message, original=original(2), content="x", content_html="").refused(
        MessageNotFound
    )
    story.when(rate_message, original=original(2), rating="low").refused(MessageNotFound)


@pytest.mark.parametrize(
    ("end", "refusals"),
    [
        (cases.trash_case, (CaseNotFound, CaseNotFound, None)),
        (cases.delete_case, (CaseNotFound, CaseNotFound, CaseNotFound)),
        (cases.mark_case_as_spam, (None, None, None)),
    ],
)
def test_in_the_trash_messages_can_only_be_deleted_and_in_a_deleted_case_not_even_that(
    end: Any, refusals: tuple[type[DomainError] | None, ...]
) -> None:
    story = conversation_of("reply").given(end, case_id=1)
    commands: list[tuple[Any, dict[str, Any]]] = [
        (edit_message, {"content": "x", "content_html": ""}),
        (rate_message, {"rating": "low"}),
        (delete_message, {}),
    ]
    for (command, arguments), refusal in zip(commands, refusals, strict=True):
        story.when(command, original=original(2), **arguments)
        assert type(story.refusal) is (refusal or type(None))


# -- rated ---------------------------------------------------------------------------------------


def test_a_rating_is_its_authors_and_the_same_rating_again_is_no_event() -> None:
    story = conversation_of("reply")
    rated = MessageRated(message_id=2, **WHOSE, rating="high", comment="cool", staff_id=ANNA)
    story.when(rate_message, original=original(2), rating="high", comment="cool").then(rated)
    story.when(rate_message, original=original(2), rating="high", comment="cool").then()
    story.when(rate_message, original=original(2), rating="high").then_named("message.rated.1")
    story.when(rate_message, original=original(2), rating="low").then_named("message.rated.1")


def test_only_replies_of_staff_that_were_sent_are_rated() -> None:
    story = conversation_of("note")
    for message_id, kind in [(1, "user_message"), (2, "note"), (2, "rule_message")]:
        of = original(message_id, kind)  # type: ignore[arg-type]
        story.when(rate_message, original=of, rating="low").refused(MessageNotRateable)
    story = waiting()
    story.when(rate_message, original=original(2), rating="low").refused(MessageNotRateable)
    later(story, 2).given(send_scheduled, message_id=2)
    story.when(rate_message, original=original(2), rating="low").then_named("message.rated.1")


# -- sent later ----------------------------------------------------------------------------------


def test_a_reply_that_waits_changes_nothing_of_its_case() -> None:
    story = conversation_of()
    before, send_at = story.load(CASES, 1), story.now + HOUR
    story.when(
        schedule_staff_reply,
        case_id=1,
        staff_id=ANNA,
        send_at=send_at,
        content="Later",
        content_html="",
        do_not_send_email=True,
    )
    scheduled = MessageScheduled(
        message_id=2,
        **WHOSE,
        staff_id=ANNA,
        content="Later",
        content_html="",
        created_at=story.now,
        send_at=send_at,
        do_not_send_email=True,
        case_version=before.version,
    )
    story.then(scheduled)
    assert story.load(CASES, 1) == before


def test_what_is_due_is_sent_once_under_the_number_that_it_has() -> None:
    story = waiting()
    written_at = story.now
    story.given(conversation.add_staff_reply, case_id=1, staff_id=BORIS, content="now")
    story.given(cases.change_case, case_id=1, status="closed")
    story.when(send_scheduled, message_id=2).then()
    later(story, 1).when(send_scheduled, message_id=2)
    added = MessageAdded(
        message_id=2,
        case_id=1,
        kind="staff_reply",
        user_id=0,
        staff_id=ANNA,
        rule_id=0,
        content="Later",
        content_html="<p>Later</p>",
        channel_id=APP,
        case_user_id=1,
        custom_user_id="u",
        outgoing=2,
        created_at=written_at,
        sent_at=story.now,
    )
    status = cases.CaseStatusChanged(**WHOSE, old="closed", new="waiting", by="staff:1")
    story.then(MessageSent(message_id=2, **WHOSE), added, status)
    story.when(send_scheduled, message_id=2).then()


def test_a_time_that_is_past_means_at_once() -> None:
    story = conversation_of()
    reply = {"case_id": 1, "staff_id": ANNA, "content": "x", "send_at": story.now}
    story.when(schedule_staff_reply, **reply).then_named(
        "case.message_added.1", "case.status_changed.1"
    )
    assert story.recorded(MessageAdded)[0].sent_at == 0


def test_an_edit_before_its_time_is_what_is_sent() -> None:
    story = waiting()
    story.given(edit_message, original=original(2, "staff_reply"), content="New", content_html="")
    later(story, 2).when(send_scheduled, message_id=2)
    message = story.recorded(MessageAdded)[0]
    assert (message.content, message.content_html) == ("New", "")


def test_what_is_deleted_before_its_time_is_never_sent() -> None:
    story = waiting().given(delete_message, original=original(2))
    later(story, 2).when(send_scheduled, message_id=2).then()


def test_while_its_case_lies_in_the_trash_it_waits_on_and_can_be_deleted() -> None:
    story = later(waiting().given(cases.trash_case, case_id=1), 2)
    story.when(send_scheduled, message_id=2).then()
    story.given(cases.restore_case, case_id=1)
    story.when(send_scheduled, message_id=2)
    assert story.recorded(MessageAdded)
    story = waiting().given(cases.trash_case, case_id=1)
    story.when(delete_message, original=original(2)).then_named("message.deleted.1")


def test_when_its_case_was_deleted_for_good_the_log_says_that_it_was_not_sent() -> None:
    story = later(waiting().given(cases.delete_case, case_id=1), 2)
    discarded = MessageDiscarded(message_id=2, **WHOSE, reason=CASE_DELETED)
    story.when(send_scheduled, message_id=2).then(discarded)
    story.when(send_scheduled, message_id=2).then()
    story = waiting().given(cases.trash_case, case_id=1).given(cases.delete_case, case_id=1)
    later(story, 2).when(send_scheduled, message_id=2).then(discarded)


def test_when_its_case_was_merged_it_is_sent_where_that_went() -> None:
    story = waiting().given(conversation.open_case, who=person("u"), content="Again!")
    story.given(cases.merge_case, case_id=1, parent_case_id=2)
    story.given(cases.trash_case, case_id=2)
    later(story, 2).when(send_scheduled, message_id=2).then()
    story.given(cases.restore_case, case_id=2).when(send_scheduled, message_id=2)
    assert [(each.message_id, each.case_id) for each in story.recorded(MessageAdded)] == [(2, 2)]


def test_neither_a_disabled_author_nor_a_closed_channel_keeps_it_back() -> None:
    story = conversation_of()
    send_at = story.now + HOUR
    reply = {"case_id": 1, "staff_id": BORIS, "content": "x", "send_at": send_at}
    story.given(schedule_staff_reply, **reply).given(schedule_staff_reply, **reply)
    story.given(disable_staff, staff_id=BORIS)
    story.when(schedule_staff_reply, **reply).refused(StaffNotActive)
    story.given(disable_channel, channel_id=APP)
    later(story, 2).when(send_scheduled, message_id=2)
    assert story.recorded(MessageAdded)[0].outgoing == 1
    story.given(delete_channel, channel_id=APP)
    story.when(send_scheduled, message_id=3)
    assert story.recorded(MessageAdded)[0].outgoing == 2


def test_what_never_waited_is_not_sent_again() -> None:
    story = conversation_of("reply")
    for message_id in (1, 2, 77):
        story.when(send_scheduled, message_id=message_id).then()


def test_once_it_is_sent_or_gone_its_state_holds_what_the_rules_need() -> None:
    story = later(waiting(), 2).given(send_scheduled, message_id=2)
    assert story.load(MESSAGES, 2) == Message(texts=Texts("Later", "<p>Later</p>"))
    story.given(delete_message, original=original(2))
    assert story.load(MESSAGES, 2) == Message(deleted=True)


def test_only_a_case_that_can_be_written_to_takes_a_delayed_reply() -> None:
    story = conversation_of().given(cases.trash_case, case_id=1)
    reply = {"case_id": 1, "staff_id": ANNA, "content": "x", "send_at": story.now + HOUR}
    story.when(schedule_staff_reply, **reply).refused(CaseNotFound)
