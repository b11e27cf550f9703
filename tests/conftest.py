"""The databases that tests run on, and the switch that turns skipped tests into failures."""

import os
import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import psycopg
import pytest
from postgres_server import NoPostgres, running_server
from psycopg import sql

# KANAL_TEST_POSTGRES_URL: a server to use instead of one started here; its user may make databases.
POSTGRES_URL = os.environ.get("KANAL_TEST_POSTGRES_URL", "")
# KANAL_TEST_REQUIRE=all: every test must run, so a skipped one is a failure.
REQUIRE = os.environ.get("KANAL_TEST_REQUIRE", "")

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def pytest_configure() -> None:
    if REQUIRE not in ("", "all"):
        raise pytest.UsageError(f"KANAL_TEST_REQUIRE is {REQUIRE!r}; it may be 'all' or empty")
    for name in list(os.environ):
        if name.startswith("KANAL_") and not name.startswith("KANAL_TEST_"):
            del os.environ[name]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A superuser's URL of a server that runs for the whole session (one per xdist worker)."""
    if POSTGRES_URL:
        yield POSTGRES_URL
        return
    try:
        with running_server() as url:
            yield url
    except NoPostgres as error:
        pytest.skip(f"no PostgreSQL: {error}")


@pytest.fixture(scope="session")
def postgres_template(
    postgres_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Name of a database with all of Kanal's tables: to copy it takes a tenth of the time that making them does."""
    with new_database(postgres_server) as url:
        set_up_tables(url, tmp_path_factory.mktemp("template"))
        yield urlsplit(url).path[1:]


@pytest.fixture
def postgres_url(postgres_server: str, postgres_template: str) -> Iterator[str]:
    """URL of a new database with Kanal's tables and nothing in them, dropped after the test."""
    with new_database(postgres_server, postgres_template) as url:
        yield url


@pytest.fixture
def bare_postgres_url(postgres_server: str) -> Iterator[str]:
    """URL of a new database without a single table, dropped after the test."""
    with new_database(postgres_server) as url:
        yield url


@contextmanager
def new_database(server: str, template: str = "template1") -> Iterator[str]:
    name = f"kanal_test_{uuid.uuid4().hex}"
    database = sql.Identifier(name)
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(database, sql.Identifier(template))
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(create)
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))


def set_up_tables(url: str, data_dir: Path) -> None:
    from kanal.bootstrap import opened
    from kanal.settings import Settings

    with opened(Settings(data_dir=data_dir, database_url=url)):
        pass


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """KANAL_DATABASE_URL for each database in turn; empty for SQLite in `data_dir`."""
    return "" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture(params=["sqlite", "postgres"])
def bare_database_url(request: pytest.FixtureRequest) -> str:
    """As `database_url`, without a single table."""
    return "" if request.param == "sqlite" else request.getfixturevalue("bare_postgres_url")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """KANAL_DATA_DIR of the test, empty."""
    return tmp_path


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _required((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _required((yield))


def _required(report: Report) -> Report:
    if REQUIRE == "all" and report.skipped and not hasattr(report, "wasxfail"):
        # A skip's representation is (file, line, reason).
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"KANAL_TEST_REQUIRE=all, but: {reason}"
    return report
