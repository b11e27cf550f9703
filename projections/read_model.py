"""What a read model is made of: versioned tables, a fold, and pages of rows for its queries."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    CompoundSelect,
    Connection,
    FromClause,
    Integer,
    MetaData,
    Select,
    Table,
    Text,
    func,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import NullType

from kanal.domain.access import EVERYTHING, Scope
from kanal.domain.event import Event
from kanal.eventlog.projection import Fold, Tables

R = TypeVar("R")

NUMBER = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits on both. Only `INTEGER` makes a primary key of SQLite the row's own place, without an index beside it."""

Names = Callable[[str], str]
"""Plain name of a table -> its name in this generation."""
Define = Callable[[MetaData, Names], Iterable[Table]]


@dataclass(eq=False)
class ReadModel:
    """Satisfies the log's `Projection`."""

    name: str
    version: int
    handles: Mapping[type[Event], Fold]
    define: Define

    def tables(self, generation: int) -> Tables:
        return _tables(self.define, generation)


@cache
def _tables(define: Define, generation: int) -> Tables:
    suffix = f"_v{generation}"
    tables = define(MetaData(), lambda name: name + suffix)
    return {table.name.removesuffix(suffix): table for table in tables}


class Views(dict[str, Tables]):
    """Read model -> the tables that answer now; `views.cases["cases"]` is the table of cases."""

    scope: Scope = EVERYTHING
    """Of whoever asks: queries find what that scope sees, and nothing else is there for them."""
    moment: tuple[int, ...] = ()
    """Of the tables: how far in the log each read model is, and which are asked. Empty where nobody knows."""

    def within(self, scope: Scope) -> "Views":
        views = Views(self)
        views.scope, views.moment = scope, self.moment
        return views

    def __getattr__(self, name: str) -> Tables:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no read model {name!r} here") from None


def number(name: str, *, key: bool = False) -> Column[int]:
    """An id, a count, or a time in microseconds (0: never)."""
    return Column(name, NUMBER, primary_key=key, autoincrement=False, nullable=False)


def text(name: str, *, key: bool = False) -> Column[str]:
    return Column(name, Text, primary_key=key, nullable=False)


def flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False)


class Page(NamedTuple):
    """One page of a list, counted from 1."""

    number: int = 1
    limit: int = 100

    @property
    def offset(self) -> int:
        return (self.number - 1) * self.limit


class Found(NamedTuple, Generic[R]):
    rows: list[R]
    total: int
    """How many there are on all pages."""


def columns_of(table: FromClause, row_type: Any) -> Select[Any]:
    """The columns that a NamedTuple names, in its order."""
    return select(*[table.c[name] for name in row_type._fields])


def one(connection: Connection, query: Select[Any], make: Callable[[Any], R]) -> R | None:
    """Of a query that names a key; None if there is no such row."""
    row = connection.execute(query).first()
    return make(row) if row else None


def found(
    connection: Connection, query: Select[Any], page: Page, make: Callable[[Iterable[Any]], R]
) -> Found[R]:
    """One page and the total under the same filters, counted only where the page does not tell it."""
    offset = page.offset
    rows = [make(row) for row in connection.execute(query.limit(page.limit).offset(offset))]
    if len(rows) < page.limit and (rows or not offset):
        return Found(rows, offset + len(rows))
    return Found(rows, counted(connection, query))


def counted(connection: Connection, query: Select[Any]) -> int:
    count = query.with_only_columns(func.count(), maintain_column_froms=True).order_by(None)
    return connection.scalar(count) or 0


class unindexed(FunctionElement[Any]):
    """A column in a condition for which SQLite, which has no statistics, shall not choose an index."""

    inherit_cache = True

    def __init__(self, column: ColumnElement[Any]) -> None:
        super().__init__(column)
        self.type = column.type


@compiles(unindexed)
def _as_it_is(column: unindexed, compiler: Any, **more: Any) -> str:
    return str(compiler.process(next(iter(column.clauses)), **more))


@compiles(unindexed, "sqlite")
def _as_a_term(column: unindexed, compiler: Any, **more: Any) -> str:
    return f"+{compiler.process(next(iter(column.clauses)), **more)}"


class among(FunctionElement[Any]):
    """Whether a column is one of the not very many values of a query.

    PostgreSQL takes them as an array, and looks each up in an index: how many a search for a part of a text finds it can
    only guess, and rather reads a whole table than looks up what it takes for some thousand rows.
    """

    inherit_cache = True
    # A Boolean would be compared with 1.
    type = NullType()

    def __init__(
        self, column: ColumnElement[Any], values: Select[Any] | CompoundSelect[Any]
    ) -> None:
        super().__init__(column, values.scalar_subquery())


@compiles(among)
def _in_query(among_: among, compiler: Any, **more: Any) -> str:
    column, values = [compiler.process(each, **more) for each in among_.clauses]
    return f"{column} IN {values}"


@compiles(among, "postgresql")
def _in_array(among_: among, compiler: Any, **more: Any) -> str:
    column, values = [compiler.process(each, **more) for each in among_.clauses]
    return f"{column} = ANY (ARRAY{values})"
