"""The log on PostgreSQL: the library's recorder, inserting under the table's lock on the writer's connection.

`POSTGRES_ENABLE_DB_FUNCTIONS` must stay off: that path takes no lock, and a reader that follows the log loses events.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from operator import attrgetter
from typing import Any, Final

import psycopg
import structlog
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresFactory
from eventsourcing.utils import Environment
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError

from kanal.eventlog.database import (
    READER_THREADS,
    BatchStart,
    Database,
    Leadership,
    LiveTables,
    driver_error,
)
from kanal.eventlog.files import TableFiles
from kanal.eventlog.tables import EVENTS_TABLE, generations

LOCK_TIMEOUT_SECONDS = 10
"""How long a batch waits for another process' batch before its callers are told to come again."""
SETTING_UP = 0x6B616E616C
"""Key of the advisory lock for migrations ("kanal")."""
REBUILDING = SETTING_UP + 1
LEADING = SETTING_UP + 2

PROGRAM_LIMIT_EXCEEDED = "54"
"""Class of errors that the driver counts as operational, although the statement is to blame: too long for an index, say."""

BEGINNING = f"""
    SELECT coalesce((SELECT max(notification_id) FROM {EVENTS_TABLE}), 0),
        (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
        coalesce((SELECT json_agg(json_build_array(name, version, generation, position))
            FROM {generations.name} WHERE active), '[]')"""
"""A statement sees what was committed when it began, so the lock of the one before holds for it."""

LISTEN_AGAIN_SECONDS: Final = 1.0
"""After the connection for notices was lost."""

log = structlog.get_logger(__name__)


class PostgresRecorder(PostgresApplicationRecorder):
    def __init__(
        self, datastore: Any, *, events_table_name: str = EVENTS_TABLE, **kwargs: Any
    ) -> None:
        super().__init__(datastore, events_table_name=events_table_name, **kwargs)
        table = Identifier(datastore.schema, events_table_name)
        guard = Identifier(datastore.schema, f"{events_table_name}_only_grows")
        # The library would make a function whose name two applications of one schema share.
        del self.sql_create_statements[self.create_insert_function_statement_index]
        self.sql_create_statements += [
            SQL(
                "CREATE OR REPLACE FUNCTION {guard}() RETURNS trigger LANGUAGE plpgsql AS "
                "$$BEGIN RAISE EXCEPTION 'the log is append-only'; END$$"
            ).format(guard=guard),
            SQL(
                "CREATE OR REPLACE TRIGGER {name} BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION {guard}()"
            ).format(name=Identifier(f"{events_table_name}_only_grows"), table=table, guard=guard),
        ]
        self._insert_locked = (
            SQL(
                "INSERT INTO {table} (originator_id, originator_version, topic, state) "
                "SELECT o, v, t, s FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::bytea[]) "
                "WITH ORDINALITY AS e(o, v, t, s, n) ORDER BY n RETURNING notification_id"
            )
            .format(table=table)
            .as_string()
        )

    def insert_under_lock(self, cursor: Any, stored_events: Sequence[StoredEvent]) -> list[int]:
        """In one round trip, on a transaction that holds the table's lock; returns the positions."""
        cursor.execute(
            self._insert_locked,
            (
                [s.originator_id for s in stored_events],
                [s.originator_version for s in stored_events],
                [s.topic for s in stored_events],
                [s.state for s in stored_events],
            ),
        )
        return [row[0] for row in cursor.fetchall()]


class Factory(PostgresFactory):
    application_recorder_class = PostgresRecorder


class PostgresLeadership(Leadership):
    """An advisory lock on a connection of its own: a process that dies, or loses the server, lets go."""

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]]) -> None:
        self._connect = connect
        self._connection: psycopg.Connection[Any] | None = None
        self._leads = False
        self._over = False
        self._door = threading.Lock()
        """A question may still be under way on its thread when the process lets go."""

    def held(self) -> bool:
        with self._door:
            if self._over:
                return False
            try:
                self._ask()
            except psycopg.Error:
                self._disconnect()
            return self._leads

    def release(self) -> None:
        with self._door:
            self._over = True
            if self._connection is not None:
                # The server would notice the end of the connection a moment later.
                with suppress(psycopg.Error):
                    self._connection.execute("SELECT pg_advisory_unlock_all()")
            self._disconnect()

    def _ask(self) -> None:
        if self._connection is None:
            self._connection = self._connect()
            self._connection.autocommit = True
        if self._leads:
            self._connection.execute("SELECT 1")  # it lives, so it still holds the lock
        else:
            question = "SELECT pg_try_advisory_lock(%s)"
            row = self._connection.execute(question, (LEADING,)).fetchone()
            self._leads = bool(row and row[0])

    def _disconnect(self) -> None:
        self._leads = False
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None


