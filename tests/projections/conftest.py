"""A log in memory, and a connection to each database in turn for the read models."""

from collections.abc import Iterator

import pytest
from folding import Log, engine_of
from sqlalchemy import Connection, text


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture(params=["sqlite", "postgres"])
def connection(request: pytest.FixtureRequest) -> Iterator[Connection]:
    """Rolled back after the test; on PostgreSQL its tables are temporary ones, so a database for each test is not needed."""
    url = "" if request.param == "sqlite" else request.getfixturevalue("postgres_server")
    engine = engine_of(url)
    with engine.connect() as connection:
        if url:
            connection.execute(text("SET search_path TO pg_temp"))
        yield connection
    engine.dispose()
