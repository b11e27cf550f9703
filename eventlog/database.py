"""One door to SQLite and PostgreSQL: the writer's connection, the readers' pool, and reading the log."""

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from eventsourcing.persistence import StoredEvent
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Dialect,
    Engine,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    Uuid,
    bindparam,
    func,
    select,
)
from sqlalchemy.exc import DBAPIError

from kanal.domain.stream import Recorded
from kanal.eventlog.files import FileStore
from kanal.eventlog.mapper import EventMapper
from kanal.eventlog.tables import EVENTS_TABLE

R = TypeVar("R")

READER_THREADS = 4
"""Reads are short; more threads only queue on the interpreter's lock."""
LOG_SECTION = 2000
"""Events read from the log at once: few round trips, and memory stays flat."""
NO_END = 2**62
"""Beyond every position."""


def driver_error(error: Exception) -> BaseException:
    """The driver's own error, whether SQLAlchemy ran the statement or the recorder did."""
    return (error.orig or error) if isinstance(error, DBAPIError) else error


class StreamId(TypeDecorator[UUID]):
    """As the recorders store it: hexadecimal text on SQLite, a UUID on PostgreSQL. Read as the driver gives it: making
    UUIDs only to take their digits again would cost a rebuild a tenth of its time.
    """

    impl = Uuid
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        return Text() if dialect.name == "sqlite" else Uuid()

    def process_bind_param(self, value: UUID | None, dialect: Dialect) -> Any:
        return value.hex if value is not None and dialect.name == "sqlite" else value


class Leadership:
    """Whether this process does what only one of them may do; here it is the only one there is."""

    def held(self) -> bool:
        """Blocking. Tries to get it, if it is not held."""
        return True

    def release(self) -> None:
        """For good, so that another process has it at once. Blocking."""


class LiveTables(NamedTuple):
    """Which generation of a read model is asked, and how far it is."""

    name: str
    version: int
    generation: int
    position: int


class BatchStart(NamedTuple):
    """What a batch begins from, as the lock found it."""

    head: int
    """Position of the last event."""
    at: int | None = None
    """Microseconds by the database's clock, where that is the one that counts for several processes."""
    live: Sequence[LiveTables] | None = None
    """None: nobody but this process changes them, so there is nothing to be found."""


