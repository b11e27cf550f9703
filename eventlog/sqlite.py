"""The log on SQLite: the library's recorder with positions that never come back and a table that only grows."""

import fcntl
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote
from uuid import UUID

from eventsourcing.persistence import StoredEvent
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteFactory
from eventsourcing.utils import Environment
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

from kanal.eventlog.database import READER_THREADS, Database, driver_error
from kanal.eventlog.files import DiskFiles
from kanal.eventlog.tables import EVENTS_TABLE

LOCK_FILE = "kanal.lock"
FILES_FOLDER = "files"
STATEMENT_CACHE = 512
"""More than there are statements; the driver's default of 128 is shared with each read model's own."""
PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",  # an answered write survives a power failure
    "busy_timeout = 30000",
    "cache_size = -16384",  # 16 MiB for each connection; the operating system caches the file anyway
    "mmap_size = 268435456",
    "temp_store = MEMORY",
    "recursive_triggers = on",  # or INSERT OR REPLACE would get past the log's own triggers
)

STORAGE_FAILURES = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_READONLY,
}
"""The driver's OperationalError would not do: it covers wrong statements too."""


class DataDirectoryInUse(Exception):
    """Another process owns this data directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__(
            f"{directory} is in use by another Kanal process. Stop it first, or use another KANAL_DATA_DIR."
        )


class SqliteRecorder(SQLiteApplicationRecorder):
    """Positions are an AUTOINCREMENT column: a bare rowid would be given out again after a deletion.

    The column is called `rowid`, so that the library's own statements read it.
    """

    def __init__(self, datastore: Any, events_table_name: str = EVENTS_TABLE) -> None:
        super().__init__(datastore, events_table_name)
        self.insert_events_statement = (
            f"INSERT INTO {events_table_name} "
            "(rowid, originator_id, originator_version, topic, state) VALUES (?,?,?,?,?)"
        )

    def construct_create_table_statements(self) -> list[str]:
        table = self.events_table_name
        return [
            f"""CREATE TABLE IF NOT EXISTS {table} (
                rowid INTEGER PRIMARY KEY AUTOINCREMENT,
                originator_id TEXT NOT NULL,
                originator_version INTEGER NOT NULL,
                topic TEXT NOT NULL,
                state BLOB NOT NULL,
                UNIQUE (originator_id, originator_version))""",
            *(
                f"CREATE TRIGGER IF NOT EXISTS {table}_never_{action} BEFORE {action} ON {table} "
                "BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END"
                for action in ("update", "delete")
            ),
        ]

    def _insert_events(
        self, c: Any, stored_events: Sequence[StoredEvent], **_: Any
    ) -> Sequence[int] | None:
        """On any cursor within a transaction; returns the positions. The writer calls it on its own connection."""
        c.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (self.events_table_name,))
        row = c.fetchone()
        first = (row[0] if row else 0) + 1
        positions = list(range(first, first + len(stored_events)))
        c.executemany(
            self.insert_events_statement,
            [
                (
                    position,
                    s.originator_id.hex if isinstance(s.originator_id, UUID) else s.originator_id,
                    s.originator_version,
                    s.topic,
                    s.state,
                )
                for position, s in zip(positions, stored_events, strict=True)
            ],
        )
        return positions


class Factory(SQLiteFactory):
    application_recorder_class = SqliteRecorder


def _engine(connect: Callable[[], sqlite3.Connection], connections: int) -> Engine:
    engine = create_engine(
        "sqlite://", creator=connect, poolclass=QueuePool, pool_size=connections, max_overflow=0
    )
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    """The driver would begin only at the first write; a read must begin too, to see one moment."""
    connection.exec_driver_sql("BEGIN")


def _owned(directory: Path) -> IO[str]:
    """By this process, until the file is closed. Raises DataDirectoryInUse."""
    directory.mkdir(parents=True, exist_ok=True)
    lock_file = (directory / LOCK_FILE).open("w")
    try:
        fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock_file.close()
        raise DataDirectoryInUse(directory) from None
    return lock_file


class SqliteDatabase(Database):
    """One process owns the file: a second writing connection was measured to ruin p99."""

    title = "SQLite"
    position_column = "rowid"
    stream_hex = str
    shared = False

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """`read_only`: beside the process that owns the file. Raises DataDirectoryInUse."""
        self.path = path
        self.address = str(path)
        self._read_only = read_only
        self._lock_file = None if read_only else _owned(path.parent)
        environment = Environment(
            "kanal", {"SQLITE_DBNAME": str(path), "CREATE_TABLE": "n", "SQLITE_LOCK_TIMEOUT": "30"}
        )
        writer = _engine(self._connect_writer, connections=1)
        reader = _engine(self._connect_reader, connections=READER_THREADS + 1)
        super().__init__(SqliteRecorder(Factory(environment).datastore), writer, reader)
        self.files = DiskFiles(path.parent / FILES_FOLDER)

    def close(self) -> None:
        super().close()
        if self._lock_file:
            self._lock_file.close()

    def lock(self, connection: Connection) -> None:
        """Nothing to do: this process is the only writer, and it writes on this connection only."""

    def append(self, connection: Connection, events: Sequence[StoredEvent]) -> Sequence[int]:
        cursor = connection.connection.cursor()
        try:
            positions: Sequence[int] = self.recorder._insert_events(cursor, events)
        finally:
            cursor.close()
        return positions

    def is_storage_failure(self, error: Exception) -> bool:
        # The low byte; the others say more of the same failure.
        code = getattr(driver_error(error), "sqlite_errorcode", 0) & 0xFF
        return code in STORAGE_FAILURES

    def filled(self, tables: Iterable[str]) -> None:
        """Nothing to do: it goes by the schema alone, so that a query's plan is the same however full its tables are."""

    def size(self, connection: Connection) -> int:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        return int(pages) * int(connection.exec_driver_sql("PRAGMA page_size").scalar_one())

    @contextmanager
    def setting_up(self) -> Iterator[Connection]:
        self.recorder.create_table()
        with self.writer.begin() as connection:
            yield connection

    def _connect_writer(self) -> sqlite3.Connection:
        return self._connect(self._uri)

    def _connect_reader(self) -> sqlite3.Connection:
        connection = self._connect(self._uri)
        connection.execute("PRAGMA query_only = on")
        return connection

    @property
    def _uri(self) -> str:
        return f"file:{quote(str(self.path))}" + ("?mode=ro" if self._read_only else "")

    def _connect(self, uri: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            uri,
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=STATEMENT_CACHE,
            timeout=30,
        )
        for pragma in PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        return connection
