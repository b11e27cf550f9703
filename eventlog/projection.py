"""What the log knows of read models: a fold from events to row changes, and the row changes of one transaction."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, Dialect, Table, bindparam, delete, update
from sqlalchemy.dialects import sqlite

from kanal.domain.event import Event
from kanal.domain.stream import Recorded
from kanal.eventlog.amounts import KEPT, Amount, Amounts
from kanal.eventlog.database import BatchStart

Row = dict[str, Any]
Key = tuple[Any, ...]


class InlineProjection(Protocol):
    """Applied inside the writer's transaction: its rows and the events are committed together or not at all."""

    def apply(
        self,
        connection: Connection,
        events: Sequence[Recorded],
        beginning: BatchStart,
        changes: "Changes",
    ) -> None:
        """`beginning`: of the batch, before these events. `changes`: for rows that nobody reads again before the commit; all
        of a batch's are written together.
        """
        ...

    def committed(self, events: Sequence[Recorded]) -> None:
        """The transaction is durable. Called on the writer's thread: wake somebody, no more."""
        ...


Tables = Mapping[str, Table]
Run = Callable[[str, Any], Any]
"""Runs a statement of the driver's, with its parameters."""
Fold = Callable[["Changes", Tables, Recorded], None]


class Projection(Protocol):
    """A read model: a pure fold over tables of its own, the same for live, rebuilding and `as_of`."""

    name: str
    version: int
    """Grows with each change of the tables or of the fold; a new version is built beside the old one."""
    handles: Mapping[type[Event], Fold]

    def tables(self, generation: int) -> Tables:
        """The tables of that generation, by their plain names."""
        ...


IN_ORDER = "in order"
"""Key in a table's `info`: its new rows are inserted in the order of their keys."""

ONCE = "once"
"""Key in a table's `info`: a new row whose key is there already is not inserted, and changes nothing."""

ADVANCE = "advance"
"""Key in a table's `info`: the `Advance` that goes on from its rows."""


class Advance(Protocol):
    """Goes on with some events from rows that say what was before, for what cannot be told from the events alone."""

    def __call__(
        self, changes: "Changes", connection: Connection, events: Sequence[Recorded]
    ) -> None:
        """Reads rows on the connection; what shall be written goes into the changes."""
        ...


class Changes:
    """Row changes, gathered over many events, flushed as one `executemany` for each table and shape.

    Keys are primary keys. A later change of a key is merged into the earlier one; a fold never reads rows, it takes
    what it needs from the events, so the order of the flush (deletes, inserts, updates) cannot matter.
    """

    def __init__(self) -> None:
        self._tables: dict[Table, _TableChanges] = {}
        self._advances: defaultdict[Table, list[Recorded]] = defaultdict(list)
        self._clearances: list[tuple[Table, ColumnElement[bool]]] = []

    def advance(self, table: Table, recorded: Recorded) -> None:
        """The table's `Advance` gets it, in the flush at the latest, with all others of the transaction in their order."""
        self._advances[table].append(recorded)

    def read_ahead(self, connection: Connection) -> None:
        """Let the advances read now, on any connection, so that the flush only writes.

        The caller sees to it that nobody else changes their tables until then.
        """
        for table, events in self._advances.items():
            advance: Advance = table.info[ADVANCE]
            advance(self, connection, events)
        self._advances.clear()

    def insert(self, table: Table, row: Row) -> None:
        """`row` has a value for every column that the database does not compute."""
        self._of(table).insert(row)

    def update(self, table: Table, key: Key, values: Row) -> None:
        self._of(table).update(key, values)

    def delete(self, table: Table, key: Key) -> None:
        self._of(table).delete(key)

    def clear(self, table: Table, rows: ColumnElement[bool]) -> None:
        """Delete rows whose keys no event says, behind all else of these changes and in the order of these calls.

        No later event may make such rows, or what is there would depend on what was flushed together.
        """
        self._clearances.append((table, rows))

    def flush(self, connection: Connection, *, bulk: bool = False) -> None:
        """Can be done again, if the transaction was rolled back.

        `bulk`: the tables are being filled by this caller alone; PostgreSQL takes the new rows by COPY.
        """
        bulk = bulk and connection.dialect.name == "postgresql"
        of_tables = self._tables.values()
        differences = [changes.differences(connection) for changes in of_tables]
        with _running(connection, one_by_one=bulk) as run:
            for changes, of_amounts in zip(of_tables, differences, strict=True):
                changes.write(connection, run, of_amounts, bulk=bulk)
        for table, events in self._advances.items():
            # Not kept: another try may find other rows.
            advance: Advance = table.info[ADVANCE]
            advanced = Changes()
            advance(advanced, connection, events)
            advanced.flush(connection, bulk=bulk)
        for table, rows in self._clearances:
            connection.execute(delete(table).where(rows))

    def _of(self, table: Table) -> "_TableChanges":
        changes = self._tables.get(table)
        if changes is None:
            changes = self._tables[table] = _TableChanges(table)
        return changes


