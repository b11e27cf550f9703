"""The cases of a deleted user are deleted in batches, on a real log, in the name of the system."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from folding import email
from open_log import until
from story import person

from kanal.automation import deleted_users
from kanal.automation.agenda import Agenda, Hand
from kanal.automation.deleted_users import Batch, DeletedUsers
from kanal.bootstrap import Store, opened
from kanal.domain.case_events import CaseDeleted
from kanal.domain.cases import trash_case
from kanal.domain.conversation import open_case
from kanal.domain.identities import delete_user
from kanal.domain.staff import create_staff
from kanal.domain.users import UserCasesDeleted
from kanal.projections import cases, runner
from kanal.projections.cases import CaseFilter
from kanal.projections.read_model import Page
from kanal.projections.registry import CORE
from kanal.settings import Settings


@pytest.fixture
def store(data_dir: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Cases 1 to 4 are user 1's, one of them in the trash, case 5 is user 2's; batches of two."""
    monkeypatch.setattr(deleted_users, "BATCH", 2)
    with opened(Settings(data_dir=data_dir, database_url=database_url)) as store:
        do(store, create_staff, email=email("s@example.com"), full_name="S", key_fingerprint="f")
        for mail in ("a@example.com",) * 4 + ("b@example.com",):
            do(store, open_case, who=person(mail=mail), content="Hello")
        do(store, trash_case, case_id=2)
        yield store


def do(store: Store, command: Callable[..., Any], **arguments: Any) -> int:
    """Position of the command's last event."""
    return store.writer.submit_and_wait(partial(command, **arguments)).position


def due(store: Store) -> list[Batch]:
    with store.database.reading() as connection:
        duty = DeletedUsers(Hand(store.writer, DeletedUsers.name))
        return list(duty.due(connection, runner.views(connection, CORE), 0))


def case_ids(store: Store) -> list[int]:
    with store.database.reading() as connection:
        views = runner.views(connection, CORE)
        return [row.case_id for row in cases.listed(connection, views, CaseFilter(), Page()).rows]


async def test_all_cases_of_a_deleted_user_go_and_no_others(store: Store) -> None:
    assert due(store) == []
    gone = do(store, delete_user, user_id=1)
    duty = DeletedUsers(Hand(store.writer, DeletedUsers.name))
    done = []
    while items := due(store):
        for item in items:
            assert item.cause == gone
            await duty.act(item)
            done.append(item.case_ids)
    assert done == [(1, 2), (3, 4), ()]
    recorded = store.database.events_after(gone)
    assert [type(each.event) for each in recorded] == [CaseDeleted] * 4 + [UserCasesDeleted]
    for each in recorded:
        assert (each.envelope.who, each.envelope.cause) == ("system", gone)
    assert case_ids(store) == [5]


async def test_doing_it_twice_or_for_somebody_who_is_there_changes_nothing(store: Store) -> None:
    duty = DeletedUsers(Hand(store.writer, DeletedUsers.name))
    await duty.act(Batch(1, 1, (1, 3)))
    assert case_ids(store) == [5, 4, 3, 1]
    do(store, delete_user, user_id=1)
    await duty.act(Batch(1, 1, (1, 2, 3, 4)))
    await duty.act(Batch(1, 1, ()))
    done = await _position(store)
    await duty.act(Batch(1, 1, (1,)))
    await duty.act(Batch(1, 1, ()))
    assert await _position(store) == done


async def _position(store: Store) -> int:
    with store.database.reading() as connection:
        return store.database.head(connection)


async def test_the_agenda_does_it_by_itself(store: Store) -> None:
    do(store, delete_user, user_id=1)
    agenda = Agenda(store.database, CORE, [DeletedUsers(Hand(store.writer, DeletedUsers.name))])
    agenda.start()
    try:
        await until(lambda: case_ids(store) == [5] and not due(store))
    finally:
        await agenda.close(1)
