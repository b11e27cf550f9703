"""Files of messages: numbered, attached, awaited; what goes out waits for them."""

from typing import Any

import pytest
from folding import SECOND
from story import ANNA, APP, Story, desk, person

from kanal.domain.case_events import MessageAdded
from kanal.domain.cases import CASES, delete_case, restore_case, trash_case
from kanal.domain.conversation import (
    add_note,
    add_rule_message,
    add_staff_reply,
    add_user_message,
    open_case,
)
from kanal.domain.files import MAX_TOTAL, FileRef, MissedFile, NewFile
from kanal.domain.message_events import (
    MessageFilesAwaited,
    MessageFilesFetched,
    MessageScheduled,
    Texts,
)
from kanal.domain.messages import (
    TOO_LARGE_TOGETHER,
    Original,
    delete_message,
    schedule_staff_reply,
    send_scheduled,
    settle_files,
)

CASE, USER = 1, 1
A, B = "https://example.com/a", "https://example.com/b"


def file(token: str, size: int = 3) -> NewFile:
    return NewFile(f"{token}.txt", size, "text/plain", token)


def ref(file_id: int, token: str, size: int = 3) -> FileRef:
    return FileRef(file_id, f"{token}.txt", size, "text/plain", token)


def opened(**said: Any) -> Story:
    """A case of the app's user `u1`, with its first message."""
    return desk().given(open_case, who=person("u1"), content="Hello", **said)


def added(story: Story) -> MessageAdded:
    [message] = story.recorded(MessageAdded)
    return message  # type: ignore[no-any-return]


SPEAKERS = [
    (add_user_message, {"user_id": USER}),
    (add_staff_reply, {"staff_id": ANNA}),
    (add_note, {"staff_id": ANNA}),
    (add_rule_message, {"rule_id": 1}),
]
OUTGOING = SPEAKERS[1:]


@pytest.mark.parametrize(("command", "author"), SPEAKERS)
def test_files_are_numbered_in_the_message_whoever_writes_it(command: Any, author: Any) -> None:
    story = opened(files=(file("first"),))
    story.when(command, case_id=CASE, files=(file("x"), file("y")), **author)
    assert added(story).attachments == (ref(2, "x"), ref(3, "y"))


def test_the_first_message_of_a_case_has_the_files_it_was_opened_with() -> None:
    story = desk().when(open_case, who=person("u1"), files=(file("x"),))
    assert added(story).attachments == (ref(1, "x"),)


def test_a_delayed_reply_keeps_its_files_until_it_is_sent() -> None:
    story = opened()
    later = story.now + 10 * SECOND
    story.when(schedule_staff_reply, case_id=CASE, staff_id=ANNA, send_at=later, files=(file("x"),))
    [scheduled] = story.recorded(MessageScheduled)
    assert scheduled.attachments == (ref(1, "x"),)
    story.now = later
    story.when(send_scheduled, message_id=2)
    assert added(story).attachments == (ref(1, "x"),)


def test_a_users_message_is_there_at_once_and_gets_its_files_later() -> None:
    story = opened()
    story.when(
        add_user_message, case_id=CASE, user_id=USER, files=(file("x", 5),), attachment_urls=(A, B)
    )
    story.then_named("case.message_added.1", "message.files_awaited.1")
    [awaited] = story.recorded(MessageFilesAwaited)
    assert (awaited.urls, awaited.size) == ((A, B), 5)
    story.when(settle_files, message_id=2, fetched={A: file("a")}, missed={})
    story.then(fetched(2, files=(ref(2, "a"),), awaited=(B,)))
    assert story.result == ("a",)
    story.when(settle_files, message_id=2, fetched={}, missed={B: "gone"})
    story.then(fetched(2, missed=(MissedFile(B, "gone"),)))


def fetched(message_id: int, **fields: Any) -> MessageFilesFetched:
    fields = {"files": (), "missed": (), "awaited": (), "send_at": 0, **fields}
    return MessageFilesFetched(
        message_id=message_id, case_id=CASE, user_id=USER, channel_id=APP, **fields
    )


@pytest.mark.parametrize(("command", "author"), OUTGOING)
def test_what_goes_out_waits_for_its_files_and_then_brings_them(command: Any, author: Any) -> None:
    story = opened()
    story.given(command, case_id=CASE, files=(file("x"),), attachment_urls=(A, B), **author)
    assert story.load(CASES, CASE).outgoing == 0
    story.when(send_scheduled, message_id=2).then()
    story.when(settle_files, message_id=2, fetched={B: file("b")}, missed={})
    story.then(fetched(2, files=(ref(2, "b"),), awaited=(A,)))
    story.when(settle_files, message_id=2, fetched={A: file("a")}, missed={})
    story.then_named("message.files_fetched.1", "message.sent.1", "case.message_added.1")
    message = added(story)
    assert message.attachments == (ref(1, "x"), ref(2, "b"), ref(3, "a"))
    assert (message.message_id, message.outgoing, message.sent_at) == (2, 1, story.now)


