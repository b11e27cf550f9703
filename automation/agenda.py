"""The agenda: asks each duty what is due and sees to it, and lets reactions follow the log, on one process at a time.

What is due stands in read models, so nothing has to be remembered: after a crash, a rebuild or a move to another process
the same question gives the same answer. A duty's commands check the case's own state again, so doing an item twice changes nothing.
"""

import asyncio
import time
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import structlog
from sqlalchemy import Connection

from kanal.domain.work import Work
from kanal.eventlog.bell import NOTICE
from kanal.eventlog.database import Database
from kanal.eventlog.postgres import PostgresDatabase, listen
from kanal.eventlog.projection import Projection
from kanal.eventlog.writer import Done, Writer
from kanal.projections import runner
from kanal.projections.read_model import Views

Item = TypeVar("Item", bound=Hashable)
R = TypeVar("R")

TICK_SECONDS: Final = 0.5
"""Between two questions: nobody notices half a second in what waits for seconds or minutes, and idle it costs one read."""
REACTION_SECONDS: Final = 1.0
"""After which a reaction looks whether there is anything new; of commits it is told, as a rule, also of other processes'."""
REACTION_PAUSE_SECONDS: Final = 0.01
"""After each look, so that under load one look is for many commits."""
AT_ONCE: Final = 32
"""Items under way for one duty."""
FIRST_BACKOFF_SECONDS: Final = 1.0
LONGEST_BACKOFF_SECONDS: Final = 300.0
"""Each failure of an item doubles its pause, up to this."""

log = structlog.get_logger(__name__)


class Duty(Protocol[Item]):
    """One kind of thing that comes due.

    An item is a small hashable value that says all that `act` needs; while it is under way, or pausing after a failure,
    it is not begun again.
    """

    @property
    def name(self) -> str: ...

    def due(self, connection: Connection, views: Views, now: int) -> Sequence[Item]:
        """What has come due by `now` (microseconds), most urgent first, at most about a hundred. Indexed: it runs all the time."""
        ...

    async def act(self, item: Item) -> None:
        """See to one item. When this returns, `due` no longer names it. Whatever it raises is logged and tried again later."""
        ...


class Reaction(Protocol):
    """What follows the log, and does something for what happens there."""

    @property
    def name(self) -> str: ...

    async def follow(self) -> None:
        """Catch up with the log. Whatever it raises is logged; it is called again soon."""
        ...

    async def rest(self) -> None:
        """The process ends, or somebody else leads: keep how far it has come."""
        ...


class Hand:
    """With which duties write: each command in the name of the system, saying which duty and which event caused it."""

    def __init__(self, writer: Writer, duty: str) -> None:
        self._writer = writer
        self._duty = duty

    async def submit(self, command: Callable[[Work], R], *, cause: int | None = None) -> Done[R]:
        """Raises the command's DomainError, LogBusy, LogUnavailable."""
        return await self._writer.submit(
            command, who="system", origin="automation", request=self._duty, cause=cause
        )


class _Failed(NamedTuple):
    times: int
    again_at: float
    """On the monotonic clock."""


class Standing(NamedTuple):
    """A duty as operators look at it."""

    name: str
    under_way: int
    failing: int
    """Items that failed and are tried again later."""


