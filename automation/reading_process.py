"""Long reading in a process of its own, so that it takes neither the interpreter nor the writer from who answers requests."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

AT_ONCE: Final = 2
"""In one process of Kanal: each may take a processor for a minute, and with a million events 550 to 900 MB."""
LONGEST_SECONDS: Final = 300.0
CHUNK: Final = 64 * 1024

log = structlog.get_logger(__name__)


class TooManyReaders(Exception):
    """As many as there may be are under way."""


class ReadingTookTooLong(Exception):
    """It was ended."""


class ReadingProcesses:
    def __init__(self, at_once: int = AT_ONCE, seconds: float = LONGEST_SECONDS) -> None:
        self._at_once = at_once
        self._seconds = seconds
        self.under_way = 0

    async def run(
        self, module: str, job: bytes, told: Callable[[bytes], None] = lambda _: None
    ) -> bytes:
        """What the module writes last when it is given the job in one line. Cancelled, it ends the process.

        `told`: is called with each line that it writes before.

        Raises TooManyReaders, ReadingTookTooLong.
        """
        if self.under_way >= self._at_once:
            raise TooManyReaders
        self.under_way += 1
        try:
            return await self._run(module, job, told)
        finally:
            self.under_way -= 1

    async def _run(self, module: str, job: bytes, told: Callable[[bytes], None]) -> bytes:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, stdin=pipe, stdout=pipe, stderr=pipe
        )
        assert process.stdin
        assert process.stdout
        assert process.stderr
        try:
            async with asyncio.timeout(self._seconds):
                # Standard input stays open: whoever reads ends when it is closed, also by our death.
                process.stdin.write(job + b"\n")
                found, complaint = await asyncio.gather(
                    _last_line(process.stdout, told), process.stderr.read()
                )
                status = await process.wait()
        except TimeoutError:
            raise ReadingTookTooLong from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if status:
            log.error(
                "reading_failed", module=module, status=status, told=complaint.decode()[-2000:]
            )
            raise RuntimeError(f"{module} ended with status {status}")
        return found


async def _last_line(output: asyncio.StreamReader, told: Callable[[bytes], None]) -> bytes:
    """It may be longer than a reader takes for a line."""
    kept: list[bytes] = []
    while chunk := await output.read(CHUNK):
        *ends, begun = chunk.split(b"\n")
        for end in ends:
            told(b"".join([*kept, end]))
            kept.clear()
        kept.append(begun)
    return b"".join(kept)
