"""Search for parts of texts: found alike with trigrams and without, on either database."""

from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from folding import engine_of
from psycopg import sql
from sqlalchemy import Connection, MetaData, Table, literal, select, text

from kanal.eventlog.migrate import migrate
from kanal.eventlog.postgres import PostgresDatabase
from kanal.projections import trigrams
from kanal.projections.trigrams import containing, searchable

TEXTS = [
    "order 100% paid",
    "order_100",
    "заказ два",
    'say "hello" - twice',
    "a",
    "",
    "ёж🦔ёж🦔",
    "xyz AND abc* NEAR(x)",
]
SEARCHES = {
    "order": [0, 1],
    "^order": [0, 1],
    "paid^": [0],
    "^order_100^": [1],
    "r_1": [1],
    "100%": [0],
    "аказ": [2],
    '"hello"': [3],
    "AND": [7],
    "and": [],
    "abc*": [7],
    "a": [0, 3, 4, 7],
    "^a^": [4],
    "🦔ё": [6],
    "ж🦔ёж": [6],
    "nothing": [],
}


def rowids(connection: Connection, table: Table, wanted: str) -> list[int]:
    texts = containing(connection, table, wanted)
    of_each = [
        at for at in range(len(TEXTS)) if connection.scalar(select(texts.of(literal(at), wanted)))
    ]
    found = sorted(connection.scalars(select(texts.rowid).where(texts.found)))
    assert of_each == found
    return found


def search(connection: Connection) -> None:
    table = searchable("searched_v1", MetaData())
    table.create(connection)
    rows = [{"rowid": at, "content": content} for at, content in enumerate(TEXTS)]
    connection.execute(table.insert(), rows)
    for wanted, found in SEARCHES.items():
        assert rowids(connection, table, wanted) == found, wanted
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trigrams, "COMMON", 0)
        for wanted, found in SEARCHES.items():
            assert rowids(connection, table, wanted) == found, wanted
    connection.execute(table.update().where(table.c.rowid == 1).values(content="parcel"))
    connection.execute(table.delete().where(table.c.rowid == 0))
    for wanted, found in (("order", []), ("parcel", [1])):
        assert rowids(connection, table, wanted) == found


def test_parts_of_texts_are_found(connection: Connection) -> None:
    """On PostgreSQL without pg_trgm."""
    search(connection)


def test_parts_of_texts_are_found_by_pg_trgm(postgres_url: str) -> None:
    database = PostgresDatabase(postgres_url)
    migrate(database)
    database.close()
    engine = engine_of(postgres_url)
    with engine.connect() as connection:
        if not connection.scalar(
            text("SELECT count(*) FROM pg_extension WHERE extname = 'pg_trgm'")
        ):
            pytest.skip("this server has no pg_trgm")
        search(connection)
        indexes = connection.scalars(text("SELECT indexdef FROM pg_indexes"))
        assert [each for each in indexes if "USING gin (content gin_trgm_ops)" in each]
    engine.dispose()


def test_a_server_that_does_not_allow_pg_trgm_is_set_up_all_the_same(
    bare_postgres_url: str, data_dir: Path
) -> None:
    name = urlsplit(bare_postgres_url).path.strip("/")
    role = f"{name}_owner"
    with psycopg.connect(bare_postgres_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'x'").format(sql.Identifier(role))
        )
        connection.execute(sql.SQL("GRANT ALL ON SCHEMA public TO {}").format(sql.Identifier(role)))
    try:
        host = urlsplit(bare_postgres_url).netloc.rpartition("@")[2]
        database = PostgresDatabase(f"postgresql://{role}:x@{host}/{name}")
        migrate(database)
        with database.reading() as connection:
            extensions = connection.scalars(text("SELECT extname FROM pg_extension"))
            assert "pg_trgm" not in set(extensions)
        database.close()
    finally:
        with psycopg.connect(bare_postgres_url, autocommit=True) as connection:
            for statement in ("DROP OWNED BY {}", "DROP ROLE {}"):
                connection.execute(sql.SQL(statement).format(sql.Identifier(role)))
