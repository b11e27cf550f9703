"""Every test of a resource runs on each database, on an installation of its own."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from postgres_server import new_database
from served_api import Api, serving


@pytest.fixture
def postgres_copy(postgres_server: str, postgres_model: str) -> Iterator[str]:
    """URL of a copy, dropped after the test."""
    with new_database(postgres_server, postgres_model) as url:
        yield url


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
