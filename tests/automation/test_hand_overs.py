"""Whoever leaves hands over in batches, on a real log, in the name of the system."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from folding import email
from open_log import until
from story import person

from kanal.automation import hand_overs
from kanal.automation.agenda import Agenda, Hand
from kanal.automation.hand_overs import Batch, HandOvers
from kanal.bootstrap import Store, opened
from kanal.domain.case_events import CaseAssigned, CaseGroupChanged
from kanal.domain.cases import change_case
from kanal.domain.conversation import open_case
from kanal.domain.groups import GroupCasesHandedOver, create_group, delete_group
from kanal.domain.staff import (
    StaffCasesHandedOver,
    create_staff,
    delete_staff,
    disable_staff,
    enable_staff,
)
from kanal.projections import runner
from kanal.projections.registry import CORE
from kanal.settings import Settings

ANNA, BORIS = 1, 2
CASES = 5


@pytest.fixture
def store(data_dir: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Cases 1 to 5 are Boris' and of group 1, the first of them closed; batches of two."""
    monkeypatch.setattr(hand_overs, "BATCH", 2)
    with opened(Settings(data_dir=data_dir, database_url=database_url)) as store:
        for name in ("anna", "boris"):
            do(
                store,
                create_staff,
                email=email(f"{name}@example.com"),
                full_name=name,
                key_fingerprint="f",
            )
        do(store, create_group, title="Sales")
        for number in range(1, CASES + 1):
            who = person(mail=f"u{number}@example.com")
            do(store, open_case, who=who, content="Hello", group_id=1)
            status = "closed" if number == 1 else "open"
            do(store, change_case, case_id=number, staff_id=BORIS, status=status)
        yield store


def do(store: Store, command: Callable[..., Any], **arguments: Any) -> int:
    """Position of the command's last event."""
    return store.writer.submit_and_wait(partial(command, **arguments)).position


def due(store: Store, duty: HandOvers) -> list[Batch]:
    with store.database.reading() as connection:
        return list(duty.due(connection, runner.views(connection, CORE), 0))


async def batches(store: Store) -> list[tuple[int, ...]]:
    """Does what is due until nothing is; the cases of each batch."""
    duty = HandOvers(Hand(store.writer, HandOvers.name))
    done = []
    while items := due(store, duty):
        for item in items:
            await duty.act(item)
            done.append(item.case_ids)
    return done


async def test_the_cases_that_are_not_closed_go_in_batches_caused_by_the_leaving(
    store: Store,
) -> None:
    assert await batches(store) == []
    left = do(store, disable_staff, staff_id=BORIS, replace_staff_id=ANNA)
    assert await batches(store) == [(2, 3), (4, 5), ()]
    recorded = store.database.events_after(left)
    assert [type(each.event) for each in recorded] == [CaseAssigned] * 4 + [StaffCasesHandedOver]
    for each in recorded:
        assert (each.envelope.who, each.envelope.cause) == ("system", left)
        assert (each.envelope.origin, each.envelope.request) == ("automation", "hand_overs")
    assert await batches(store) == []


async def test_several_leave_at_once(store: Store) -> None:
    do(store, delete_staff, staff_id=BORIS)
    left = do(store, delete_group, group_id=1)
    # Boris' batch moves the group's cases too: a case knows the way of both.
    await batches(store)
    events = [each.event for each in store.database.events_after(left)]
    assert sum(isinstance(event, CaseAssigned) for event in events) == 4
    assert sum(isinstance(event, CaseGroupChanged) for event in events) == 4
    assert sum(isinstance(event, StaffCasesHandedOver) for event in events) == 1
    assert sum(isinstance(event, GroupCasesHandedOver) for event in events) == 1


async def test_a_batch_done_twice_or_late_changes_nothing(store: Store) -> None:
    left = do(store, disable_staff, staff_id=BORIS, replace_staff_id=ANNA)
    duty = HandOvers(Hand(store.writer, HandOvers.name))
    first = due(store, duty)
    for _ in range(2):
        await duty.act(first[0])
    assert len(store.database.events_after(left)) == 2
    enabled = do(store, enable_staff, staff_id=BORIS)
    await duty.act(Batch(first[0].hand_over, (4,)))
    assert due(store, duty) == []
    assert store.database.events_after(enabled) == []


async def test_the_agenda_does_it_by_itself(store: Store) -> None:
    left = do(store, disable_staff, staff_id=BORIS, replace_staff_id=ANNA)
    agenda = Agenda(store.database, CORE, [HandOvers(Hand(store.writer, HandOvers.name))])
    agenda.start()
    await until(lambda: len(store.database.events_after(left)) == 5)
    await agenda.close(1)
