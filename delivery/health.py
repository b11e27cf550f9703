"""How well what goes out arrives: counted in a period, timed by the newest deliveries of it."""

from collections.abc import Collection
from typing import Final, NamedTuple

from sqlalchemy import Connection, func, select

from kanal.delivery.tables import DEAD, MESSAGE_NEW, OPEN, deliveries

SAMPLE: Final = 1000
"""Deliveries of a channel that are timed: a look at each is a look at a row of some KB, and so many say what the 99th percentile is."""


STRIP: Final = 60
"""Deliveries that are shown one by one."""


class Recent(NamedTuple):
    """The newest deliveries of a channel, at most SAMPLE of them."""

    strip: list["Arrival"]
    """The last of them, the oldest first."""
    counted: int
    delivered: int
    dead: int
    since: int
    """When the first that is counted was written."""
    median: int
    """From the event to its arrival, in milliseconds, as the next two; of what arrived without a replay."""
    p95: int
    p99: int


class Arrival(NamedTuple):
    delivery_id: str
    state: str
    created_at: int
    milliseconds: int | None
    """None of what has not arrived."""


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


def recent(connection: Connection, channel_id: int) -> Recent:
    c = deliveries.c
    columns = (c.delivery_id, c.state, c.created_at, c.delivered_at, c.replay_id)
    query = select(*columns).where(c.channel_id == channel_id).order_by(c.position.desc())
    rows = connection.execute(query.limit(SAMPLE)).all()
    arrivals = [
        Arrival(
            row.delivery_id,
            row.state,
            row.created_at,
            None if row.delivered_at is None else max(0, row.delivered_at - row.created_at) // 1000,
        )
        for row in rows
    ]
    times = sorted(
        each.milliseconds
        for each, row in zip(arrivals, rows, strict=True)
        if each.milliseconds is not None and row.replay_id is None
    )
    return Recent(
        strip=arrivals[:STRIP][::-1],
        counted=len(rows),
        delivered=sum(row.state == "delivered" for row in rows),
        dead=sum(row.state == "dead" for row in rows),
        since=rows[-1].created_at if rows else 0,
        median=_ranked(times, 50),
        p95=_ranked(times, 95),
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
