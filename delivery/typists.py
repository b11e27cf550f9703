"""Who is typing in which case at this moment: in memory, for seconds, and told to the other processes.

It is no event and stands in no table: nothing depends on it, and a moment later it is not true any more.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

import structlog
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import SQLAlchemyError

from kanal.delivery.schedule import SECOND
from kanal.eventlog.database import Database
from kanal.eventlog.postgres import PostgresDatabase, listen

TYPING_SECONDS: Final = 6
"""For so long it holds; clients say it again every few seconds while it does."""
QUIET_SECONDS: Final = 2
"""Said again sooner it is taken, and passed on to nobody: a key press is not worth a message."""
REMEMBERED: Final = 10_000
"""Cases; the one in which nobody has typed for the longest time is forgotten first."""
NOTICE: Final = "kanal_typing"
"""PostgreSQL's channel on which processes tell each other."""

log = structlog.get_logger(__name__)


class Typist(NamedTuple):
    user_id: int
    staff_id: int
    """One of the two is 0."""


class Noted(NamedTuple):
    until: int
    """Microseconds."""
    is_news: bool
    """False if it was said a moment ago."""


class Typists:
    """`start`, then it hears of the other processes until `close`."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
        notice: str = NOTICE,
    ) -> None:
        """`notice`: another one where it is not typing that they do."""
        self._database = database
        self._clock = clock
        self._notice = notice
        self._cases: OrderedDict[int, dict[Typist, int]] = OrderedDict()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if isinstance(self._database, PostgresDatabase):
            self._task = asyncio.create_task(
                listen(
                    self._database.url, self._notice, self._hear, deaf=f"{self._notice}_not_heard"
                )
            )

    async def close(self) -> None:
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def note(self, case_id: int, typist: Typist) -> Noted:
        """That they are typing now."""
        known = self._told_a_moment_ago(case_id, typist)
        if known:
            return Noted(known, is_news=False)
        until = self._remember(case_id, typist)
        if self._database.shared:
            try:
                told = f"{case_id},{typist.user_id},{typist.staff_id}"
                await self._database.read(_tell, self._notice, told)
            except SQLAlchemyError as error:
                log.warning("typing_not_told", error=repr(error))
        return Noted(until, is_news=True)

    def of(self, case_id: int) -> dict[Typist, int]:
        """Until when each of them counts as typing, in the order in which they began."""
        now = self._clock()
        return {who: until for who, until in self._cases.get(case_id, {}).items() if until > now}

    def _told_a_moment_ago(self, case_id: int, typist: Typist) -> int:
        """Until when it counts then, else 0."""
        known = self._cases.get(case_id, {}).get(typist, 0)
        recent = self._clock() + (TYPING_SECONDS - QUIET_SECONDS) * SECOND
        return known if known > recent else 0

    def _remember(self, case_id: int, typist: Typist) -> int:
        until = self._clock() + TYPING_SECONDS * SECOND
        self._cases[case_id] = {**self.of(case_id), typist: until}
        self._cases.move_to_end(case_id)
        if len(self._cases) > REMEMBERED:
            self._cases.popitem(last=False)
        return until

    def _hear(self, notice: str) -> None:
        case_id, user_id, staff_id = map(int, notice.split(","))
        typist = Typist(user_id, staff_id)
        # Our own notices come back to us.
        if not self._told_a_moment_ago(case_id, typist):
            self._remember(case_id, typist)


def _tell(connection: Connection, notice: str, told: str) -> None:
    connection.execute(select(func.pg_notify(notice, told)))
    connection.commit()
