"""Search for words, in subjects, in what was said, in people's names: by how words begin, and alike on both databases.

Texts are cut into words and folded here, so FTS5 and tsvector only have to find them. A word that is asked for is stemmed
(Snowball; Russian where it has Cyrillic letters, else English) and found by what it has in common with its stem, so one form
of a word finds the others without an index that knows a language.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any, Final, NamedTuple
from unicodedata import normalize

import snowballstemmer
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Dialect,
    FromClause,
    Index,
    Integer,
    MetaData,
    Select,
    Subquery,
    Table,
    Text,
    TypeDecorator,
    and_,
    column,
    func,
    literal,
    or_,
    select,
    union_all,
)
from sqlalchemy import table as table_clause
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import NullType, TypeEngine

from kanal.domain.case_events import CaseDeleted, CaseOpened, CaseSubjectChanged, MessageAdded
from kanal.domain.message_events import (
    MessageDeleted,
    MessageDiscarded,
    MessageEdited,
    MessageScheduled,
)
from kanal.domain.plain_text import plain_text
from kanal.domain.stream import Recorded
from kanal.domain.users import UserChanged, UserRegistered, UserWasDeleted
from kanal.eventlog.projection import IN_ORDER, Changes, Tables
from kanal.projections.read_model import Names, ReadModel, Views, among, number
from kanal.projections.trigrams import TOKENIZER

WORD: Final = re.compile(r"[^\W_]+")
AT_ONCE: Final = 1000
"""Characters that are folded together: to put the marks on one letter in order takes the square of their number."""
PIECE: Final = re.compile(rf"\S{{1,{AT_ONCE}}}")
CYRILLIC: Final = re.compile(r"[а-я]")
LONGEST: Final = 60
"""Characters; what is longer is no word of any language, and found by its beginning."""
MOST_WORDS: Final = 4000
"""Of one text, different ones: PostgreSQL takes 1 MB of them, and refuses the whole text beyond that; one is up to 4 * LONGEST octets."""
LOOKED_AT: Final = 20_000
"""Characters of a message in which words are marked: a list shows fifty messages, and each may have a million."""
SHORTEST_BEGINNING: Final = 3
"""Shorter words are found only as they are: too much begins with them."""
MOST_ASKED: Final = 12
"""Words of a query; more say nothing more."""
NEWEST: Final = 2000
"""Of what is found of each kind and may be shown, so that a word that half of all messages have costs no more than others."""
FEW: Final = 5000
"""Cases whose texts are read rather than that all with a common word are asked whose they are. Of more cases the newest NEWEST
texts are found before so many were asked.
"""
SAMPLE, COMMON = 1000, 100
"""If so many of the newest texts have the words, reading from the newest on finds NEWEST of them soon. The index would first
gather all that have them: 0.1 s for a word in a million texts, 2 s for twelve million beginnings.
"""
AROUND: Final = 70
"""Characters of a message that are shown on either side of a word."""


class _Words(TypeDecorator[str]):
    """Different words, sorted."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(TSVECTOR())
        return dialect.type_descriptor(Text())

    def process_result_value(self, value: str | None, dialect: Dialect) -> str:
        return " ".join(sorted((value or "").replace("'", "").split()))


def define(metadata: MetaData, name: Names) -> Iterable[Table]:
    for plain in ("said", "subjects", "people"):
        table = name(f"words_{plain}")
        yield Table(
            table,
            metadata,
            number("rowid", key=True),
            Column("words", _Words, nullable=False),
            Index(f"{table}_words", "words", postgresql_using="gin").ddl_if("postgresql"),
            info={TOKENIZER: "ascii", IN_ORDER: True},
        )
    # FTS5 finds no row by what is no word: here is which words go with a case.
    said_in = name("said_in")
    yield Table(
        said_in,
        metadata,
        number("message_id", key=True),
        number("case_id"),
        Index(f"{said_in}_case", "case_id"),
    )


