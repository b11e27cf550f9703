"""Messages of a case."""

import pytest
from folding import SECOND, Log, ReadModels, email, folded_at_once
from sqlalchemy import Connection

from kanal.domain.case_events import MessageAdded
from kanal.domain.channels import create_channel
from kanal.domain.conversation import (
    add_note,
    add_rule_message,
    add_staff_reply,
    add_user_message,
    open_case,
)
from kanal.domain.identities import Identification
from kanal.domain.message_events import MessageScheduled
from kanal.domain.messages import (
    Original,
    Texts,
    delete_message,
    edit_message,
    rate_message,
    schedule_staff_reply,
    send_scheduled,
    settle_files,
)
from kanal.domain.staff import create_staff
from kanal.projections import cases, messages, users
from kanal.projections.messages import Order
from kanal.projections.read_model import Page

AWKWARD_CONTENT = "  0\r\n\tпривет 👩‍👩‍👧 <b>%s</b> \\ '; -- "


@pytest.fixture
def log(log: Log) -> Log:
    """Staff 1 and case 1 of user 1 with one message."""
    log.do(create_staff, email=email("a@example.com"), full_name="Anna", key_fingerprint="f")
    log.do(
        create_channel,
        title="App",
        webhook_url="https://example.com/hook",
        channel_type="async",
        secret_fingerprint="f",
    )
    log.do(
        open_case,
        channel="",
        who=Identification(channel_id=1, external_id="a"),
        content=AWKWARD_CONTENT,
    )
    return log


def ids(
    models: ReadModels, page: Page | None = None, order: Order = "asc"
) -> tuple[list[int], int]:
    found = models.ask(messages.of_case, 1, page, order)
    return [row.message_id for row in found.rows], found.total


def test_a_message_is_stored_as_it_was_written(log: Log, connection: Connection) -> None:
    row = folded_at_once(connection, log.events).ask(messages.find, 1, 1)
    assert row == messages.MessageRow(
        message_id=1,
        case_id=1,
        kind="user_message",
        user_id=1,
        staff_id=0,
        rule_id=0,
        content=AWKWARD_CONTENT,
        content_html="",
        created_at=log.now,
        sent_at=log.now,
        staff_only=False,
        pending=False,
        deleted=False,
        revised=False,
        rating="",
        rating_comment="",
        rated_staff_id=0,
        position=log.events[-1].position,
    )


def test_the_row_of_an_event_is_what_the_read_model_answers(
    log: Log, connection: Connection
) -> None:
    recorded = log.events[-1]
    assert isinstance(recorded.event, MessageAdded)
    models = folded_at_once(connection, log.events)
    assert messages.row_of(recorded.event, recorded) == models.ask(messages.find, 1, 1)


def test_each_kind_of_message_names_its_author(log: Log, connection: Connection) -> None:
    log.do(add_staff_reply, case_id=1, staff_id=1, content="reply")
    log.do(add_note, case_id=1, staff_id=1, content="note")
    log.do(add_rule_message, case_id=1, rule_id=3, content="", content_html="<p>auto</p>")
    log.do(add_user_message, case_id=1, user_id=1, content="")
    found = folded_at_once(connection, log.events).ask(messages.of_case, 1)
    assert [(m.kind, m.user_id, m.staff_id, m.rule_id) for m in found.rows] == [
        ("user_message", 1, 0, 0),
        ("staff_reply", 0, 1, 0),
        ("note", 0, 1, 0),
        ("rule_message", 0, 0, 3),
        ("user_message", 1, 0, 0),
    ]


def test_a_rule_message_that_waits_for_its_files_names_its_rule(
    log: Log, connection: Connection
) -> None:
    waits = {"case_id": 1, "rule_id": 3, "content": "auto", "attachment_urls": ("http://a/b",)}
    message_id = log.do(add_rule_message, **waits).message_id
    log.do(settle_files, message_id=message_id, fetched={}, missed={"http://a/b": "gone"})
    sent = folded_at_once(connection, log.events).ask(messages.find, 1, message_id)
    assert (sent.pending, sent.kind, sent.rule_id) == (False, "rule_message", 3)


def test_a_message_is_found_in_its_own_case_only(log: Log, connection: Connection) -> None:
    log.do(
        open_case, channel="", who=Identification(channel_id=1, external_id="b"), content="other"
    )
    models = folded_at_once(connection, log.events)
    assert models.ask(messages.find, 2, 1) is None
    assert models.ask(messages.find, 2, 2).content == "other"
    assert ids(models) == ([1], 1)


def test_without_a_page_the_last_hundred_messages_are_answered(
    log: Log, connection: Connection
) -> None:
    for _ in range(104):
        log.do(add_user_message, case_id=1, user_id=1, content="x")
    models = folded_at_once(connection, log.events)
    assert ids(models) == (list(range(6, 106)), 105)
    assert ids(models, order="desc") == (list(range(105, 5, -1)), 105)


def test_pages_count_from_the_beginning_of_the_order_asked_for(
    log: Log, connection: Connection
) -> None:
    for _ in range(4):
        log.do(add_user_message, case_id=1, user_id=1, content="x")
    models = folded_at_once(connection, log.events)
    assert ids(models, Page(1, 2)) == ([1, 2], 5)
    assert ids(models, Page(3, 2)) == ([5], 5)
    assert ids(models, Page(1, 2), "desc") == ([5, 4], 5)
    assert ids(models, Page(4, 2)) == ([], 5)


def test_a_case_without_messages_has_an_empty_list(log: Log, connection: Connection) -> None:
    models = folded_at_once(connection, log.events)
    assert models.ask(messages.of_case, 2) == ([], 0)


