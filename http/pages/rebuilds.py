"""Rebuilds of read models that somebody asks for on the page of the system: the work of `kanal rebuild`, in this process, one at a time."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

import structlog

from kanal.eventlog.failure import Failure, failure_of
from kanal.projections.runner import Difference, Progress, Rebuild

GRACE_SECONDS: Final = 1.0
"""A rebuild that is cut off begins anew some time; the end of the process does not wait for it."""

log = structlog.get_logger(__name__)


class Ended(NamedTuple):
    names: tuple[str, ...]
    """Empty: all read models."""
    seconds: float
    events: int
    differences: tuple[Difference, ...]
    failed: Failure | None


class UnderWay(NamedTuple):
    names: tuple[str, ...]
    progress: Progress | None
    """None before the first step, and while another process rebuilds."""

    @property
    def percent(self) -> int:
        if self.progress is None:
            return 0
        return 100 * self.progress.position // max(1, self.progress.head)


class Rebuilds:
    def __init__(self, make: Callable[[tuple[str, ...]], Rebuild]) -> None:
        self._make = make
        self.under_way: UnderWay | None = None
        self.last: Ended | None = None
        self._task: asyncio.Task[None] | None = None
        self._ending = False

    def begin(self, names: tuple[str, ...]) -> bool:
        """Of these read models, or of all. False while one is under way."""
        if self.under_way or self._ending:
            return False
        self.under_way = UnderWay(names, None)
        self._task = asyncio.create_task(self._rebuild(names), name="kanal-rebuild")
        return True

    async def close(self) -> None:
        self._ending = True
        if self._task:
            await asyncio.wait({self._task}, timeout=GRACE_SECONDS)
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _rebuild(self, names: tuple[str, ...]) -> None:
        began, failed, work = time.monotonic(), None, None
        try:
            work = self._make(names)
            steps = work.run()
            while (step := await asyncio.to_thread(next, steps, None)) and not self._ending:
                self.under_way = UnderWay(names, step)
        except Exception as error:
            failed = failure_of(error)
            log.error("rebuild_failed", error_id=failed.error_id, models=names, exc_info=error)
        progress = self.under_way.progress if self.under_way else None
        self.last = Ended(
            names,
            time.monotonic() - began,
            progress.head if progress else 0,
            tuple(work.differences) if work else (),
            failed,
        )
        self.under_way = None
