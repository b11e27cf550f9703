"""How well what goes out arrives: counted in a period, timed by the newest deliveries of it."""

from collections.abc import Collection
from typing import Final, NamedTuple

from sqlalchemy import Connection, func, select

from kanal.delivery.tables import DEAD, MESSAGE_NEW, OPEN, deliveries

SAMPLE: Final = 1000
"""Deliveries of a channel that are timed: a look at each is a look at a row of some KB, and so many say what the 99th percentile is."""


class Health(NamedTuple):
    deliveries: int
    """What was to go out."""
    failed: int
    """Given up, or refused by somebody."""
    waiting: int
    timed: int
    """How many of the messages that arrived the next two are taken from."""
    median: int
    """From the answer to its arrival, in milliseconds."""
    p99: int


def of_channels(
    connection: Connection, channel_ids: Collection[int], since: int, until: int
) -> dict[int, Health]:
    """What was written in that time (microseconds)."""
    return {each: _of_channel(connection, each, since, until) for each in channel_ids}


def _of_channel(connection: Connection, channel_id: int, since: int, until: int) -> Health:
    c = deliveries.c
    first = _position(connection, channel_id, since)
    last = _position(connection, channel_id, until)
    within = [c.channel_id == channel_id, c.position >= first, c.position < last]
    amount = connection.scalar(select(func.count()).where(*within)) or 0
    dead = select(func.count()).where(*within, c.state == DEAD)
    waiting = select(func.count()).where(*within, OPEN)
    arrived = select(c.delivered_at - c.created_at).where(
        *within, c.kind == MESSAGE_NEW, c.delivered_at.is_not(None), c.replay_id.is_(None)
    )
    newest = connection.scalars(arrived.order_by(c.position.desc()).limit(SAMPLE))
    times = sorted(max(0, each) // 1000 for each in newest)
    return Health(
        deliveries=amount,
        failed=(connection.scalar(dead) or 0) if amount else 0,
        waiting=(connection.scalar(waiting) or 0) if amount else 0,
        timed=len(times),
        median=_ranked(times, 50),
        p99=_ranked(times, 99),
    )


def _ranked(times: list[int], percent: int) -> int:
    """The least one that so many percent do not exceed; 0 without any."""
    return times[-(-len(times) * percent // 100) - 1] if times else 0


def _position(connection: Connection, channel_id: int, at: int) -> int:
    """Of the channel's first delivery that was made then or later; one beyond the last if there is none.

    Time never goes back in the log, so a few looks along the index find it.
    """
    c = deliveries.c
    own = c.channel_id == channel_id
    low, high = connection.execute(
        select(func.min(c.position), func.max(c.position)).where(own)
    ).one()
    if low is None:
        return 0
    high += 1
    while low < high:
        middle = (low + high) // 2
        query = select(c.position, c.created_at).where(own, c.position >= middle)
        row = connection.execute(query.order_by(c.position).limit(1)).first()
        if row is None or row.created_at >= at:
            high = middle
        else:
            low = row.position + 1
    return int(low)
