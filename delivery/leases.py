"""Which lanes this process owns: taken when something is due on them, kept by a lease, given back when idle.

On SQLite there is one process, so its leases do not end. On PostgreSQL the database's clock and the lane's token decide,
and notices tell the owner of what other processes enqueued.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final, Protocol

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from kanal.delivery import ledger
from kanal.delivery.lanes import Lane
from kanal.delivery.ledger import NOTICE, Claimed, named_in
from kanal.delivery.meter import Meter
from kanal.delivery.owner import has_ended, own_name
from kanal.delivery.schedule import SECOND
from kanal.delivery.tables import NEVER
from kanal.eventlog.database import Database
from kanal.eventlog.postgres import PostgresDatabase, listen
from kanal.eventlog.writer import LogUnavailable, Writer

LEASE_SECONDS: Final = 30.0
"""How long lanes stay with a process that has fallen silent; only where several processes share them."""
RENEWALS: Final = 6
"""In the time of one lease: a few may fail."""
CLAIM_LIMIT: Final = 64
"""Lanes taken at once, so that several processes share what piled up."""
POLL_SECONDS: Final = 1.0
"""Lanes without an owner are looked for at least so often; a notice or a commit is faster."""
IDLE_SECONDS: Final = 20.0
"""A lane that had nothing to send for so long is given back, where others might use it."""

log = structlog.get_logger(__name__)


class Holder(Protocol):
    """Who sends on the lanes."""

    @property
    def lanes(self) -> Mapping[int, Lane]: ...

    def may_take_more(self) -> bool: ...

    def adopt(self, claimed: Claimed, lease_ends: float) -> None:
        """A lane is ours."""
        ...

    def drop(self, lane: Lane) -> None:
        """A lane is not ours any more."""
        ...

    def follow(self, found: Iterable[Claimed]) -> None:
        """Lanes of ours as they are now, with what may be due on them."""
        ...

    def look_at(self, channel_ids: Collection[int]) -> None:
        """Something is new on these channels; none named: on any."""
        ...


class Leases:
    def __init__(
        self,
        database: Database,
        writer: Writer,
        holder: Holder,
        *,
        seconds: float,
        longest_attempt: float,
        clock: Callable[[], int],
        meter: Meter,
    ) -> None:
        """Raises ValueError."""
        if longest_attempt * 1.5 >= seconds:
            raise ValueError("a lease must be longer than an attempt and the record of its outcome")
        self.owner = own_name()
        self.wanted = asyncio.Event()
        """There may be a lane to take."""
        self._database = database
        self._writer = writer
        self._holder = holder
        self._shared = database.shared
        self._length = int(seconds * SECOND) if self._shared else NEVER
        self._usable = seconds - longest_attempt
        self._clock = clock
        self._meter = meter
        self._ahead = 0
        """Of our monotonic clock is the database's."""

    def now(self) -> int:
        """By the clock that counts for all who share the lanes, whatever becomes of this machine's."""
        return _monotonic() + self._ahead if self._shared else self._clock()

    async def start(self) -> list[Callable[[], Awaitable[None]]]:
        """What has to go on until the end."""
        if self._shared:
            await self._synchronise()
        await self._writer.run(self._set_up)
        if isinstance(self._database, PostgresDatabase):
            return [self._claim_on, self._renew_on, partial(self._listen_on, self._database.url)]
        return [self._claim_on]

    async def release_all(self) -> None:
        await self._writer.run(partial(ledger.release, owner=self.owner))

    def _set_up(self, connection: Connection) -> None:
        if self._shared:
            ledger.void_endless_leases(connection)
        self._void_leases(connection)
        ledger.ask_again(connection, self.now())

    def _void_leases(self, connection: Connection) -> None:
        """Of owners that are gone; where this is the only process, that is all of them."""
        owners = ledger.owners(connection)
        ended = [each for each in owners if not self._shared or has_ended(each)]
        if ended:
            ledger.void_leases(connection, ended)

    # -- taking ----------------------------------------------------------------------------------

    async def _claim_on(self) -> None:
        while True:
            self.wanted.clear()
            try:
                taken = await self._claim() if self._holder.may_take_more() else 0
            except (LogUnavailable, SQLAlchemyError) as error:
                log.warning("lanes_not_claimed", error=repr(error))
                taken = 0
            if taken < CLAIM_LIMIT:
                # Python 3.11's wait_for forgets that it was cancelled, if what it waits for comes at that moment.
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await self.wanted.wait()

    async def _claim(self) -> int:
        now = self.now()
        if not await self._database.read(ledger.claimable, now):
            return 0
        ends = self._ends()
        claim = partial(
            ledger.claim, owner=self.owner, limit=CLAIM_LIMIT, lease=self._length, now=now
        )
        taken = await self._writer.run(claim)
        self._meter.lease_expiries += taken.expired
        self._meter.unknown += taken.unknown
        for each in taken.lanes:
            self._holder.adopt(each, ends)
        return len(taken.lanes)

    def _ends(self) -> float:
        """By our monotonic clock: an attempt begun just before must have ended when the lease does."""
        return time.monotonic() + self._usable if self._shared else float("inf")

    # -- keeping and giving back -----------------------------------------------------------------

    async def _renew_on(self) -> None:
        while True:
            try:
                await self._synchronise()
                ends = self._ends()
                self._keep(await self._writer.run(self._renew), ends)
                await self._give_back()
            except (LogUnavailable, SQLAlchemyError) as error:
                log.warning("leases_not_renewed", error=repr(error))
            await asyncio.sleep(self._length / SECOND / RENEWALS)

    def _renew(self, connection: Connection) -> list[Claimed]:
        self._void_leases(connection)
        return ledger.renew(connection, self.owner, self._length, self.now())

    def _keep(self, kept: list[Claimed], ends: float) -> None:
        lanes = self._holder.lanes
        for claimed in kept:
            if lane := lanes.get(claimed.lane.channel_id):
                lane.lease_ends = ends
        for lost in set(lanes) - {claimed.lane.channel_id for claimed in kept}:
            self._holder.drop(lanes[lost])
        self._holder.follow(kept)

    async def _give_back(self) -> None:
        since = time.monotonic() - IDLE_SECONDS
        until = self.now() + int(IDLE_SECONDS * SECOND)
        idle = [lane for lane in self._holder.lanes.values() if lane.is_idle(since, until)]
        for lane in idle:
            self._holder.drop(lane)
        if idle:
            channel_ids = [lane.channel_id for lane in idle]
            await self._writer.run(
                partial(ledger.release, owner=self.owner, channel_ids=channel_ids)
            )

    async def _synchronise(self) -> None:
        before = _monotonic()
        now = await self._database.read(ledger.database_now, before)
        self._ahead = now - (before + _monotonic()) // 2

    # -- hearing ---------------------------------------------------------------------------------

    async def _listen_on(self, url: str) -> None:
        """Without a notice new work would be found too, by looking."""

        def hear(notice: str) -> None:
            self._holder.look_at(named_in(notice))

        # What was notified before may have been missed.
        hear_all = partial(hear, "")
        await listen(url, NOTICE, hear, connected=hear_all, deaf="notices_not_heard")


def _monotonic() -> int:
    return time.monotonic_ns() // 1000
