"""Where the data of a measurement lies: folders for SQLite, databases of one PostgreSQL server, all removed at the end."""

import shutil
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
        """Version, and the settings without which its figures would be of another thing."""
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
        yield Databases(folder, server_url or _own_server(stack))


def _own_server(stack: ExitStack) -> str:
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    import postgres_server

    # The tests' server skips every sync; here the sync is what is measured.
    postgres_server.OPTIONS.update(fsync="on", full_page_writes="on")
    try:
        return str(stack.enter_context(postgres_server.running_server()))
    except postgres_server.NoPostgres as error:
        print(f"Only SQLite is measured. No PostgreSQL: {error}", file=sys.stderr)
        return ""
