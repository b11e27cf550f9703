"""Languages of the account. Those that every account has from the start need no row until they are changed."""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, MetaData, Table

from kanal.domain.languages import DEFAULTS, LanguageSet
from kanal.domain.stream import Recorded
from kanal.eventlog.projection import Changes, Tables
from kanal.projections.read_model import (
    Found,
    Names,
    Page,
    ReadModel,
    Views,
    columns_of,
    flag,
    number,
    text,
)


class LanguageRow(NamedTuple):
    language_id: int
    code: str
    title: str
    active: bool


def define(metadata: MetaData, name: Names) -> Iterable[Table]:
    yield Table(
        name("languages"),
        metadata,
        number("language_id", key=True),
        text("code"),
        text("title"),
        flag("active"),
    )


def fold(changes: Changes, tables: Tables, recorded: Recorded) -> None:
    languages = tables["languages"]
    match recorded.event:
        case LanguageSet() as event:
            row = LanguageRow(event.language_id, event.code, event.title, event.active)
            changes.delete(languages, (event.language_id,))
            changes.insert(languages, row._asdict())


PROJECTION = ReadModel(name="languages", version=1, handles={LanguageSet: fold}, define=define)


def listed(connection: Connection, views: Views, page: Page) -> Found[LanguageRow]:
    """The oldest first."""
    rows = _all(connection, views)
    return Found(rows[page.offset : page.offset + page.limit], len(rows))


def find(connection: Connection, views: Views, language_id: int) -> LanguageRow | None:
    rows = _all(connection, views)
    return next((row for row in rows if row.language_id == language_id), None)


def _all(connection: Connection, views: Views) -> list[LanguageRow]:
    """There are few."""
    rows = {
        one.language_id: LanguageRow(one.language_id, one.code, one.title, one.active)
        for one in DEFAULTS
    }
    query = columns_of(views.languages["languages"], LanguageRow)
    rows.update((row.language_id, LanguageRow._make(row)) for row in connection.execute(query))
    return [rows[language_id] for language_id in sorted(rows)]
