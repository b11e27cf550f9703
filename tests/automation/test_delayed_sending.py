"""Replies that wait are sent when their time has come, on a real log, in the name of the system."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from folding import email
from open_log import until
from story import person

from kanal.automation import delayed_sending
from kanal.automation.agenda import Agenda, Hand
from kanal.automation.delayed_sending import DelayedSending
from kanal.bootstrap import Store, opened
from kanal.domain.case_events import CaseStatusChanged, MessageAdded
from kanal.domain.cases import delete_case, restore_case, trash_case
from kanal.domain.conversation import open_case
from kanal.domain.message_events import MessageDiscarded, MessageSent
from kanal.domain.messages import schedule_staff_reply
from kanal.domain.staff import create_staff
from kanal.projections import messages, runner
from kanal.projections.registry import CORE
from kanal.projections.scheduled import ScheduledRow
from kanal.settings import Settings

SOON = 500_000
"""Microseconds."""


@pytest.fixture
def store(data_dir: Path, database_url: str) -> Iterator[Store]:
    """Case 1 with the user's message 1; staff 1."""
    with opened(Settings(data_dir=data_dir, database_url=database_url)) as store:
        do(store, create_staff, email=email("a@example.com"), full_name="A", key_fingerprint="f")
        do(store, open_case, who=person(mail="u@example.com"), content="Hello")
        yield store


def do(store: Store, command: Callable[..., Any], **arguments: Any) -> int:
    """Position of the command's last event."""
    return store.writer.submit_and_wait(partial(command, **arguments)).position


def schedule(store: Store, microseconds: int = SOON) -> int:
    send_at = time.time_ns() // 1000 + microseconds
    return do(store, schedule_staff_reply, case_id=1, staff_id=1, send_at=send_at, content="x")


def due(store: Store, microseconds: int = SOON) -> list[ScheduledRow]:
    """By a clock that is ahead."""
    duty, now = DelayedSending(Hand(store.writer, "x")), time.time_ns() // 1000 + microseconds
    with store.database.reading() as connection:
        return list(duty.due(connection, runner.views(connection, CORE), now))


async def test_what_is_due_is_sent_by_itself_and_only_then(store: Store) -> None:
    scheduled = schedule(store)
    schedule(store, 10**12)
    duty = DelayedSending(Hand(store.writer, DelayedSending.name))
    agenda = Agenda(store.database, CORE, [duty])
    agenda.start()
    await until(lambda: len(store.database.events_after(scheduled + 1)) == 3)
    await agenda.close(1)
    recorded = store.database.events_after(scheduled + 1)
    assert [type(each.event) for each in recorded] == [MessageSent, MessageAdded, CaseStatusChanged]
    for each in recorded:
        assert (each.envelope.who, each.envelope.cause) == ("system", scheduled)
        assert (each.envelope.origin, each.envelope.request) == ("automation", "delayed_sending")
    sent = recorded[1].event
    assert isinstance(sent, MessageAdded)
    assert sent.sent_at == recorded[1].envelope.at > sent.created_at
    with store.database.reading() as connection:
        row = messages.find(connection, runner.views(connection, CORE), 1, 2)
    assert row is not None
    assert (row.pending, row.sent_at) == (False, sent.sent_at)


async def test_an_item_that_is_done_twice_is_sent_once(store: Store) -> None:
    scheduled = schedule(store)
    await until(lambda: due(store, 0))
    duty, (item,) = DelayedSending(Hand(store.writer, DelayedSending.name)), due(store)
    for _ in range(2):
        await duty.act(item)
    assert len(store.database.events_after(scheduled)) == 3
    assert due(store) == []


async def test_before_its_time_an_item_changes_nothing(store: Store) -> None:
    scheduled = schedule(store, 10**12)
    duty = DelayedSending(Hand(store.writer, DelayedSending.name))
    (item,) = due(store, 10**13)
    await duty.act(item)
    assert store.database.events_after(scheduled) == []


async def test_trash_holds_it_back_and_a_deleted_case_ends_it(store: Store) -> None:
    schedule(store)
    do(store, trash_case, case_id=1)
    assert due(store) == []
    do(store, restore_case, case_id=1)
    assert len(due(store)) == 1
    deleted = do(store, delete_case, case_id=1)
    await until(lambda: due(store, 0))
    duty, (item,) = DelayedSending(Hand(store.writer, DelayedSending.name)), due(store)
    await duty.act(item)
    assert [type(each.event) for each in store.database.events_after(deleted)] == [MessageDiscarded]
    assert due(store) == []


def test_one_turn_looks_at_so_many(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delayed_sending, "MOST", 2)
    for _ in range(3):
        schedule(store)
    assert len(due(store)) == 2
