"""Duty: remove bytes that no event came to mention, such as a crash between an upload and its event leaves behind."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from sqlalchemy import Connection

from kanal.eventlog.database import Database
from kanal.eventlog.projection import Projection
from kanal.projections import files, runner
from kanal.projections.read_model import Views

AGE_SECONDS: Final = 24 * 3600
"""Younger ones may belong to a request that is still under way, whatever holds it up."""
EVERY: Final = 24 * 3600 * 1_000_000
"""Microseconds."""

log = structlog.get_logger(__name__)


class OrphanedFiles:
    """First when the process begins to lead, then once a day."""

    name = "orphaned_files"

    def __init__(
        self, database: Database, models: Sequence[Projection], clock: Callable[[], int]
    ) -> None:
        """`clock`: microseconds since the epoch."""
        self._database = database
        self._models = models
        self._clock = clock
        self._next = 0

    def due(self, connection: Connection, views: Views, now: int) -> Sequence[int]:
        return [self._next] if now >= self._next else []

    async def act(self, item: int) -> None:
        now = self._clock()
        removed = await asyncio.to_thread(self._sweep, now / 1_000_000 - AGE_SECONDS)
        if removed:
            log.info("files.orphans_removed", files=removed)
        self._next = now + EVERY

    def _sweep(self, before: float) -> int:
        removed = 0
        for tokens in self._database.files.stored(before):
            with self._database.reading() as connection:
                known = files.mentioned(connection, runner.views(connection, self._models), tokens)
            orphans = [token for token in tokens if token not in known]
            self._database.files.remove(orphans)
            removed += len(orphans)
        return removed
