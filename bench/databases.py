"""Where the data of a measurement lies: folders for SQLite, databases of one PostgreSQL server, all removed at the end."""

import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

SQLITE, POSTGRES = "SQLite", "PostgreSQL"


class Place(NamedTuple):
    """One empty database, at first."""

    kind: str
    folder: Path
    """KANAL_DATA_DIR."""
    url: str
    """KANAL_DATABASE_URL; empty for SQLite."""

    @property
    def variables(self) -> dict[str, str]:
        return {"KANAL_DATA_DIR": str(self.folder), "KANAL_DATABASE_URL": self.url}

    def job(self) -> dict[str, str]:
        return {"data_dir": str(self.folder), "database_url": self.url}


class Databases:
    """`kinds`: the databases that are measured."""

    def __init__(self, folder: Path, server_url: str) -> None:
        self.folder = folder
        self._server_url = server_url
        self.kinds = [SQLITE, POSTGRES] if server_url else [SQLITE]

    @contextmanager
    def place(self, kind: str) -> Iterator[Place]:
        folder = Path(tempfile.mkdtemp(prefix=f"{kind.lower()}-", dir=self.folder))
        try:
            if kind == SQLITE:
                yield Place(kind, folder, "")
            else:
                with self._database() as url:
                    yield Place(kind, folder, url)
        finally:
            shutil.rmtree(folder)

    @contextmanager
    def _database(self) -> Iterator[str]:
        name = f"kanal_bench_{uuid.uuid4().hex}"
        database = sql.Identifier(name)
        with psycopg.connect(self._server_url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(database))
        try:
            yield urlsplit(self._server_url)._replace(path=f"/{name}").geturl()
        finally:
            with psycopg.connect(self._server_url, autocommit=True) as connection:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))

    def postgres_description(self) -> str:
        """Version, and the settings without which its figures would be of something else."""
        with psycopg.connect(self._server_url) as connection:
            names = ("server_version", "fsync", "full_page_writes", "synchronous_commit")
            values = []
            for name in names:
                row = connection.execute(sql.SQL("SHOW {}").format(sql.Identifier(name))).fetchone()
                values.append(f"{name} {row[0] if row else '?'}")
        return ", ".join(values)


@contextmanager
def opened(server_url: str) -> Iterator[Databases]:
    """With a PostgreSQL server of this run's own if no URL is given and one can be started here."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kanal-bench-")))
        yield Databases(folder, server_url or stack.enter_context(_own_server()))


@contextmanager
def _own_server() -> Iterator[str]:
    keeper = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("own_postgres.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # A Ctrl-C is for this process, which then drops its databases and ends the server.
        start_new_session=True,
    )
    assert keeper.stdout
    url = keeper.stdout.readline().strip()
    if not url:
        print("No PostgreSQL could be started: only SQLite is measured.", file=sys.stderr)
    try:
        yield url
    finally:
        keeper.communicate()