HOUR = 3600 * SECOND


def original(message_id: int) -> Original:
    return Original(message_id, 1, "staff_reply", 1, Texts("", ""))


def test_html_is_shown_cleaned_wherever_it_comes_from(log: Log, connection: Connection) -> None:
    html = "<p onclick=x>a</p><script>1</script>"
    log.do(add_staff_reply, case_id=1, staff_id=1, content_html=html)
    log.do(
        schedule_staff_reply, case_id=1, staff_id=1, content_html=html, send_at=log.now + 2 * HOUR
    )
    log.do(edit_message, original=original(2), content="", content_html=html + "b")
    found = folded_at_once(connection, log.events).ask(messages.of_case, 1)
    assert [row.content_html for row in found.rows] == ["", "<p>a</p>b", "<p>a</p>"]
    assert html in str([recorded.event for recorded in log.events])


def test_a_later_life_is_what_is_shown(log: Log, connection: Connection) -> None:
    log.do(add_staff_reply, case_id=1, staff_id=1, content="first")
    written_at = log.now
    log.do(edit_message, original=original(2), content="second", content_html="")
    log.do(rate_message, original=original(2), rating="middle", comment="so so")
    row = folded_at_once(connection, log.events).ask(messages.find, 1, 2)
    assert (row.content, row.created_at, row.sent_at) == ("second", written_at, written_at)
    assert (row.rating, row.rating_comment, row.rated_staff_id) == ("middle", "so so", 1)


def test_a_deleted_message_is_nowhere_and_its_texts_are_gone(
    log: Log, connection: Connection
) -> None:
    log.do(add_staff_reply, case_id=1, staff_id=1, content="secret", content_html="secret")
    log.do(delete_message, original=original(2))
    models = folded_at_once(connection, log.events)
    assert models.ask(messages.find, 1, 2) is None
    assert ids(models) == ([1], 1)
    assert ids(models, Page(1, 1), "desc") == ([1], 1)
    assert "secret" not in str(models.rows()["messages.messages"])


def test_what_waits_is_listed_with_its_time_and_sent_once_it_is_sent(
    log: Log, connection: Connection
) -> None:
    send_at = log.now + HOUR
    log.do(schedule_staff_reply, case_id=1, staff_id=1, content="x", send_at=send_at)
    written_at, scheduled = log.now, log.events[-1]
    log.do(add_user_message, case_id=1, user_id=1, content="y")
    models = folded_at_once(connection, log.events)
    row = models.ask(messages.find, 1, 2)
    assert (row.pending, row.created_at, row.sent_at) == (True, written_at, send_at)
    assert isinstance(scheduled.event, MessageScheduled)
    assert messages.row_of(scheduled.event, scheduled) == row
    before = len(log.events)
    log.now = send_at + SECOND
    log.do(send_scheduled, message_id=2)
    models.fold(log.events[before:])
    sent = models.ask(messages.find, 1, 2)
    assert sent == row._replace(pending=False, staff_only=False, sent_at=log.now)
    assert ids(models) == ([1, 2, 3], 3)


def test_notes_and_what_is_not_sent_yet_can_be_left_out(log: Log, connection: Connection) -> None:
    log.do(add_note, case_id=1, staff_id=1, content="n")
    log.do(schedule_staff_reply, case_id=1, staff_id=1, content="x", send_at=log.now + 2 * HOUR)
    log.do(add_staff_reply, case_id=1, staff_id=1, content="r")
    models = folded_at_once(connection, log.events)

    def public(page: Page | None = None, order: Order = "asc") -> tuple[list[int], int]:
        found = models.ask(messages.of_case, 1, page, order, staff_only=False)
        return [row.message_id for row in found.rows], found.total

    assert ids(models) == ([1, 2, 3, 4], 4)
    assert public() == ([1, 4], 2)
    assert public(Page(2, 1)) == ([4], 2)
    assert public(Page(1, 1), "desc") == ([4], 2)


def test_messages_with_a_stream_of_their_own_are_known(log: Log, connection: Connection) -> None:
    for _ in range(4):
        log.do(add_staff_reply, case_id=1, staff_id=1, content="x")
    log.do(edit_message, original=original(2), content="y", content_html="")
    log.do(delete_message, original=original(3))
    log.do(rate_message, original=original(4), rating="low")
    log.do(schedule_staff_reply, case_id=1, staff_id=1, content="x", send_at=log.now + 2 * HOUR)
    models = folded_at_once(connection, log.events)
    assert sorted(models.ask(messages.revised, 1)) == [2, 3, 4, 6]


def test_what_was_brought_in_later_shows_the_time_that_it_bears(
    log: Log, connection: Connection
) -> None:
    then = log.now - HOUR
    log.do(
        open_case,
        who=Identification(channel_id=1, external_id="b"),
        content="x",
        status="closed",
        created_at=then,
    )
    opened_at = log.now
    log.do(add_note, case_id=2, staff_id=1, content="n", created_at=then + SECOND)
    log.do(add_user_message, case_id=2, user_id=2, content="m", created_at=then + 2 * SECOND)
    models = folded_at_once(connection, log.events)
    rows = models.ask(messages.of_case, 2).rows
    assert [row.created_at for row in rows] == [then, then + SECOND, then + 2 * SECOND]
    assert [row.sent_at for row in rows] == [row.created_at for row in rows]
    case = models.ask(cases.find, 2)
    assert (case.created_at, case.last_response_at) == (then, then + 2 * SECOND)
    assert case.updated_at > opened_at
    assert models.ask(users.find, 2).last_contact_at == then + 2 * SECOND
