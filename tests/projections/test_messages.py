"""Messages of a case."""

import pytest
from folding import Log, ReadModels, email, folded_at_once
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
from kanal.domain.staff import create_staff
from kanal.projections import messages
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
