"""A duty of the agenda: forgets old attempts of deliveries that have ended. Their rows, with the last outcome, stay for ever."""

from collections.abc import Sequence
from functools import partial
from typing import Final

import structlog
from sqlalchemy import Connection, delete, select

from kanal.delivery.ledger import attempt_ids_before
from kanal.delivery.schedule import HOUR
from kanal.delivery.tables import attempts, deliveries
from kanal.eventlog.database import Database
from kanal.eventlog.writer import Writer

EVERY: Final = HOUR
CHUNK: Final = 500
"""Rows deleted in one transaction of the writer: some milliseconds, so that nobody's request waits long behind it."""

log = structlog.get_logger(__name__)


class OldAttempts:
    """First when the process begins to lead, then once an hour."""

    name = "old_attempts"

    def __init__(self, database: Database, writer: Writer, keep: int) -> None:
        """`keep`: microseconds, 0 for ever."""
        self._database = database
        self._writer = writer
        self._keep = keep
        self._next = 0

    def due(self, connection: Connection, views: object, now: int) -> Sequence[int]:
        return [self._next] if self._keep and now >= self._next else []

    async def act(self, item: int) -> None:
        now = self._writer.clock()
        removed = 0
        while found := await self._database.read(_old, now - self._keep):
            await self._writer.run(partial(_remove, attempt_ids=found))
            removed += len(found)
        if removed:
            log.info("attempts.forgotten", attempts=removed)
        self._next = now + EVERY


def _old(connection: Connection, before: int) -> list[str]:
    """The oldest; only those of what waits for long are looked at in vain."""
    ended = deliveries.c.delivery_id == attempts.c.delivery_id, deliveries.c.turn.is_(None)
    query = (
        select(attempts.c.attempt_id)
        .where(attempt_ids_before(before), attempts.c.ended_at.is_not(None))
        .where(select(deliveries.c.delivery_id).where(*ended).exists())
        .order_by(attempts.c.attempt_id)
        .limit(CHUNK)
    )
    return list(connection.scalars(query))


def _remove(connection: Connection, *, attempt_ids: Sequence[str]) -> None:
    connection.execute(delete(attempts).where(attempts.c.attempt_id.in_(attempt_ids)))
