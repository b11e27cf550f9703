"""Kanals that serve, on each database: one for all tests of a module, for many small tests that do not get in each other's way.

An installation is a copy of one that was set up once: setting up takes longer than most tests.
"""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from postgres_server import new_database
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
    with new_database(postgres_server) as url:
        set_up(tmp_path_factory.mktemp("model"), url)
        yield urlsplit(url).path[1:]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def shared_database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Of an installation with its first administrator; for SQLite, it lies in `shared_data_dir`."""
    if request.param == "sqlite":
        yield ""
        return
    server, model = map(request.getfixturevalue, ("postgres_server", "postgres_model"))
    with new_database(server, model) as url:
        yield url


@pytest.fixture(scope="module")
def shared_data_dir(tmp_path_factory: pytest.TempPathFactory, sqlite_model: Path) -> Path:
    folder = tmp_path_factory.mktemp("shared")
    shutil.copytree(sqlite_model, folder, dirs_exist_ok=True)
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_api(shared_data_dir: Path, shared_database_url: str) -> AsyncIterator[Api]:
    """For tests marked with asyncio(loop_scope="module")."""
    async with serving(shared_data_dir, shared_database_url) as api:
        yield api
