"""A log in memory that commands run on, and read models folded from it, for the tests of what is derived."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from sqlalchemy import (
    Connection,
    Engine,
    NullPool,
    Select,
    Table,
    create_engine,
    func,
    select,
    text,
)

from kanal.domain.errors import DomainError
from kanal.domain.event import Envelope, Event
from kanal.domain.links import Contact
from kanal.domain.stream import Aggregate, Recorded
from kanal.eventlog.amounts import KEPT
from kanal.eventlog.projection import Changes, Projection
from kanal.projections.read_model import Views
from kanal.projections.registry import CORE, FOLLOWED

SECOND = 1_000_000
START = 1_700_000_000 * SECOND
MODELS: tuple[Projection, ...] = (*CORE, *FOLLOWED)


def email(given: str) -> Contact:
    return Contact("email", given, given.strip().lower(), "test.1")


def phone(given: str) -> Contact:
    return Contact("phone", given, "+" + "".join(filter(str.isdigit, given)), "test.1")


class Log:
    """The domain's Work without a database: each command's events, one second apart from the next command's."""

    def __init__(self) -> None:
        self.now = START
        self.events: list[Recorded] = []
        self._states: dict[tuple[str, str], Any] = {}
        self._versions: defaultdict[str, int] = defaultdict(int)
        self._counters: defaultdict[str, int] = defaultdict(int)

    def do(self, command: Callable[..., Any], **arguments: Any) -> Any:
        self.now += SECOND
        before = len(self.events), self._states.copy(), self._versions.copy()
        try:
            return command(self, **arguments)
        except DomainError:
            length, self._states, self._versions = before
            del self.events[length:]
            raise

    def load(self, aggregate: Aggregate[Any], key: object) -> Any:
        return self._states.get((aggregate.kind, str(key)), aggregate.initial)

    def record(self, aggregate: Aggregate[Any], key: object, *events: Event) -> None:
        stream_id = uuid5(NAMESPACE_OID, f"{aggregate.kind}/{key}").hex
        for event in events:
            state = aggregate.evolve(self.load(aggregate, key), event)
            self._states[aggregate.kind, str(key)] = state
            self._versions[stream_id] += 1
            envelope = Envelope(self.now, "system", "api", "request", None, event.about())
            self.events.append(
                Recorded(
                    len(self.events) + 1, stream_id, self._versions[stream_id], event, envelope
                )
            )

    def take(self, counter: str) -> int:
        self._counters[counter] += 1
        return self._counters[counter]


class ReadModels:
    """All read models in one database."""

    def __init__(self, connection: Connection, generation: int = 1) -> None:
        self.connection = connection
        self.views = Views({model.name: model.tables(generation) for model in MODELS})
        if generation == 1 and connection.info.get("tables") == "unused":
            connection.info["tables"] = "used"
            return
        connection.info["tables"] = "more"
        for tables in self.views.values():
            for table in tables.values():
                table.create(connection)

    def fold(self, events: Iterable[Recorded]) -> None:
        """As one batch."""
        changes = Changes()
        for recorded in events:
            for model in MODELS:
                fold = model.handles.get(type(recorded.event))
                if fold:
                    fold(changes, self.views[model.name], recorded)
        changes.flush(self.connection)

    def ask(self, query: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        return query(self.connection, self.views, *arguments, **named)

    def amounts(self) -> dict[str, tuple[list[Any], list[Any]]]:
        """By table, what is kept of how many rows there are, and what counting them finds."""
        found = {}
        for kept, counted in self._counts():
            rows = [
                sorted(map(tuple, self.connection.execute(q))) for q in (kept.select(), counted)
            ]
            found[kept.name] = rows[0], rows[1]
        return found

    def count_again(self) -> None:
        """After rows were written past the folds."""
        for kept, counted in self._counts():
            self.connection.execute(kept.delete())
            self.connection.execute(kept.insert().from_select(list(kept.c), counted))

    def _counts(self) -> Iterator[tuple[Table, Select[Any]]]:
        for tables in self.views.values():
            for table in tables.values():
                if KEPT in table.info:
                    kept = table.info[KEPT].table
                    by = [table.c[column.name] for column in kept.primary_key.columns]
                    yield kept, select(*by, func.count()).group_by(*by)

    def rows(self) -> dict[str, list[Any]]:
        """Everything that is stored, by table."""
        return {
            f"{model}.{name}": sorted(tuple(row) for row in self.connection.execute(table.select()))
            for model, tables in self.views.items()
            for name, table in tables.items()
        }


def folded_at_once(connection: Connection, events: Sequence[Recorded]) -> ReadModels:
    models = ReadModels(connection)
    models.fold(events)
    return models


def with_tables(url: str) -> Connection:
    """All tables are there, for the first ReadModels on it."""
    connection = engine_of(url).connect()
    if url:
        connection.execute(text("SET search_path TO pg_temp"))
    ReadModels(connection)
    connection.commit()
    connection.info["tables"] = "unused"
    return connection


def are_empty_again(connection: Connection) -> bool:
    """After all was rolled back. SQLite does not roll back that tables were made: who makes more of them says so."""
    if connection.info["tables"] == "more":
        return False
    connection.info["tables"] = "unused"
    return True


def engine_of(url: str) -> Engine:
    """An empty URL is SQLite in memory."""
    if not url:
        return create_engine("sqlite://", poolclass=NullPool)
    return create_engine(url.replace("postgresql://", "postgresql+psycopg://"), poolclass=NullPool)


def some_cases(amount: int) -> list[dict[str, Any]]:
    """Rows of as many cases, all but the first open."""
    texts = {"priority": "normal", "channel": "cch1", "chat": "", "opened_by": "user"}
    flags = {"deleted": False, "spam": False}
    numbers = dict.fromkeys(
        ("staff_id", "group_id", "parent_case_id", "closed_at", "channel_id", "language_id"), 0
    )
    times = dict.fromkeys(("created_at", "updated_at", "last_response_at"), START)
    status = {1: "closed"}
    return [
        {"case_id": at, "user_id": at, "status": status.get(at, "open")}
        | texts
        | flags
        | numbers
        | times
        for at in range(1, amount + 1)
    ]