class Agenda:
    """`start`, then it works until `close`."""

    def __init__(
        self,
        database: Database,
        models: Sequence[Projection],
        duties: Sequence[Duty[Any]],
        reactions: Sequence[Reaction] = (),
        *,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        """`clock`: microseconds since the epoch."""
        self._database = database
        self._models = models
        self._duties = duties
        self._reactions = reactions
        self._clock = clock
        self._leadership = database.leadership()
        self._under_way: dict[tuple[str, Hashable], asyncio.Task[None]] = {}
        self._failed: dict[tuple[str, Hashable], _Failed] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.leads = False
        """As far as is known."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = [asyncio.Event() for _ in reactions]

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        turns = self._turn_after_turn()
        self._tasks = [asyncio.create_task(turns, name="kanal-agenda")]
        for reaction, news in zip(self._reactions, self._news, strict=True):
            following = self._follow_on(reaction, news)
            self._tasks.append(asyncio.create_task(following, name=f"kanal-{reaction.name}"))
        if self._reactions and isinstance(self._database, PostgresDatabase):
            hearing = listen(
                self._database.url,
                NOTICE,
                lambda _: self._tell(),
                connected=self._tell,
                deaf="bell_not_heard",
            )
            self._tasks.append(asyncio.create_task(hearing, name="kanal-bell"))

    def standings(self) -> list[Standing]:
        """Of this process; one that does not lead does nothing."""
        return [
            Standing(
                duty.name,
                sum(name == duty.name for name, _ in self._under_way),
                sum(name == duty.name for name, _ in self._failed),
            )
            for duty in self._duties
        ]

    def wake(self) -> None:
        """Something was committed: reactions need not wait for their time. From any thread."""
        if self._loop and self._reactions:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        for news in self._news:
            news.set()

    async def close(self, seconds: float) -> None:
        """Nothing new begins; what is under way may end within `seconds`, then it is cut off: it stays due."""
        await _cancelled(*self._tasks)
        for reaction in self._reactions:
            with suppress(Exception):  # how far it has come is a hint alone
                await reaction.rest()
        tasks = set(self._under_way.values())
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
            await _cancelled(*tasks)
        await asyncio.to_thread(self._leadership.release)

    async def _turn_after_turn(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                await self.turn()
            except Exception as error:  # noqa: BLE001 the next turn tries again
                log.error("agenda_failed", error=repr(error))

    async def _follow_on(self, reaction: Reaction, news: asyncio.Event) -> None:
        led = False
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(REACTION_SECONDS):
                    await news.wait()
            news.clear()
            try:
                leads = self.leads = await asyncio.to_thread(self._leadership.held)
                if leads:
                    await reaction.follow()
                elif led:
                    await reaction.rest()
                led = leads
                await asyncio.sleep(REACTION_PAUSE_SECONDS)
            except Exception as error:  # noqa: BLE001 the next time it tries again
                log.error("reaction_failed", reaction=reaction.name, error=repr(error))
                await asyncio.sleep(TICK_SECONDS)

    async def turn(self) -> None:
        """Ask once, and begin what is due."""
        if not await asyncio.to_thread(self._leadership.held):
            return
        for duty, items in await self._database.read(self._ask):
            self._forget_failures(duty, items)
            for item in items:
                if sum(name == duty.name for name, _ in self._under_way) >= AT_ONCE:
                    break
                self._begin(duty, item)

    def _ask(self, connection: Connection) -> list[tuple[Duty[Any], Sequence[Hashable]]]:
        """All duties at one moment, but for those that cannot be asked."""
        views, now = runner.views(connection, self._models), self._clock()
        asked: list[tuple[Duty[Any], Sequence[Hashable]]] = []
        for duty in self._duties:
            try:
                # A savepoint: on PostgreSQL a failed statement ends its transaction.
                with connection.begin_nested():
                    asked.append((duty, duty.due(connection, views, now)))
            except Exception as error:  # noqa: BLE001 one duty's trouble is not the others'
                log.error("duty_not_asked", duty=duty.name, error=repr(error))
        return asked

    def _begin(self, duty: Duty[Any], item: Hashable) -> None:
        key = (duty.name, item)
        failed = self._failed.get(key)
        if key in self._under_way or (failed and failed.again_at > time.monotonic()):
            return
        task = asyncio.create_task(self._see_to(duty, item))
        self._under_way[key] = task
        task.add_done_callback(lambda _: self._under_way.pop(key, None))

    async def _see_to(self, duty: Duty[Any], item: Hashable) -> None:
        key = (duty.name, item)
        try:
            await duty.act(item)
        except Exception as error:  # noqa: BLE001 one item's trouble is not the others'
            times = self._failed[key].times + 1 if key in self._failed else 1
            pause = min(FIRST_BACKOFF_SECONDS * 2 ** (times - 1), LONGEST_BACKOFF_SECONDS)
            self._failed[key] = _Failed(times, time.monotonic() + pause)
            log.warning(
                "duty_failed", duty=duty.name, item=str(item), times=times, error=repr(error)
            )
        else:
            self._failed.pop(key, None)

    def _forget_failures(self, duty: Duty[Any], items: Sequence[Hashable]) -> None:
        """Of items that nobody names any more."""
        named = set(items)
        gone = [key for key in self._failed if key[0] == duty.name and key[1] not in named]
        for key in gone:
            del self._failed[key]


async def _cancelled(*tasks: "asyncio.Task[Any]") -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task
