"""Search for parts of texts: a table that both databases index by trigrams, FTS5's on SQLite, pg_trgm's on PostgreSQL.

It is written like any other table. Where a PostgreSQL server has no pg_trgm, the same searches read the whole table.
"""

from typing import Any

from sqlalchemy import ColumnElement, Index, MetaData, Table, literal, text
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
INDEXED = "trigrams"
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
        info={INDEXED: True, IN_ORDER: True},
    )


def _can_be_indexed(ddl: Any, target: Any, bind: Any, *_: Any, **more: Any) -> bool:
    return bind.dialect.name == "postgresql" and bool(bind.scalar(HAS_EXTENSION))


@compiles(CreateTable, "sqlite")
def _create(create: CreateTable, compiler: Any, **more: Any) -> str:
    table = create.element
    if not table.info.get(INDEXED):
        return str(compiler.visit_create_table(create, **more))
    name = compiler.preparer.format_table(table)
    # Both sides are folded before they come here.
    return f"CREATE VIRTUAL TABLE {name} USING fts5(content, tokenize = 'trigram case_sensitive 1')"


def containing(table: Table, wanted: str) -> ColumnElement[bool]:
    """`searched` in the contents of a searchable table (search marks: search.py)."""
    content: ColumnElement[str] = table.c.content
    exactly = searched(content, wanted)
    begin, words, end = anchors(wanted)
    if len(words) < SHORTEST:
        return exactly
    phrase = literal('"' + words.replace('"', '""') + '"')
    if begin or end:
        return _Phrase(content, phrase, exactly) & exactly
    return _Phrase(content, phrase, exactly)


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
