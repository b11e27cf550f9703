"""The databases that tests run on, and the switch that turns skipped tests into failures."""

import os
import uuid
from collections.abc import Generator, Iterator
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


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """URL of a new, empty database, dropped after the test."""
    name = f"kanal_test_{uuid.uuid4().hex}"
    database = sql.Identifier(name)
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(database))
        yield urlsplit(postgres_server)._replace(path=f"/{name}").geturl()
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """KANAL_DATABASE_URL for each database in turn; empty for SQLite in `data_dir`."""
    return "" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


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
