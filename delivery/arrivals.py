"""Who waits for something to go out on a channel is woken when it is durable.

In this process by the outbox, on PostgreSQL also by the notices of the others. Nothing is kept, and a wake-up that is
lost costs a moment: whoever waits looks again by himself.
"""

import asyncio
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from kanal.delivery.ledger import NOTICE, named_in
from kanal.eventlog.database import Database
from kanal.eventlog.postgres import PostgresDatabase, listen

WAITING_LIMIT: Final = 1000
"""In one process. More are answered at once, as if they had not asked to wait."""


class Arrivals:
    """`start`, then it wakes who waits until `close`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._events: dict[int, set[asyncio.Event]] = {}
        self.waiting = 0
        """How many."""
        self.closing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        if isinstance(self._database, PostgresDatabase):
            self._task = asyncio.create_task(
                listen(self._database.url, NOTICE, self._hear, deaf="arrivals_not_heard")
            )

    async def close(self) -> None:
        """Nobody waits any longer."""
        self.closing = True
        self._ring(())
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    @property
    def may_wait(self) -> bool:
        return not self.closing and self.waiting < WAITING_LIMIT

    @contextmanager
    def expected(self, channel_id: int) -> Iterator[asyncio.Event]:
        """Set whenever something may have come. Look once more before you wait: it may have come before."""
        event = asyncio.Event()
        events = self._events.setdefault(channel_id, set())
        events.add(event)
        self.waiting += 1
        try:
            yield event
        finally:
            self.waiting -= 1
            events.discard(event)
            if not events and self._events.get(channel_id) is events:
                del self._events[channel_id]

    def came(self, channel_ids: Collection[int]) -> None:
        """For the outbox, on the writer's thread."""
        if self._events:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._ring, frozenset(channel_ids))

    def _ring(self, channel_ids: Collection[int]) -> None:
        """None named: all."""
        for channel_id in channel_ids or tuple(self._events):
            for event in self._events.get(channel_id, ()):
                event.set()

    def _hear(self, notice: str) -> None:
        self._ring(named_in(notice))
