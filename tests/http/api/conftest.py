"""Every test of a resource runs on each database, on an installation of its own.

An installation is a copy of one that was set up once: setting up takes longer than most tests.
"""

import shutil
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql
from served_api import Api, serving, set_up


@pytest.fixture(scope="session")
def sqlite_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data directory of an installation to copy."""
    folder = tmp_path_factory.mktemp("model")
    set_up(folder, "")
    return folder


@pytest.fixture(scope="session")
def postgres_model(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Name of a database to copy."""
    name = f"kanal_model_{uuid.uuid4().hex}"
    _on(postgres_server, "CREATE DATABASE {}", name)
    set_up(tmp_path_factory.mktemp("model"), _address(postgres_server, name))
    yield name
    _on(postgres_server, "DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture
def postgres_copy(postgres_server: str, postgres_model: str) -> Iterator[str]:
    """URL of a copy, dropped after the test."""
    name = f"kanal_test_{uuid.uuid4().hex}"
    _on(postgres_server, "CREATE DATABASE {} TEMPLATE {}", name, postgres_model)
    yield _address(postgres_server, name)
    _on(postgres_server, "DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, data_dir: Path) -> str:
    """Of an installation with its first administrator; for SQLite, it lies in `data_dir`."""
    if request.param == "postgres":
        url: str = request.getfixturevalue("postgres_copy")
        return url
    shutil.copytree(request.getfixturevalue("sqlite_model"), data_dir, dirs_exist_ok=True)
    return ""


@pytest.fixture
async def api(data_dir: Path, database_url: str) -> AsyncIterator[Api]:
    async with serving(data_dir, database_url) as api:
        yield api


def _address(server: str, name: str) -> str:
    return urlsplit(server)._replace(path=f"/{name}").geturl()


def _on(server: str, statement: str, *names: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