class Database(ABC):
    """Closed by `close`."""

    title: str
    """Whose database it is."""
    position_column: str
    """What the recorder's table calls the position."""
    stream_hex: Callable[[Any], str]
    """The 32 digits of a stream id as the driver gives it."""

    address: str
    """By which another process of this machine opens it."""

    files: FileStore
    """Attachments' bytes, kept with this log."""

    def __init__(self, recorder: Any, writer: Engine, reader: Engine) -> None:
        self.mapper = EventMapper()
        self.recorder = recorder
        self.writer = writer
        self.reader = reader
        self._rebuilding = threading.Lock()
        self._threads = ThreadPoolExecutor(READER_THREADS, thread_name_prefix="kanal-reader")
        self.events = Table(
            EVENTS_TABLE,
            MetaData(),
            Column(self.position_column, BigInteger, key="position", primary_key=True),
            Column("originator_id", StreamId, key="stream_id"),
            Column("originator_version", BigInteger, key="version"),
            Column("topic", Text, key="name"),
            Column("state", LargeBinary, key="body"),
        )
        position = self.events.c.position
        self._section = (  # made once: followers ask for it all the time
            select(self.events)
            .where(position > bindparam("after"), position <= bindparam("upto"))
            .order_by(position)
            .limit(bindparam("most"))
        )

    def close(self) -> None:
        self._threads.shutdown()
        self.reader.dispose()
        self.writer.dispose()
        self.recorder.datastore.close()

    # -- reading ---------------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection whose statements all see the same moment."""
        with self.reader.connect() as connection:
            yield connection

    async def read(self, query: Callable[..., R], *args: Any, **kwargs: Any) -> R:
        """Run `query(connection, ...)` on a reader's thread."""

        def work() -> R:
            with self.reading() as connection:
                return query(connection, *args, **kwargs)

        return await self.in_thread(work)

    async def in_thread(self, work: Callable[[], R]) -> R:
        """Run what reads, on a reader's thread: `close` waits for it, even if the caller was cancelled meanwhile."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def events_after(
        self, position: int, *, limit: int = LOG_SECTION, upto: int | None = None
    ) -> list[Recorded]:
        """Events behind that position, in the log's order."""
        with self.reading() as connection:
            return self.events_at(connection, position, limit=limit, upto=upto)

    def events_at(
        self,
        connection: Connection,
        position: int,
        *,
        limit: int = LOG_SECTION,
        upto: int | None = None,
    ) -> list[Recorded]:
        """As `events_after`, of what this connection's moment has."""
        bounds = {"after": position, "upto": NO_END if upto is None else upto, "most": limit}
        return self.decoded(connection, self._section, bounds)

    def streams(
        self,
        connection: Connection,
        stream_ids: Iterable[UUID],
        *,
        after: int = 0,
        upto: int | None = None,
    ) -> list[Recorded]:
        """Events of these streams in the log's order: behind that version, up to that position."""
        events = self.events
        query = (
            select(events)
            .where(events.c.stream_id.in_(list(stream_ids)))
            .where(events.c.version > after)
            .order_by(events.c.position)
        )
        if upto is not None:
            query = query.where(events.c.position <= upto)
        return self.decoded(connection, query)

    def decoded(
        self, connection: Connection, query: Any, parameters: Mapping[str, Any] | None = None
    ) -> list[Recorded]:
        """The rows of a query over `self.events`."""
        decode, stream_hex = self.mapper.decode, self.stream_hex
        return [
            Recorded(position, stream_hex(stream_id), version, *decode(name, body))
            for position, stream_id, version, name, body in connection.execute(query, parameters)
        ]

    def head(self, connection: Connection) -> int:
        """Position of the last event, 0 while the log is empty."""
        return connection.scalar(select(func.max(self.events.c.position))) or 0

    def position_at(self, connection: Connection, at: int) -> int:
        """Position of the last event that is not later than `at` (microseconds), 0 for before them all.

        Time never goes back in the log, so this is a binary search: about log2(events) look-ups, no index.
        """
        events = self.events
        low, high = 0, self.head(connection)
        while low < high:
            middle = (low + high + 1) // 2
            query = select(events).where(events.c.position >= middle)
            found = self.decoded(connection, query.order_by(events.c.position).limit(1))
            if found and found[0].position <= high and found[0].envelope.at <= at:
                low = found[0].position
            else:
                high = middle - 1
        return low

    @abstractmethod
    def size(self, connection: Connection) -> int:
        """Octets that all of it takes."""

    def server(self, connection: Connection) -> str:
        """`SQLite 3.46.1`, `PostgreSQL 18.1`."""
        version = connection.dialect.server_version_info or ()
        return f"{self.title} {'.'.join(map(str, version))}"

    # -- the writer's side -----------------------------------------------------------------------

    @property
    @abstractmethod
    def shared(self) -> bool:
        """Whether other processes write to this log too."""

    @abstractmethod
    def lock(self, connection: Connection) -> None:
        """From here to the commit nobody else appends."""

    def begin(self, connection: Connection, known: int) -> BatchStart:
        """First of a batch: takes the lock. `known`: position of the last event that this process has seen."""
        self.lock(connection)
        return BatchStart(known)

    @abstractmethod
    def append(self, connection: Connection, events: Sequence[StoredEvent]) -> Sequence[int]:
        """Insert under the lock; returns the positions."""

    @abstractmethod
    def is_storage_failure(self, error: Exception) -> bool:
        """Whether the database is to blame (gone, full, locked), rather than the statement that it was given."""

    @abstractmethod
    def filled(self, tables: Iterable[str]) -> None:
        """These tables were filled at once, before anybody asks them: what the database should know of them it may learn now."""

    @contextmanager
    def rebuilding(self) -> Iterator[None]:
        """One rebuild at a time: the next one waits, in whichever process it is."""
        with self._rebuilding:
            yield

    def leadership(self) -> Leadership:
        """Of the processes on this log; see `automation/agenda.py`."""
        return Leadership()

    @abstractmethod
    @contextmanager
    def setting_up(self) -> Iterator[Connection]:
        """A connection for migrations, one process at a time."""