def fold(changes: Changes, tables: Tables, recorded: Recorded) -> None:
    said, subjects, people = (tables[f"words_{each}"] for each in ("said", "subjects", "people"))
    said_in = tables["said_in"]
    event = recorded.event
    match event:
        case MessageAdded(sent_at=0) | MessageScheduled():
            words = stored(event.content or plain_text(event.content_html))
            changes.insert(said, {"rowid": event.message_id, "words": words})
            changes.insert(said_in, {"message_id": event.message_id, "case_id": event.case_id})
        case MessageAdded():
            # It waited; the case may have been merged meanwhile.
            changes.update(said_in, (event.message_id,), {"case_id": event.case_id})
        case MessageEdited():
            words = stored(event.content or plain_text(event.content_html))
            changes.update(said, (event.message_id,), {"words": words})
        case MessageDeleted() | MessageDiscarded():
            changes.delete(said, (event.message_id,))
            changes.delete(said_in, (event.message_id,))
        case CaseOpened():
            changes.insert(subjects, {"rowid": event.case_id, "words": stored(event.subject)})
        case CaseSubjectChanged():
            changes.update(subjects, (event.case_id,), {"words": stored(event.new)})
        case CaseDeleted():
            changes.delete(subjects, (event.case_id,))
            of_case = said_in.c.case_id == event.case_id
            changes.clear(said, said.c.rowid.in_(select(said_in.c.message_id).where(of_case)))
            changes.clear(said_in, of_case)
        case UserRegistered():
            changes.insert(people, {"rowid": event.user_id, "words": stored(event.full_name)})
        case UserChanged():
            changes.update(people, (event.user_id,), {"words": stored(event.full_name)})
        case UserWasDeleted():
            changes.delete(people, (event.user_id,))


PROJECTION = ReadModel(
    name="words",
    version=3,
    handles=dict.fromkeys(
        (
            MessageAdded,
            MessageScheduled,
            MessageEdited,
            MessageDeleted,
            MessageDiscarded,
            CaseOpened,
            CaseSubjectChanged,
            CaseDeleted,
            UserRegistered,
            UserChanged,
            UserWasDeleted,
        ),
        fold,
    ),
    define=define,
)


def folded(text: str) -> str:
    """As texts are compared: without regard to case, to the dots of ё, to how Unicode spells a letter."""
    return normalize("NFKC", text).casefold().replace("ё", "е")


def stored(text: str) -> str:
    pieces = PIECE.findall(text) if len(text) > AT_ONCE else [text]
    found = (word for piece in pieces for word in WORD.findall(folded(piece)))
    words = dict.fromkeys(word[:LONGEST] for word in found)
    return " ".join(sorted(list(words)[:MOST_WORDS]))


class Beginning(NamedTuple):
    """What a word has to begin with; with `whole`, all of it."""

    letters: str
    whole: bool

    def begins(self, word: str) -> bool:
        return word == self.letters if self.whole else word.startswith(self.letters)


def _beginning(word: str) -> str:
    """What the word's other forms begin with too."""
    russian = CYRILLIC.search(word)
    # One for each call: it keeps the word that it is at, and readers are on several threads.
    stemmer = snowballstemmer.stemmer("russian" if russian else "english")
    stem: str = stemmer.stemWord(word)
    if not russian:
        stem = stem.removesuffix("i")  # deliveri: of deliveries, and of delivery
    pairs = zip(word, stem, strict=False)
    return "".join(one for one, other in takewhile(lambda pair: pair[0] == pair[1], pairs))


def beginnings(query: str) -> list[Beginning]:
    """Of each word of a query. All of them have to be in one subject, message, or name."""
    found = []
    for word in dict.fromkeys(WORD.findall(folded(query))):
        cut = word[:LONGEST]
        letters = _beginning(cut)
        if len(letters) < SHORTEST_BEGINNING:
            letters = cut
        found.append(Beginning(letters, len(letters) < SHORTEST_BEGINNING))
    return list(dict.fromkeys(found))[:MOST_ASKED]


