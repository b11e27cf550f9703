"""What has just happened, for whoever looks at a page: which cases changed, up to which position of the log.

Only numbers are kept; a page that hears that it is out of date asks for itself anew. Whoever was away says up to where
they had seen, so nothing is missed; what they missed is told as one thing, so nothing comes twice.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple

import structlog

from kanal.domain.case_events import MessageAdded
from kanal.domain.stream import Recorded
from kanal.eventlog.database import Database

REMEMBERED: Final = 5000
"""Events; whoever was away for more is told that anything may have changed."""
PAUSE_SECONDS: Final = 0.15
"""Between two looks at the log while events come in: pages need not change more often than the eye follows."""
OTHERS_SECONDS: Final = 0.5
"""How often the log is asked for what other processes wrote; nobody tells of that."""

log = structlog.get_logger(__name__)


class Change(NamedTuple):
    position: int
    case_id: int
    """0 for what is not about one case."""
    by_user: bool
    """A user wrote in it."""


class News(NamedTuple):
    position: int
    cases: frozenset[int]
    written_in: frozenset[int]
    """Those in which a user wrote."""
    everything: bool
    """More happened than is remembered: any case may have changed."""


class Feed:
    """`start`, then it follows the log until `close`, as long as somebody looks."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changes: deque[Change] = deque(maxlen=REMEMBERED)
        self._begun = 0
        """Position behind which all that happened is in `_changes`."""
        self.position = 0
        self.closing = False
        self._looking: dict[asyncio.Event, int] = {}
        """By whom: the staff's ids."""
        self._rung = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._follow(), name="kanal-feed")

    async def close(self) -> None:
        """Nobody waits any longer."""
        self.closing = True
        for event in self._looking:
            event.set()
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def ring(self) -> None:
        """For the bell, on the writer's thread."""
        if self._loop and self._looking:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._rung.set)

    @contextmanager
    def looking(self, staff_id: int) -> Iterator[asyncio.Event]:
        """Set whenever there is news. Look once more before you wait: it may have come before."""
        event = asyncio.Event()
        self._looking[event] = staff_id
        self._rung.set()
        try:
            yield event
        finally:
            del self._looking[event]

    @property
    def watched(self) -> int:
        """How many look."""
        return len(self._looking)

    def watched_by(self, staff_id: int) -> int:
        return sum(each == staff_id for each in self._looking.values())

    def since(self, position: int) -> News | None:
        """None if nothing happened behind that position."""
        if position >= self.position:
            return None
        first = self._changes[0].position if self._changes else self.position + 1
        everything = position < self._begun or (
            len(self._changes) == REMEMBERED and position < first - 1
        )
        new = [each for each in self._changes if each.position > position]
        cases = frozenset(each.case_id for each in new)
        written_in = frozenset(each.case_id for each in new if each.by_user)
        return News(self.position, cases - {0}, written_in, everything)

    async def _follow(self) -> None:
        while True:
            try:
                async with asyncio.timeout(OTHERS_SECONDS if self._database.shared else None):
                    await self._rung.wait()
            except TimeoutError:
                pass
            self._rung.clear()
            if not self._looking:
                # Nobody is told, so nothing need be known: whoever comes next begins anew.
                self._changes.clear()
                self.position = 0
                continue
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001 the next look tries again
                log.warning("feed_failed", error=repr(error))
                self._rung.set()
            await asyncio.sleep(PAUSE_SECONDS)

    async def _look(self) -> None:
        if not self.position:
            self._begun = self.position = await self._database.read(self._database.head)
            self._tell()
            return
        events = await self._database.in_thread(lambda: self._database.events_after(self.position))
        if events:
            self._changes.extend(map(_change, events))
            self.position = events[-1].position
            self._rung.set()  # there may be more
            self._tell()

    def _tell(self) -> None:
        for event in self._looking:
            event.set()


def _change(recorded: Recorded) -> Change:
    event = recorded.event
    by_user = isinstance(event, MessageAdded) and event.kind == "user_message"
    return Change(recorded.position, getattr(event, "case_id", 0), by_user)
