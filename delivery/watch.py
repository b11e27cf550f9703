"""A duty of the agenda: tells people of channels that fail, pauses those that have failed for days, tells of recoveries.

When something is to be told stands in the lane (`notice_at`), written with the outcome that led to it: nothing is counted
in memory, and a channel without trouble costs nothing.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, select, update

from kanal.delivery.schedule import DAY
from kanal.delivery.tables import NEVER, attempts, deliveries, lanes
from kanal.delivery.verdict import NOTICED_AFTER, SILENCE_LIMIT
from kanal.domain.channel_delivery import (
    STEPS,
    pause_delivery,
    tell_of_recovery,
    warn_of_failures,
)
from kanal.domain.deliveries import NO_FAILURE, Failure
from kanal.domain.errors import ChannelNotFound
from kanal.domain.work import Work
from kanal.eventlog.database import Database
from kanal.eventlog.writer import Writer

AT_ONCE: Final = 100
"""Channels looked at in one turn."""


class Trouble(NamedTuple):
    """A lane of which something is to be told, as it was when it was looked at."""

    channel_id: int
    failing_since: int | None
    """None: it is well again."""
    failed_id: str | None
    failures: int
    charged_at: int
    paused_until: int


COLUMNS: Final = [lanes.c[name] for name in Trouble._fields]


class ChannelTookAMessage(Exception):
    """Between the look at it and the decision: it is not paused."""


class FailingChannels:
    name = "failing_channels"

    def __init__(self, database: Database, writer: Writer, pause_after: int) -> None:
        """`pause_after`: microseconds of nothing but failures, 0 for never."""
        self._database = database
        self._writer = writer
        self._pause_after = pause_after

    def due(self, connection: Connection, views: object, now: int) -> Sequence[Trouble]:
        told = lanes.c.notice_at <= now
        query = select(*COLUMNS).where(told, lanes.c.state == "active", lanes.c.channel_id > 0)
        query = query.limit(AT_ONCE)
        return [Trouble(*row) for row in connection.execute(query)]

    async def act(self, item: Trouble) -> None:
        now = self._writer.clock()
        since = item.failing_since
        if since is None:
            await self._submit(
                partial(tell_of_recovery, channel_id=item.channel_id),
                partial(_told, item=item, warned=0, notice_at=None),
            )
        elif item.paused_until < NEVER and item.charged_at < now - SILENCE_LIMIT:
            # Nothing was tried for so long: nobody can say that it still fails.
            await self._writer.run(partial(_forget, item=item))
        elif self._pause_after and now >= since + self._pause_after:
            await self._pause(item)
        else:
            await self._warn(item, since, now)

    async def _warn(self, item: Trouble, since: int, now: int) -> None:
        times = notice_times(since, self._pause_after)
        passed = [percent for percent, at in times if at <= now]
        percent = passed[-1] if passed else 0
        following = [at for step, at in times if step > percent and at > now]
        pause_at = since + self._pause_after if self._pause_after else 0
        command = partial(
            warn_of_failures,
            channel_id=item.channel_id,
            since=since,
            failures=item.failures,
            percent=percent,
            pause_at=pause_at,
            failure=await self._failure(item),
        )
        next_at = following[0] if following else (pause_at or None)
        warned = STEPS.index(percent) + 1
        await self._submit(command, partial(_told, item=item, warned=warned, notice_at=next_at))

    async def _pause(self, item: Trouble) -> None:
        failure = await self._failure(item)
        days = self._pause_after / DAY
        command = partial(
            pause_delivery,
            channel_id=item.channel_id,
            by="failures",
            reason=f"Nothing went through for {days:g} days. {failure.sentence}".strip(),
            failure=failure,
        )
        await self._submit(command, partial(_still, item=item))

    async def _submit(
        self, command: Callable[[Work], int], beside: Callable[[Connection, int], None]
    ) -> None:
        try:
            await self._writer.submit(
                command, who="system", origin="delivery", request=self.name, beside=beside
            )
        except (ChannelNotFound, ChannelTookAMessage):
            return

    async def _failure(self, item: Trouble) -> Failure:
        if item.failed_id is None:
            return NO_FAILURE
        row = await self._database.read(_last_attempt, item.failed_id)
        if row is None:
            return NO_FAILURE
        return Failure(
            delivery_id=item.failed_id,
            attempt_id=row.attempt_id,
            case_id=row.case_id,
            message_id=row.message_id,
            outcome_class=row.outcome_class,
            http_status=row.http_status or 0,
            sentence=row.sentence,
        )


def notice_times(since: int, pause_after: int) -> list[tuple[int, int]]:
    """Percent of the way to the pause, and when it is told."""
    first, *others = STEPS
    times = [(first, since + NOTICED_AFTER)]
    for percent in others:
        at = since + pause_after * percent // 100
        if at > times[-1][1]:
            times.append((percent, at))
    return times


def _told(
    connection: Connection, _: int, *, item: Trouble, warned: int, notice_at: int | None
) -> None:
    """A lane that has changed meanwhile is looked at again."""
    own = lanes.c.channel_id == item.channel_id
    same = lanes.c.failing_since.is_not_distinct_from(item.failing_since)
    connection.execute(update(lanes).where(own).values(warned=warned))
    connection.execute(update(lanes).where(own, same).values(notice_at=notice_at))
    if warned:
        well = lanes.c.failing_since.is_(None)
        connection.execute(update(lanes).where(own, well).values(notice_at=0))


def _forget(connection: Connection, *, item: Trouble) -> None:
    unchanged = (lanes.c.channel_id == item.channel_id, lanes.c.charged_at == item.charged_at)
    connection.execute(update(lanes).where(*unchanged).values(notice_at=None))


def _still(connection: Connection, _: int, *, item: Trouble) -> None:
    """Raises ChannelTookAMessage."""
    own = lanes.c.channel_id == item.channel_id
    since = connection.scalar(select(lanes.c.failing_since).where(own, lanes.c.state == "active"))
    if since != item.failing_since:
        raise ChannelTookAMessage


def _last_attempt(connection: Connection, delivery_id: str) -> Any:
    query = (
        select(
            attempts.c.attempt_id,
            attempts.c.outcome_class,
            attempts.c.http_status,
            attempts.c.sentence,
            deliveries.c.case_id,
            deliveries.c.message_id,
        )
        .join(deliveries, deliveries.c.delivery_id == attempts.c.delivery_id)
        .where(attempts.c.delivery_id == delivery_id, attempts.c.ended_at.is_not(None))
        .order_by(attempts.c.number.desc())
        .limit(1)
    )
    return connection.execute(query).first()
