"""One Kanal for all tests of a module, on each database: for many small tests that do not get in each other's way."""

import uuid
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import psycopg
import pytest
import pytest_asyncio
from psycopg import sql
from served_api import Api, serving


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def shared_database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "sqlite":
        yield ""
        return
    server = request.getfixturevalue("postgres_server")
    name = f"kanal_shared_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_api(
    tmp_path_factory: pytest.TempPathFactory, shared_database_url: str
) -> AsyncIterator[Api]:
    """For tests marked with asyncio(loop_scope="module")."""
    async with serving(tmp_path_factory.mktemp("shared"), shared_database_url) as api:
        yield api