class PostgresDatabase(Database):
    """Several processes write one serial log: whoever holds the table's lock appends."""

    title = "PostgreSQL"
    position_column = "notification_id"
    stream_hex = attrgetter("hex")
    shared = True

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        self.url = self.address = url
        self._read_only = read_only
        named = ("POSTGRES_DBNAME", "POSTGRES_HOST", "POSTGRES_USER", "POSTGRES_PASSWORD")
        environment = Environment("kanal", dict.fromkeys(named, "") | {"CREATE_TABLE": "n"})
        datastore = Factory(environment).datastore
        # The library knows five parts of an address; the whole of it may ask for TLS, or for the primary of several hosts.
        datastore.pool.conninfo = url
        datastore.pool.kwargs = {"row_factory": dict_row}

        writer = create_engine(
            "postgresql+psycopg://", creator=self._connect_writer, pool_size=1, max_overflow=0
        )
        reader = create_engine(
            "postgresql+psycopg://",
            creator=self._connect,
            pool_size=READER_THREADS + 1,
            pool_pre_ping=True,
            isolation_level="REPEATABLE READ",
        )
        super().__init__(PostgresRecorder(datastore), writer, reader)
        self.files = TableFiles(self.reading, self.bulk)

    def _connect(self) -> psycopg.Connection[Any]:
        connection = psycopg.connect(self.url, connect_timeout=10, application_name="kanal")
        connection.read_only = self._read_only or None
        return connection

    def _connect_writer(self) -> psycopg.Connection[Any]:
        """An answered write is on disk, whatever the server's own setting; stronger ones stay."""
        connection = self._connect()
        connection.execute(
            "SELECT set_config('synchronous_commit', 'on', false) "
            "WHERE current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')"
        )
        connection.commit()
        return connection

    def lock(self, connection: Connection) -> None:
        driver: Any = connection.connection.driver_connection
        with driver.pipeline():  # with its BEGIN in one round trip
            _lock(driver)

    def begin(self, connection: Connection, known: int) -> BatchStart:
        """In one round trip: each batch waits for it while everybody else waits for the batch."""
        driver: Any = connection.connection.driver_connection
        with driver.cursor() as cursor, driver.pipeline():
            _lock(driver)
            cursor.execute(BEGINNING)
            head, at, live = cursor.fetchone()
        return BatchStart(head, at, [LiveTables(*each) for each in live])

    def append(self, connection: Connection, events: Sequence[StoredEvent]) -> Sequence[int]:
        driver: Any = connection.connection.driver_connection
        with driver.cursor() as cursor:
            positions: list[int] = self.recorder.insert_under_lock(cursor, events)
        return positions

    def is_storage_failure(self, error: Exception) -> bool:
        cause = driver_error(error)
        match cause:
            case psycopg.errors.ReadOnlySqlTransaction():
                return True  # this host was the primary once
            case psycopg.OperationalError() | psycopg.InterfaceError():
                return not (cause.sqlstate or "").startswith(PROGRAM_LIMIT_EXCEEDED)
        return False

    def leadership(self) -> Leadership:
        return PostgresLeadership(self._connect)

    @contextmanager
    def setting_up(self) -> Iterator[Connection]:
        """Several processes may start at once; the library's own set-up dies of that."""
        with self.bulk() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": SETTING_UP})
            self.recorder.create_table()
            _index_trigrams(connection)
            yield connection

    @contextmanager
    def bulk(self) -> Iterator[Connection]:
        """A transaction beside the writer's, for tables that no other process knows."""
        with self.reader.connect() as connection:
            connection = connection.execution_options(isolation_level="READ COMMITTED")
            with connection.begin():
                yield connection

    def size(self, connection: Connection) -> int:
        query = "SELECT pg_database_size(current_database())"
        return int(connection.exec_driver_sql(query).scalar_one())

    def filled(self, tables: Iterable[str]) -> None:
        """Autovacuum would come within minutes; until then lists were measured to take ten times as long."""
        with self._connect() as connection:
            connection.autocommit = True
            for table in tables:
                connection.execute(SQL("VACUUM (ANALYZE) {}").format(Identifier(table)))

    @contextmanager
    def rebuilding(self) -> Iterator[None]:
        """Held by a connection of its own, so that a process that dies lets go."""
        with super().rebuilding(), self._connect() as connection:
            connection.autocommit = True
            connection.execute("SELECT pg_advisory_lock(%s)", (REBUILDING,))
            yield


def _lock(driver: Any) -> None:
    driver.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'")
    driver.execute(f"LOCK TABLE {EVENTS_TABLE} IN EXCLUSIVE MODE")


def _index_trigrams(connection: Connection) -> None:
    """Searches for parts of texts are quick with pg_trgm, and right without it: a server may not have it or not allow it."""
    with suppress(DBAPIError), connection.begin_nested():
        connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS pg_trgm")


async def listen(
    url: str,
    name: str,
    hear: Callable[[str], None],
    *,
    connected: Callable[[], None] = lambda: None,
    deaf: str,
) -> None:
    """Calls `hear` with what other processes, and this one, notify under this name, until it is cancelled.

    Notices sent while the connection is away are lost: whoever needs them looks again when `connected` is called.
    `deaf`: the log's word for a lost connection.
    """
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(url, autocommit=True) as listener:
                await listener.execute(SQL("LISTEN {}").format(Identifier(name)))
                connected()
                async for notice in listener.notifies():
                    hear(notice.payload)
        except psycopg.Error as error:
            log.warning(deaf, error=repr(error))
        await asyncio.sleep(LISTEN_AGAIN_SECONDS)