class _TableChanges:
    def __init__(self, table: Table) -> None:
        self._table = table
        self._key_names, self._names = _names_of(table)
        self._inserts: dict[Key, Row] = {}
        self._updates: dict[Key, Row] = {}
        self._deletes: dict[Key, None] = {}

    def insert(self, row: Row) -> None:
        self._inserts[tuple([row[name] for name in self._key_names])] = row

    def update(self, key: Key, values: Row) -> None:
        row = self._inserts.get(key) or self._updates.get(key)
        if row is None:
            self._updates[key] = dict(values)
        else:
            row.update(values)

    def delete(self, key: Key) -> None:
        if self._inserts.pop(key, None) is None:
            self._updates.pop(key, None)
            self._deletes[key] = None

    def differences(self, connection: Connection) -> Amount | None:
        """Of amounts that are kept of the table; what is written must not have been yet."""
        amounts: Amounts | None = self._table.info.get(KEPT)
        if amounts is None:
            return None
        new = self._inserts.values()
        return amounts.differences(connection, new, self._updates, self._deletes)

    def write(
        self, connection: Connection, run: Run, differences: Amount | None, *, bulk: bool
    ) -> None:
        dialect = connection.dialect
        if self._deletes:
            rows = [dict(zip(self._key_names, key, strict=True)) for key in self._deletes]
            run(*self._statement(dialect, "delete", (), rows))
        if self._table.info.get(IN_ORDER):
            self._inserts = dict(sorted(self._inserts.items()))
        if self._inserts and bulk:
            self._copy(connection, self._inserts.values())
        elif self._inserts:
            run(*self._statement(dialect, "insert", (), list(self._inserts.values())))
        shapes: defaultdict[tuple[str, ...], list[Row]] = defaultdict(list)
        for key, values in self._updates.items():
            keyed = values | dict(zip(self._key_names, key, strict=True))
            shapes[tuple(values)].append(keyed)
        for names, rows in shapes.items():
            run(*self._statement(dialect, "update", names, rows))
        if differences:
            amounts: Amounts = self._table.info[KEPT]
            for statement in amounts.adding(dialect, differences):
                run(*statement)

    def _copy(self, connection: Connection, rows: Iterable[Row]) -> None:
        names = self._names
        quoted = ", ".join(f'"{name}"' for name in names)
        pick = _picking(names)
        psycopg: Any = connection.connection.driver_connection
        with (
            psycopg.cursor() as cursor,
            cursor.copy(f'COPY "{self._table.name}" ({quoted}) FROM STDIN') as copy,
        ):
            for row in rows:
                copy.write_row(pick(row))

    def _statement(
        self, dialect: Dialect, kind: str, names: tuple[str, ...], rows: list[Row]
    ) -> tuple[str, Any]:
        """Compiled once for each table and shape: SQLAlchemy's work for each row would be most of the cost."""
        compiled: dict[Any, Any] = self._table.info.setdefault("compiled", {})
        key = (dialect.name, kind, names)
        if key not in compiled:
            compile_ = self._of_arrays if dialect.name == "postgresql" else self._of_rows
            compiled[key] = compile_(dialect, kind, names)
        sql, arranged = compiled[key]
        return sql, arranged(rows)

    def _of_rows(self, dialect: Dialect, kind: str, names: tuple[str, ...]) -> "_Compiled":
        """One row after the other, in one call of the driver."""
        table = self._table
        where = [table.c[name] == bindparam(f"{name}_") for name in self._key_names]
        statement: Any = sqlite.insert(table).values(
            {name: bindparam(name) for name in self._names}
        )
        if table.info.get(ONCE):
            statement = statement.on_conflict_do_nothing(index_elements=self._key_names)
        if kind == "delete":
            statement = delete(table).where(*where)
        elif kind == "update":
            values: Row = {name: bindparam(name) for name in names}
            statement = update(table).where(*where).values(values)
        statement = statement.compile(dialect=dialect)
        pick = _picking([name.removesuffix("_") for name in statement.positiontup])
        return str(statement), lambda rows: [pick(row) for row in rows]

    def _of_arrays(self, dialect: Dialect, kind: str, names: tuple[str, ...]) -> "_Compiled":
        """All rows in one statement, an array for each column: a third less of PostgreSQL's and our own time."""
        table = f'"{self._table.name}"'
        columns = {
            "insert": self._names,
            "update": [*self._key_names, *names],
            "delete": self._key_names,
        }[kind]
        types = [self._table.c[name].type.compile(dialect) for name in columns]
        source = f"unnest({', '.join(f'%s::{each}[]' for each in types)})"
        quoted = ", ".join(f'"{name}"' for name in columns)
        where = " AND ".join(f't."{name}" = v."{name}"' for name in self._key_names)
        changed = ", ".join(f'"{name}" = v."{name}"' for name in names)
        keys = ", ".join(f'"{name}"' for name in self._key_names)
        once = f"ON CONFLICT ({keys}) DO NOTHING" if self._table.info.get(ONCE) else ""
        sql = {
            "insert": f"INSERT INTO {table} ({quoted}) SELECT * FROM {source} {once}",
            "update": f"UPDATE {table} t SET {changed} FROM {source} AS v ({quoted}) WHERE {where}",
            "delete": f"DELETE FROM {table} t USING {source} AS v ({quoted}) WHERE {where}",
        }[kind]
        pick = _picking(columns)
        return sql, lambda rows: tuple(map(list, zip(*map(pick, rows), strict=True)))


@contextmanager
def _running(connection: Connection, *, one_by_one: bool) -> Iterator[Run]:
    """For statements whose results nobody needs. PostgreSQL gets them all in one round trip, and says at the end if one failed."""
    if connection.dialect.name != "postgresql" or one_by_one:
        yield connection.exec_driver_sql
        return
    if not connection.in_transaction():
        connection.begin()  # as SQLAlchemy does for statements that it sees
    psycopg: Any = connection.connection.driver_connection
    with psycopg.cursor() as cursor, psycopg.pipeline():
        yield cursor.execute


def _names_of(table: Table) -> tuple[list[str], list[str]]:
    """Of the key's columns, and of all that are stored. Looked up once for each table."""
    found: tuple[list[str], list[str]] | None = table.info.get("names")
    if found is None:
        found = table.info["names"] = (
            [column.name for column in table.primary_key.columns],
            [column.name for column in table.columns if column.computed is None],
        )
    return found


_Compiled = tuple[str, Callable[[list[Row]], Any]]
"""A statement for the driver, and how it takes its rows."""


def _picking(names: Sequence[str]) -> Callable[[Row], tuple[Any, ...]]:
    pick = itemgetter(*names)
    return pick if len(names) > 1 else lambda row: (pick(row),)
