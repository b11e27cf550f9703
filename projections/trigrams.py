"""Search for parts of texts: a table that both databases index by trigrams, FTS5's on SQLite, pg_trgm's on PostgreSQL.

It is written like any other table. Where a PostgreSQL server has no pg_trgm, the same searches read the whole table.
"""

from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    column,
    exists,
    func,
    literal,
    select,
    text,
)
from sqlalchemy import table as table_clause
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateTable
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import NullType

from kanal.eventlog.projection import IN_ORDER
from kanal.projections.read_model import number
from kanal.projections.read_model import text as text_column
from kanal.projections.search import anchors, searched

SHORTEST = 3
"""Characters that an index by trigrams can find."""
SAMPLE, COMMON = 1000, 100
"""If so many of the newest texts have a part, reading all texts is quicker than the index: it costs two to five times as much
for each text that it finds, but nothing for the others.
"""
TOKENIZER = "tokenizer"
"""Key in a table's `info`: it is FTS5's on SQLite, with a tokenizer that cuts its texts so."""
HAS_EXTENSION = text("SELECT count(*) FROM pg_extension WHERE extname = 'pg_trgm'")


def searchable(name: str, metadata: MetaData) -> Table:
    """`rowid` and `content`. Filled in the order of rowids: FTS5 writes a segment whenever one is lower than the last."""
    return Table(
        name,
        metadata,
        number("rowid", key=True),
        text_column("content"),
        Index(
            f"{name}_trigrams",
            "content",
            postgresql_using="gin",
            postgresql_ops={"content": "gin_trgm_ops"},
        ).ddl_if(callable_=_can_be_indexed),
        # Both sides are folded before they come here.
        info={TOKENIZER: "trigram case_sensitive 1", IN_ORDER: True},
    )


def _can_be_indexed(ddl: Any, target: Any, bind: Any, *_: Any, **more: Any) -> bool:
    return bind.dialect.name == "postgresql" and bool(bind.scalar(HAS_EXTENSION))


@compiles(CreateTable, "sqlite")
def _create(create: CreateTable, compiler: Any, **more: Any) -> str:
    table = create.element
    tokenizer = table.info.get(TOKENIZER)
    if not tokenizer:
        return str(compiler.visit_create_table(create, **more))
    name = compiler.preparer.format_table(table)
    texts = ", ".join(column.name for column in table.columns if not column.primary_key)
    return f"CREATE VIRTUAL TABLE {name} USING fts5({texts}, tokenize = '{tokenizer}')"


class Texts(NamedTuple):
    """Where a part is looked for: `select(rowid).where(found)` are the rows that have it."""

    rowid: ColumnElement[int]
    found: ColumnElement[bool]
    content: ColumnElement[str]
    common: bool
    """Very many have it, going by the newest."""

    def of(self, rowid: ColumnElement[int], wanted: str) -> ColumnElement[bool]:
        """Whether the text of this row has it: for rows that are looked at anyway."""
        return exists().where(self.rowid == rowid, having(self.content, wanted))


def containing(connection: Connection, table: Table, wanted: str) -> Texts:
    """`searched` in the contents of a searchable table (search marks: search.py)."""
    rowid, content = _texts(connection, table)
    newest = select(content.label("content")).order_by(rowid.desc()).limit(SAMPLE).subquery()
    among = select(func.count()).where(having(newest.c.content, wanted))
    common = (connection.scalar(among) or 0) >= COMMON
    begin, words, end = anchors(wanted)
    if common or len(words) < SHORTEST:
        return Texts(rowid, having(content, wanted), content, common)
    phrase = literal('"' + words.replace('"', '""') + '"')
    exactly = searched(table.c.content, wanted)
    found: ColumnElement[bool] = _Phrase(table.c.content, phrase, exactly)
    if begin or end:
        found = found & exactly
    return Texts(table.c.rowid, found, table.c.content, common)


def _texts(connection: Connection, table: Table) -> tuple[ColumnElement[int], ColumnElement[str]]:
    """Rowids and contents; on SQLite of the table in which FTS5 keeps them, which is read in half the time."""
    if connection.dialect.name != "sqlite":
        return table.c.rowid, table.c.content
    kept = table_clause(f"{table.name}_content", column("id", Integer), column("c0", Text))
    return kept.c.id, kept.c.c0


def having(content: ColumnElement[str], wanted: str) -> ColumnElement[bool]:
    """The condition, for what no index is to answer."""
    if any(anchors(wanted)[::2]):
        return searched(content, wanted)
    return _Place(content, literal(wanted)) > 0


class _Place(FunctionElement[int]):
    """Where the second text stands in the first, 0 if it does not: half the cost of LIKE, which no index answers here."""

    inherit_cache = True
    type = Integer()


@compiles(_Place)
def _strpos(place: _Place, compiler: Any, **more: Any) -> str:
    return f"strpos({compiler.process(place.clauses, **more)})"


@compiles(_Place, "sqlite")
def _instr(place: _Place, compiler: Any, **more: Any) -> str:
    return f"instr({compiler.process(place.clauses, **more)})"


class _Phrase(FunctionElement[Any]):
    """Column, FTS5's phrase, and the condition that says the same elsewhere."""

    inherit_cache = True
    # A Boolean would be compared with 1, which MATCH does not take.
    type = NullType()


@compiles(_Phrase)
def _plainly(phrase: _Phrase, compiler: Any, **more: Any) -> str:
    return str(compiler.process(list(phrase.clauses)[2], **more))


@compiles(_Phrase, "sqlite")
def _by_trigrams(phrase: _Phrase, compiler: Any, **more: Any) -> str:
    content, wanted, _ = phrase.clauses
    return f"{compiler.process(content, **more)} MATCH {compiler.process(wanted, **more)}"
