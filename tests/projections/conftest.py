"""A log in memory, and a connection to each database in turn for the read models."""

from collections.abc import Iterator

import pytest
from folding import Log, are_empty_again, with_tables
from sqlalchemy import Connection


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture(scope="session")
def kept_connections() -> Iterator[dict[str, Connection]]:
    """By database. To make all tables of all read models takes longer than most tests of them."""
    kept: dict[str, Connection] = {}
    yield kept
    for connection in kept.values():
        _close(connection)


@pytest.fixture(params=["sqlite", "postgres"])
def connection(
    request: pytest.FixtureRequest, kept_connections: dict[str, Connection]
) -> Iterator[Connection]:
    """Rolled back after the test; on PostgreSQL its tables are temporary ones, so a database for each test is not needed."""
    database: str = request.param
    if database not in kept_connections:
        url = "" if database == "sqlite" else request.getfixturevalue("postgres_server")
        kept_connections[database] = with_tables(url)
    connection = kept_connections[database]
    yield connection
    connection.rollback()
    if not are_empty_again(connection):
        _close(kept_connections.pop(database))


def _close(connection: Connection) -> None:
    connection.invalidate()  # without a word to a server that may be gone
    connection.close()
    connection.engine.dispose()
