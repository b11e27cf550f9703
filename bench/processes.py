"""The processes of a measurement: Kanal itself, the bare baselines, the receiver, the load. Each is ended by its own id."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, NamedTuple

ADMIN_EMAIL = "bench@kanal.example"
ADMIN_KEY = "bench-key-of-a-throw-away-installation"
ADMIN_PASSWORD = "bench password of a throw-away installation"
PROGRAMS = Path(__file__).parent
START_SECONDS = 120  # a log of a million events on a loaded machine starts in less
STOP_SECONDS = 20  # Kanal's own limit is KANAL_SHUTDOWN_SECONDS, 8
ASK_SECONDS = 600  # the longest single step, filling a log of a million events, takes minutes
POLL_SECONDS = 0.005
TICKS = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A child process did not do what it should; the text says what it printed."""


class Server(NamedTuple):
    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """Of the whole process since it started."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_mib(self) -> float:
        """Resident."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        return int(found[1]) / 1024 if found else float("nan")

    def get(self, path: str, timeout: float = 10) -> tuple[int, Any]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        return answer.status, json.loads(body)


def environment(**variables: str) -> dict[str, str]:
    """This process' own, without settings of an installation that happens to be near."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KANAL_")}
    return kept | variables


def wait_until(what: str, holds: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {seconds:.0f} s")
        time.sleep(POLL_SECONDS)


@contextmanager
def kanal(
    variables: dict[str, str], folder: Path, *, role: str = "all", **more: str
) -> Iterator[Server]:
    """`kanal serve` as an operator starts it, its log in a file; ready when the block begins."""
    with starting_kanal(variables, folder, role=role, **more) as ready:
        yield ready()


@contextmanager
def starting_kanal(
    variables: dict[str, str], folder: Path, *, role: str = "all", **more: str
) -> Iterator[Callable[[], Server]]:
    """The call waits until it is ready. `folder`: of this process alone."""
    given = {
        "KANAL_PORT": "0",
        "KANAL_ADMIN_EMAIL": ADMIN_EMAIL,
        "KANAL_ADMIN_API_KEY": ADMIN_KEY,
        "KANAL_ADMIN_PASSWORD": ADMIN_PASSWORD,
        "KANAL_WEBHOOK_ALLOW": "127.0.0.0/8",
        "KANAL_LOG_FORMAT": "json",
    }
    printed, log = folder / "kanal.out", folder / "kanal.log"
    with printed.open("wb") as output, log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "kanal", "serve", "--role", role],
            cwd=folder,
            env=environment(**given, **variables, **more),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
        )

    def listening() -> str:
        if process.poll() is not None:
            raise Failed(f"kanal serve ended at its start: {log.read_text()[-2000:]}")
        found = re.search(r"http://127\.0\.0\.1:(\d+)\s", printed.read_text())
        return found[1] if found else ""

    def ready() -> Server:
        wait_until("kanal serve prints its address", lambda: bool(listening()), START_SECONDS)
        server = Server(int(listening()), process.pid)
        wait_until("kanal serve is ready", lambda: _is_ready(server), START_SECONDS)
        return server

    try:
        yield ready
    finally:
        end(process)


def _is_ready(server: Server) -> bool:
    try:
        return server.get("/readyz")[0] == 200
    except (OSError, HTTPException):
        return False


@contextmanager
def listening(program: str, *arguments: object) -> Iterator[Server]:
    """A program of this folder that prints its port and serves until it is ended."""
    process = subprocess.Popen(
        [sys.executable, str(PROGRAMS / program), *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout
        line = process.stdout.readline()
        if not line:
            raise Failed(f"{program} ended at its start")
        yield Server(int(line), process.pid)
    finally:
        end(process)


class Asked:
    """A program of this folder that reads one job and writes one result, both JSON."""

    def __init__(self, program: str, job: dict[str, Any]) -> None:
        self._program = program
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAMS / program)],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdin
        self._process.stdin.write(json.dumps(job).encode() + b"\n")
        self._process.stdin.flush()

    def running(self) -> bool:
        return self._process.poll() is None

    def result(self, *, stop: bool = False, timeout: float = ASK_SECONDS) -> Any:
        """Waits for it. `stop`: tell it to end early, by closing its standard input."""
        assert self._process.stdin
        if stop:
            self._process.stdin.close()
            self._process.stdin = None
        else:
            self._process.stdin.flush()
        try:
            output = self._output(timeout)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self._program} took longer than {timeout:.0f} s") from None
        finally:
            end(self._process)
        if self._process.returncode:
            raise Failed(f"{self._program} failed with {self._process.returncode}")
        return json.loads(output)

    def _output(self, timeout: float) -> bytes:
        # communicate() would close standard input first, which ends a load early.
        stdin, self._process.stdin = self._process.stdin, None
        try:
            return self._process.communicate(timeout=timeout)[0]
        finally:
            if stdin:
                stdin.close()


def ask(program: str, job: dict[str, Any], timeout: float = ASK_SECONDS) -> Any:
    return Asked(program, job).result(timeout=timeout)


def end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout:
        process.stdout.close()