def test_what_goes_out_is_sent_without_the_files_that_were_given_up() -> None:
    story = opened()
    story.given(add_staff_reply, case_id=CASE, staff_id=ANNA, content="Ok!", attachment_urls=(A,))
    story.when(settle_files, message_id=2, fetched={}, missed={A: "it answered with status 404"})
    story.then_named("message.files_fetched.1", "message.sent.1", "case.message_added.1")
    assert (added(story).content, added(story).attachments) == ("Ok!", ())


def test_a_reply_counts_as_an_answer_when_it_is_written_not_when_its_files_are_there() -> None:
    story = opened()
    story.given(add_staff_reply, case_id=CASE, staff_id=ANNA, attachment_urls=(A,))
    assert story.load(CASES, CASE).status == "waiting"
    story.given(add_user_message, case_id=CASE, user_id=USER, content="One more thing")
    story.given(settle_files, message_id=2, fetched={A: file("a")}, missed={})
    assert story.load(CASES, CASE).status == "open"


def test_a_case_that_staff_open_has_its_first_message_when_the_files_are_there() -> None:
    story = desk().when(open_case, who=person("u1"), staff_id=ANNA, attachment_urls=(A,))
    assert story.recorded(MessageAdded) == []
    story.when(settle_files, message_id=1, fetched={A: file("a")}, missed={})
    assert added(story).attachments == (ref(1, "a"),)


def test_a_delayed_reply_waits_for_both_its_time_and_its_files() -> None:
    for files_first in (True, False):
        story = opened()
        later = story.now + 10 * SECOND
        story.given(
            schedule_staff_reply,
            case_id=CASE,
            staff_id=ANNA,
            send_at=later,
            attachment_urls=(A,),
        )
        if files_first:
            story.when(settle_files, message_id=2, fetched={A: file("a")}, missed={})
            story.then(fetched(2, files=(ref(1, "a"),), send_at=later))
            story.now = later
            story.when(send_scheduled, message_id=2)
        else:
            story.now = later
            story.when(send_scheduled, message_id=2).then()
            story.when(settle_files, message_id=2, fetched={A: file("a")}, missed={})
        assert added(story).attachments == (ref(1, "a"),)


def test_on_a_standard_channel_nothing_waits() -> None:
    story = desk().given(open_case, who=person(mail="a@example.com"), content="Hello")
    story.when(add_staff_reply, case_id=CASE, staff_id=ANNA, attachment_urls=(A,))
    assert added(story).message_id == 2


def test_settling_what_is_settled_already_is_no_event_and_takes_no_bytes() -> None:
    story = opened()
    story.given(add_user_message, case_id=CASE, user_id=USER, attachment_urls=(A,))
    story.given(settle_files, message_id=2, fetched={A: file("a")}, missed={})
    story.when(settle_files, message_id=2, fetched={A: file("again")}, missed={}).then()
    assert story.result == ()


def test_files_of_a_message_deleted_meanwhile_are_not_taken() -> None:
    story = opened()
    story.given(add_staff_reply, case_id=CASE, staff_id=ANNA, attachment_urls=(A,))
    original = Original(2, CASE, "staff_reply", ANNA, Texts("", ""))
    story.given(delete_message, original=original)
    story.when(settle_files, message_id=2, fetched={A: file("a")}, missed={}).then()
    assert story.result == ()


def test_files_past_the_limit_of_one_message_are_given_up() -> None:
    story = opened()
    big = MAX_TOTAL // 2
    story.given(
        add_user_message,
        case_id=CASE,
        user_id=USER,
        files=(file("x", big),),
        attachment_urls=(A, B),
    )
    story.when(settle_files, message_id=2, fetched={A: file("a", big), B: file("b", 1)}, missed={})
    story.then(fetched(2, files=(ref(2, "a", big),), missed=(MissedFile(B, TOO_LARGE_TOGETHER),)))
    assert story.result == ("a",)


def test_while_its_case_lies_in_the_trash_a_message_gets_its_files_but_is_not_sent() -> None:
    story = opened()
    story.given(add_staff_reply, case_id=CASE, staff_id=ANNA, attachment_urls=(A,))
    story.given(trash_case, case_id=CASE)
    story.when(settle_files, message_id=2, fetched={A: file("a")}, missed={})
    story.then_named("message.files_fetched.1")
    story.given(restore_case, case_id=CASE)
    story.when(send_scheduled, message_id=2)
    assert added(story).attachments == (ref(1, "a"),)


def test_what_waited_in_a_case_that_was_deleted_is_discarded_and_its_files_are_not_taken() -> None:
    story = opened()
    story.given(add_staff_reply, case_id=CASE, staff_id=ANNA, attachment_urls=(A,))
    story.given(delete_case, case_id=CASE)
    story.when(settle_files, message_id=2, fetched={A: file("a")}, missed={})
    story.then_named("message.discarded.1")
    assert story.result == ()
