"""Messages that wait for their time, and which of them are due."""

import pytest
from folding import SECOND, Log, ReadModels, email, folded_at_once
from sqlalchemy import Connection

from kanal.domain.cases import delete_case, merge_case, restore_case, trash_case
from kanal.domain.conversation import open_case
from kanal.domain.identities import Identification
from kanal.domain.messages import (
    Original,
    Texts,
    delete_message,
    edit_message,
    schedule_staff_reply,
    send_scheduled,
)
from kanal.domain.staff import create_staff
from kanal.projections import scheduled

HOUR = 3600 * SECOND


@pytest.fixture
def log(log: Log) -> Log:
    """Cases 1 and 2; messages 3 and 4 of case 1 wait for three and two hours, 5 of case 2 for four."""
    log.do(create_staff, email=email("a@example.com"), full_name="Anna", key_fingerprint="f")
    who = Identification(channel_id=0, external_id="", email=email("u@example.com"))
    for _ in range(2):
        log.do(open_case, who=who, content="x")
    now = log.now
    for case_id, hours in ((1, 3), (1, 2), (2, 4)):
        send_at = now + hours * HOUR
        log.do(schedule_staff_reply, case_id=case_id, staff_id=1, content="x", send_at=send_at)
    return log


def due(models: ReadModels, log: Log, hours: int, limit: int = 100) -> list[int]:
    now = log.now + hours * HOUR
    return [row.message_id for row in models.ask(scheduled.due, now, limit)]


def test_what_waited_long_enough_is_due_the_longest_first(log: Log, connection: Connection) -> None:
    models = folded_at_once(connection, log.events)
    assert due(models, log, 1) == []
    assert due(models, log, 2) == [4]
    assert due(models, log, 9) == [4, 3, 5]
    assert due(models, log, 9, limit=2) == [4, 3]


def test_what_was_sent_or_deleted_waits_no_more(log: Log, connection: Connection) -> None:
    original = Original(3, 1, "staff_reply", 1, Texts("x", ""))
    log.do(edit_message, original=original, content="y", content_html="")
    log.do(delete_message, original=original)
    log.now += 3 * HOUR
    log.do(send_scheduled, message_id=4)
    models = folded_at_once(connection, log.events)
    assert due(models, log, 9) == [5]


def test_trash_holds_back_and_a_case_that_is_gone_does_not(
    log: Log, connection: Connection
) -> None:
    log.do(trash_case, case_id=1)
    log.do(delete_case, case_id=2)
    models = folded_at_once(connection, log.events)
    assert due(models, log, 9) == [5]
    before = len(log.events)
    log.now += 9 * HOUR
    log.do(send_scheduled, message_id=5)
    log.do(restore_case, case_id=1)
    models.fold(log.events[before:])
    assert due(models, log, 0) == [4, 3]


def test_the_trash_of_the_case_into_which_it_was_merged_holds_back_too(
    log: Log, connection: Connection
) -> None:
    log.do(merge_case, case_id=1, parent_case_id=2)
    models = folded_at_once(connection, log.events)
    assert due(models, log, 9) == [4, 3, 5]
    before = len(log.events)
    log.do(trash_case, case_id=2)
    models.fold(log.events[before:])
    assert due(models, log, 9) == []
    before = len(log.events)
    log.do(delete_case, case_id=2)
    models.fold(log.events[before:])
    assert due(models, log, 9) == [4, 3, 5]
