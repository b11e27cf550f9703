"""Amounts of rows by some of their columns, kept in the transaction that changes the rows: totals are read, not counted."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Dialect, Table

KEPT = "amounts"
"""Key in a table's `info`: the Amounts that are kept of its rows."""

Amount = Counter[tuple[Any, ...]]
"""Values of the columns that are counted by -> rows."""
Compute = Callable[[Mapping[str, Any]], Any]
NOTHING: Mapping[str, Compute] = {}


class Amounts:
    """Of a table with one column for its key. No row of the amounts says 0.

    `computed`: how a column that the database computes, and that is counted by, follows from those of `computed_from`.
    """

    def __init__(
        self,
        of: Table,
        name: str,
        by: Sequence[str],
        computed: Mapping[str, Compute] = NOTHING,
        computed_from: Sequence[str] = (),
    ) -> None:
        columns = [Column(c, of.c[c].type, primary_key=True, autoincrement=False) for c in by]
        amount = Column("amount", BigInteger, nullable=False)
        self.table = Table(name, of.metadata, *columns, amount, sqlite_with_rowid=False)
        self._names = [*(name for name in by if name not in computed), *computed_from]
        self._moved_by = set(self._names)
        self._of = of
        self._computed = computed
        self._order = by
        self._by = [f'"{each}"' for each in by]
        of.info[KEPT] = self

    def differences(
        self,
        connection: Connection,
        inserts: Iterable[dict[str, Any]],
        updates: Mapping[tuple[Any, ...], dict[str, Any]],
        deletes: Iterable[tuple[Any, ...]],
    ) -> Amount:
        """Made by these changes, which are not stored yet. An update of a row that there is not changes nothing."""
        found: Amount = Counter(map(self._counted_as, inserts))
        moved = {
            key: changes for (key,), changes in updates.items() if self._moved_by & changes.keys()
        }
        gone = [key for (key,) in deletes]
        if moved or gone:
            for key, row in self._rows(connection, [*moved, *gone]):
                found[self._counted_as(row)] -= 1
                if key in moved:
                    found[self._counted_as(row | moved[key])] += 1
        return found

    def _counted_as(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        computed = self._computed
        return tuple(
            [computed[name](row) if name in computed else row[name] for name in self._order]
        )

    def _rows(
        self, connection: Connection, keys: Iterable[Any]
    ) -> Iterator[tuple[Any, dict[str, Any]]]:
        (key,) = self._of.primary_key.columns
        quoted = ", ".join(f'"{name}"' for name in [key.name, *self._names])
        select = f'SELECT {quoted} FROM "{self._of.name}" WHERE "{key.name}"'
        given: Any = list(keys)
        if connection.dialect.name == "postgresql":
            sql = f"{select} = ANY(%s)"
        else:
            sql, given = f"{select} IN (SELECT value FROM json_each(?))", json.dumps(given)
        for key, *values in connection.exec_driver_sql(sql, (given,)):
            yield key, dict(zip(self._names, values, strict=True))

    def adding(self, dialect: Dialect, differences: Amount) -> Iterator[tuple[str, Any]]:
        """Statements of the driver's, with their parameters."""
        rows = [(*values, more) for values, more in differences.items() if more]
        if not rows:
            return
        if dialect.name == "postgresql":
            yield self._adding_arrays(dialect), tuple(map(list, zip(*rows, strict=True)))
            return
        yield self._adding, rows
        fewer = [row[:-1] for row in rows if row[-1] < 0]
        if fewer:
            yield self._dropping, fewer

    @cached_property
    def _adding(self) -> str:
        places = ", ".join("?" * (len(self._by) + 1))
        return f'INSERT INTO "{self.table.name}" VALUES ({places}) {self._or_more}'

    @cached_property
    def _dropping(self) -> str:
        these = " AND ".join(f"{name} = ?" for name in self._by)
        return f'DELETE FROM "{self.table.name}" WHERE {these} AND amount = 0'

    def _adding_arrays(self, dialect: Dialect) -> str:
        """What comes to nothing is deleted, the rest inserted or added, in one statement."""
        table, names = f'"{self.table.name}"', ", ".join([*self._by, "amount"])
        types = [column.type.compile(dialect) for column in self.table.columns]
        source = f"unnest({', '.join(f'%s::{each}[]' for each in types)})"
        nothing = " AND ".join(
            [*(f"t.{name} = g.{name}" for name in self._by), "t.amount + g.amount = 0"]
        )
        return (
            f"WITH given ({names}) AS (SELECT * FROM {source}), "
            f"gone AS (DELETE FROM {table} t USING given g WHERE {nothing}) "
            f"INSERT INTO {table} ({names}) SELECT * FROM given g "
            f"WHERE NOT EXISTS (SELECT FROM {table} t WHERE {nothing}) {self._or_more}"
        )

    @property
    def _or_more(self) -> str:
        keys, table = ", ".join(self._by), self.table.name
        return f'ON CONFLICT ({keys}) DO UPDATE SET amount = "{table}".amount + excluded.amount'
