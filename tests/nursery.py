"""Real `kanal` processes that start in a moment: one process imports Kanal, the others are forked from it.

nursery = Nursery()
async with nursery:
    async with nursery.serving(data_dir, database_url) as kanal:
        ...                    # kanal.client(), kanal.kill(), kanal.start() again, kanal.command("backup", ...)
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from kanal_process import START_SECONDS, Kanal

PROGRAM: Final = Path(__file__).with_name("nursery_process.py")
LOOK_SECONDS: Final = 0.005


class Fate(NamedTuple):
    """What is to happen to a process."""

    dies: str = ""
    """"before module:Class.name" or "after ...": it kills itself there, without another step; with a number the call that counts."""
    lease_seconds: float = 0.0
    """Of its lanes; 0 for as long as in earnest."""
    moving_clock: bool = False
    """SIGUSR1 moves its clock an hour ahead, SIGUSR2 an hour back."""


class Nursery:
    """Kept for many tests; each is `async with nursery:`, at whose end nothing of what it started is left."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        assert self._process.stdin
        assert self._process.stdout
        self._input, self._output = self._process.stdin, self._process.stdout
        os.set_blocking(self._output.fileno(), False)

    def close(self) -> None:
        self._input.close()
        self._process.wait()
        self._output.close()

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._started: asyncio.Queue[int | None] = asyncio.Queue()
        self._ends: dict[int, asyncio.Future[int]] = {}
        self._turn = asyncio.Lock()
        self._left = b""
        self._loop.add_reader(self._output.fileno(), self._listen)
        return self

    async def __aexit__(self, *_: object) -> None:
        for pid, ended in self._ends.items():
            if not ended.done():
                with contextlib.suppress(ProcessLookupError):  # told of in a moment
                    os.kill(pid, signal.SIGKILL)
        await asyncio.gather(*self._ends.values())
        self._loop.remove_reader(self._output.fileno())

    def kanal(self, data_dir: Path, database_url: str = "", **settings: str) -> "ForkedKanal":
        return ForkedKanal(self, data_dir, database_url, **settings)

    @contextlib.asynccontextmanager
    async def serving(
        self, data_dir: Path, database_url: str = "", **settings: str
    ) -> AsyncIterator["ForkedKanal"]:
        kanal = self.kanal(data_dir, database_url, **settings)
        await kanal.start()
        try:
            yield kanal
        finally:
            await kanal.kill()

    async def fork(self, **job: Any) -> int:
        """The process id."""
        async with self._turn:
            self._input.write(json.dumps(job).encode() + b"\n")
            pid = await self._started.get()
        assert pid, "the nursery has ended; what it says of that is above"
        return pid

    def ended(self, pid: int) -> asyncio.Future[int]:
        """Its exit code, negative for a signal."""
        return self._ends[pid]

    def _listen(self) -> None:
        data = self._output.read(65536)
        if not data:
            self._loop.remove_reader(self._output.fileno())
            self._started.put_nowait(None)
            return
        *lines, self._left = (self._left + data).split(b"\n")
        for line in lines:
            word, number, *code = line.split()
            pid = int(number)
            if word == b"started":
                self._ends[pid] = self._loop.create_future()
                self._started.put_nowait(pid)
            else:
                self._ends[pid].set_result(int(code[0]))


class ForkedKanal(Kanal):
    """`kanal serve`, once or several times over on the same data, and other commands beside it."""

    def __init__(
        self, nursery: Nursery, data_dir: Path, database_url: str = "", **settings: str
    ) -> None:
        super().__init__(data_dir, database_url, **settings)
        self._nursery = nursery
        self._printed = data_dir / f"serve.{id(self)}.out"
        self._commands = count(1)
        self.pid = 0
        """0: none runs."""

    async def start(self, *arguments: str, fate: Fate = Fate()) -> None:  # noqa: B008 it is immutable
        """Returns when it says where it listens, or has died as it was to."""
        await self.launch(*arguments, fate=fate)
        await self.listens(or_dies=bool(fate.dies))

    async def launch(self, *arguments: str, fate: Fate = Fate()) -> None:  # noqa: B008
        """Returns at once."""
        self._printed.parent.mkdir(parents=True, exist_ok=True)
        self._printed.unlink(missing_ok=True)
        self.output = ""
        self.pid = await self._fork(["serve", *arguments], self._printed, self.log, fate)

    async def listens(self, *, or_dies: bool = False) -> None:
        """Until it says where."""
        ended = self.ended
        async with asyncio.timeout(START_SECONDS):
            while "listens on" not in self.output:
                if ended.done():
                    assert or_dies, self.log.read_text()[-3000:]
                    return
                await asyncio.sleep(LOOK_SECONDS)
                self.output = self._printed.read_text() if self._printed.exists() else ""
        self.address = self.output.rpartition("listens on ")[2].split()[0]

    async def command(self, *arguments: str) -> tuple[int, str]:
        printed = self._printed.with_suffix(f".{next(self._commands)}")
        printed.parent.mkdir(parents=True, exist_ok=True)
        pid = await self._fork(arguments, printed, printed, Fate())
        return await self._nursery.ended(pid), printed.read_text()

    async def _fork(self, arguments: Sequence[str], output: Path, errors: Path, fate: Fate) -> int:
        return await self._nursery.fork(
            arguments=arguments,
            environment=self.environment,
            output=str(output),
            errors=str(errors),
            fate=fate._asdict(),
        )

    @property
    def runs(self) -> bool:
        return bool(self.pid) and not self.ended.done()

    @property
    def ended(self) -> "asyncio.Future[int]":
        return self._nursery.ended(self.pid)

    def send_signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    async def _end(self, number: signal.Signals) -> int:
        if not self.pid:
            return 0
        self.send_signal(number)
        async with asyncio.timeout(START_SECONDS):
            code = await self.ended
        self.pid = 0
        self.output = ""
        return code
