"""The databases and processes that tests run on, and the switch that turns skipped tests into failures."""

import os
import shutil
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, settings
from postgres_server import NoPostgres, new_database, running_server

if TYPE_CHECKING:
    from nursery import Nursery

# KANAL_TEST_POSTGRES_URL: a server to use instead of one started here; its user may make databases.
POSTGRES_URL = os.environ.get("KANAL_TEST_POSTGRES_URL", "")
# KANAL_TEST_REQUIRE=all: every test must run, so a skipped one is a failure.
REQUIRE = os.environ.get("KANAL_TEST_REQUIRE", "")

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


# How long an example takes says how busy the machine is, and nothing of what is tested.
settings.register_profile("kanal", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kanal")


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
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with all of Kanal's tables: to copy it takes a tenth of the time that making them does."""
    folder = tmp_path_factory.mktemp("template")
    set_up_tables("", folder)
    return folder / "kanal.db"


@pytest.fixture(scope="session")
def postgres_template(
    postgres_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Name of a database with all of Kanal's tables."""
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


def set_up_tables(url: str, data_dir: Path) -> None:
    from kanal.bootstrap import opened
    from kanal.settings import Settings

    with opened(Settings(data_dir=data_dir, database_url=url)):
        pass


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, data_dir: Path) -> str:
    """KANAL_DATABASE_URL for each database in turn, with Kanal's tables; empty for SQLite in `data_dir`."""
    if request.param == "postgres":
        return request.getfixturevalue("postgres_url")
    shutil.copy(request.getfixturevalue("sqlite_template"), data_dir)
    return ""


@pytest.fixture(params=["sqlite", "postgres"])
def bare_database_url(request: pytest.FixtureRequest) -> str:
    """As `database_url`, without a single table."""
    return "" if request.param == "sqlite" else request.getfixturevalue("bare_postgres_url")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """KANAL_DATA_DIR of the test, empty but for what `database_url` puts there."""
    return tmp_path


@pytest.fixture(scope="session")
def kept_nursery() -> Iterator["Nursery"]:
    from nursery import Nursery

    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture
async def nursery(kept_nursery: "Nursery") -> AsyncIterator["Nursery"]:
    """Kanal's processes that start in a moment; none is left after the test."""
    async with kept_nursery:
        yield kept_nursery


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
