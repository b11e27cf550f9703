"""The recorders keep the library's contract, whoever inserts, and what they store never changes."""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from eventsourcing.persistence import IntegrityError, StoredEvent
from eventsourcing.tests import persistence
from open_log import DEADLINE, OpenLog, database_of
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from kanal.domain.groups import create_group
from kanal.eventlog.database import Database
from kanal.eventlog.migrate import migrate


class AsTheWriterAppends:
    """The recorder as Kanal uses it: under the lock, on the writer's connection; reading stays the library's."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert_events(self, events: Sequence[StoredEvent]) -> Sequence[int]:
        try:
            with self._database.writer.begin() as connection:
                self._database.lock(connection)
                return list(self._database.append(connection, events))
        except (sqlite3.IntegrityError, psycopg.IntegrityError, DBAPIError) as error:
            raise IntegrityError from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database.recorder, name)


@contextmanager
def migrated(url: str, data_dir: Path) -> Iterator[Database]:
    """Closed when the shipped cases' reading threads have ended: they tell them to, but do not wait for them."""
    before = set(threading.enumerate())
    database = database_of(url, data_dir)
    migrate(database)
    yield database
    for thread in set(threading.enumerate()) - before:
        if not thread.daemon and not thread.name.startswith("kanal-"):
            thread.join(DEADLINE)
    database.close()


class OfSqlite:
    @pytest.fixture(autouse=True)
    def _database(self, data_dir: Path) -> Any:
        with migrated("", data_dir) as self.database:
            yield


class OfPostgres:
    @pytest.fixture(autouse=True)
    def _database(self, postgres_url: str, data_dir: Path) -> Any:
        with migrated(postgres_url, data_dir) as self.database:
            yield


class ByTheLibrary:
    def create_recorder(self) -> Any:
        return self.database.recorder


class ByTheWriter:
    def create_recorder(self) -> Any:
        return AsTheWriterAppends(self.database)


class ShippedCase(persistence.ApplicationRecorderTestCase):
    # Measurements, not rules.
    test_performance = None
    test_concurrent_throughput = None


class TestSqliteByTheLibrary(OfSqlite, ByTheLibrary, ShippedCase):
    pass


class TestSqliteByTheWriter(OfSqlite, ByTheWriter, ShippedCase):
    pass


class TestPostgresByTheLibrary(OfPostgres, ByTheLibrary, ShippedCase):
    pass


class TestPostgresByTheWriter(OfPostgres, ByTheWriter, ShippedCase):
    pass


class TestSqlitePositionsOfABatchAreTogether(
    OfSqlite, ByTheWriter, persistence.NonInterleavingNotificationIDsBaseCase
):
    pass


class TestPostgresPositionsOfABatchAreTogether(
    OfPostgres, ByTheWriter, persistence.NonInterleavingNotificationIDsBaseCase
):
    pass


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET topic = 'x'",
        "DELETE FROM events",
        "DELETE FROM events WHERE originator_version = 1",
    ],
)
def test_what_is_in_the_log_can_be_neither_changed_nor_deleted(
    log: OpenLog, statement: str
) -> None:
    log.do(create_group, title="Sales")
    before = log.events()
    with pytest.raises(DBAPIError, match="append-only"):
        log.writer.run_and_wait(lambda connection: connection.execute(text(statement)))
    assert log.events() == before


def test_the_log_cannot_be_emptied(postgres_url: str, data_dir: Path) -> None:
    database = database_of(postgres_url, data_dir)
    migrate(database)
    with (
        psycopg.connect(postgres_url) as other,
        pytest.raises(psycopg.errors.RaiseException, match="append-only"),
    ):
        other.execute("TRUNCATE events")
    database.close()


def test_a_position_is_never_given_out_twice(database_url: str, data_dir: Path) -> None:
    """Not even if somebody takes the guard away and deletes the end of the log."""
    database = database_of(database_url, data_dir)
    migrate(database)
    recorder = AsTheWriterAppends(database)

    def one() -> Sequence[StoredEvent]:
        return [StoredEvent(uuid4(), 1, "topic", b"state")]

    assert [*recorder.insert_events(one()), *recorder.insert_events(one())] == [1, 2]
    with database.writer.begin() as connection:
        if database.shared:
            connection.execute(text("ALTER TABLE events DISABLE TRIGGER USER"))
        else:
            connection.execute(text("DROP TRIGGER events_never_delete"))
        connection.execute(text("DELETE FROM events"))
    assert recorder.insert_events(one()) == [3]
    database.close()