def cases_with(
    connection: Connection,
    views: Views,
    query: str,
    met: Sequence[ColumnElement[bool]],
    few: Select[Any] | None,
) -> Select[Any] | None:
    """Ids of cases whose subject, one of whose messages, or whose user's name has all of these words; None if it has no words.

    `met`: what else is asked of them, conditions on their rows; `few`: the ids of those that meet it, if these are few.
    Of the newest NEWEST subjects, messages and people of such cases that have the words.
    """
    asked = beginnings(query)
    if not asked:
        return None
    tables = [views.words[f"words_{each}"] for each in ("said", "subjects", "people")]
    common = [_is_common(connection, table, asked) for table in tables]
    if few is not None and any(common):
        return _cases_read(connection, views, asked, few)
    messages, cases = views.messages["messages"], views.cases["cases"]
    of_messages = messages.join(cases, cases.c.case_id == messages.c.case_id)
    said, subjects, people = (
        _newest(connection, table, asked, rows, key, met, is_common=is_common)
        for table, is_common, rows, key in zip(
            tables,
            common,
            (of_messages, cases, cases),
            (messages.c.message_id, cases.c.case_id, cases.c.user_id),
            strict=True,
        )
    )
    found = union_all(
        select(messages.c.case_id).where(messages.c.message_id.in_(select(said.c[0]))),
        select(subjects.c[0]),
        select(cases.c.case_id).where(cases.c.user_id.in_(select(people.c[0]))),
    ).subquery()
    return select(found.c[0])


def _newest(
    connection: Connection,
    table: Table,
    asked: list[Beginning],
    rows: FromClause,
    key: ColumnElement[int],
    met: Sequence[ColumnElement[bool]],
    *,
    is_common: bool,
) -> Subquery:
    """Ids of the newest texts with these words that belong to rows that meet what is asked of them."""
    if is_common:
        texts = _texts(connection, table)
        having = [_has(connection, texts, asked)]
    else:
        texts, having = _Texts.of(table), [_Found(table.c.words, *_queries(asked))]
        if connection.dialect.name == "postgresql":
            # Which guesses how many there are: for a page of few it would rather read all texts than ask the index.
            gathered = select(texts.rowid).where(*having).order_by(texts.rowid.desc()).offset(0)
            fenced = gathered.subquery()
            texts, having = _Texts(fenced, fenced.c.rowid, texts.words), []
    # One text after the other, and none once there are enough: a join would first look at all. PostgreSQL takes it for granted
    # that nearly all are not null, so it does not expect to go far.
    whose = select(literal(1)).select_from(rows).where(key == texts.rowid, *met).limit(1)
    belongs = whose.correlate(texts.table).scalar_subquery().is_not(None)
    newest = select(texts.rowid).where(*having, belongs).order_by(texts.rowid.desc())
    return newest.limit(NEWEST).subquery()


def _cases_read(
    connection: Connection,
    views: Views,
    asked: list[Beginning],
    few: Select[Any],
) -> Select[Any]:
    """As `cases_with`, by the texts of each of these cases: all of them that have the words."""
    cases, messages = views.cases["cases"], views.messages["messages"]
    said, subjects, people = (
        _texts(connection, views.words[f"words_{plain}"])
        for plain in ("said", "subjects", "people")
    )
    of_messages = messages.join(said.table, said.rowid == messages.c.message_id)
    having = [
        select(literal(1))
        .select_from(rows)
        .where(key == of_case, _has(connection, texts, asked))
        .correlate(cases)
        .exists()
        for texts, rows, key, of_case in (
            (subjects, subjects.table, subjects.rowid, cases.c.case_id),
            (said, of_messages, messages.c.case_id, cases.c.case_id),
            (people, people.table, people.rowid, cases.c.user_id),
        )
    ]
    found = select(cases.c.case_id).where(among(cases.c.case_id, few), or_(*having)).subquery()
    return select(found.c.case_id)


def _is_common(connection: Connection, table: Table, asked: list[Beginning]) -> bool:
    texts = _texts(connection, table)
    newest = select(texts.words.label("content")).order_by(texts.rowid.desc()).limit(SAMPLE)
    sampled = newest.subquery()
    having = _has(connection, texts._replace(words=sampled.c.content), asked)
    return (connection.scalar(select(func.count()).where(having)) or 0) >= COMMON


def messages_with(
    connection: Connection, views: Views, asked: list[Beginning], case_ids: Iterable[int]
) -> dict[int, int]:
    """Of each of these cases the newest message that has all of these words, if one has; read from the newest on."""
    texts = _texts(connection, views.words["words_said"])
    messages, cases = views.messages["messages"], views.cases["cases"].c
    newest = (
        select(messages.c.message_id)
        .join(texts.table, texts.rowid == messages.c.message_id)
        .where(messages.c.case_id == cases.case_id, _has(connection, texts, asked))
        .order_by(messages.c.message_id.desc())
        .limit(1)
        .correlate(views.cases["cases"])
        .scalar_subquery()
    )
    query = select(cases.case_id, newest).where(cases.case_id.in_(list(case_ids)))
    return {row[0]: row[1] for row in connection.execute(query) if row[1]}


class _Texts(NamedTuple):
    """Where words are read that no index is to find."""

    table: FromClause
    rowid: ColumnElement[int]
    words: ColumnElement[str]

    @classmethod
    def of(cls, table: Table) -> "_Texts":
        return cls(table, table.c.rowid, table.c.words)


def _texts(connection: Connection, table: Table) -> _Texts:
    """On SQLite the table in which FTS5 keeps them."""
    if connection.dialect.name != "sqlite":
        return _Texts.of(table)
    kept = table_clause(f"{table.name}_content", column("id", Integer), column("c0", Text))
    return _Texts(kept, kept.c.id, kept.c.c0)


def _has(connection: Connection, texts: _Texts, asked: list[Beginning]) -> ColumnElement[Any]:
    """What `_Found` says, of a text that is read."""
    if connection.dialect.name != "sqlite":
        return _Found(texts.words, *_queries(asked))
    apart = literal(" ") + texts.words + " "
    places = [
        func.instr(apart, f" {each.letters}" + (" " if each.whole else "")) > 0 for each in asked
    ]
    return and_(*places)


class Piece(NamedTuple):
    text: str
    found: bool


def marked(text: str, asked: list[Beginning]) -> list[Piece]:
    """The text, cut where the words are that were asked for."""
    pieces, at = [], 0
    for hit in WORD.finditer(text):
        word = folded(hit[0])
        if any(each.begins(word) for each in asked):
            pieces += [Piece(text[at : hit.start()], False), Piece(hit[0], True)]
            at = hit.end()
    pieces.append(Piece(text[at:], False))
    return [each for each in pieces if each.text]


def around(text: str, asked: list[Beginning]) -> list[Piece]:
    """As `marked`, of the part of the text that has the first of the words; [] if none is in its first LOOKED_AT characters."""
    pieces = marked(text[:LOOKED_AT], asked)
    found = next((at for at, each in enumerate(pieces) if each.found), None)
    if found is None:
        return []
    before = "".join(each.text for each in pieces[:found])
    cut = [Piece("…" + before[-AROUND:], False)] if len(before) > AROUND else pieces[:found]
    left = 2 * AROUND
    for each in pieces[found:]:
        if len(each.text) > left:
            cut.append(Piece((each.text[:left] if not each.found else "") + "…", False))
            break
        left -= len(each.text)
        cut.append(each)
    return cut


def _queries(asked: list[Beginning]) -> tuple[Any, Any]:
    """FTS5's, and PostgreSQL's. Words are letters and digits alone, so nothing in them is a sign of either language."""
    fts5 = " ".join(f'"{each.letters}"' + ("" if each.whole else "*") for each in asked)
    tsquery = " & ".join(f"'{each.letters}'" + ("" if each.whole else ":*") for each in asked)
    return literal(fts5), literal(tsquery)


class _Found(FunctionElement[Any]):
    """Column, FTS5's query, PostgreSQL's."""

    inherit_cache = True
    # A Boolean would be compared with 1, which MATCH does not take.
    type = NullType()


@compiles(_Found, "postgresql")
def _by_tsquery(found: _Found, compiler: Any, **more: Any) -> str:
    words, _, tsquery = found.clauses
    return f"{compiler.process(words, **more)} @@ {compiler.process(tsquery, **more)}::tsquery"


@compiles(_Found, "sqlite")
def _by_match(found: _Found, compiler: Any, **more: Any) -> str:
    words, fts5, _ = found.clauses
    return f"{compiler.process(words, **more)} MATCH {compiler.process(fts5, **more)}"
