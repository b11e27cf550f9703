"""What goes out on a channel, for a receiver that asks for it instead of being called: pages in the order of the log.

Positions are given in the order of commits, so whoever goes on behind the last one that he saw misses nothing.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, func, select, update

from kanal.delivery.ledger import lane_rows
from kanal.delivery.overview import SHOWN, WITH_LANES, State
from kanal.delivery.schedule import MINUTE
from kanal.delivery.tables import OPEN, deliveries, lanes
from kanal.domain.errors import ChannelNotPolled

PAGE_BYTES: Final = 8 * 1024 * 1024
"""Of bodies; a page ends early rather than be larger, but has one delivery at least."""
CHUNK: Final = 1_000
"""Rows ended in one transaction of the writer, which others wait for."""
POLLED: Final = 10 * MINUTE
"""For so long after a call that waited other processes tell of what is new on its channel."""


class Polled(NamedTuple):
    delivery_id: str
    position: int
    case_id: int
    message_id: int
    sequence: int
    previous_id: str
    created_at: int
    state: State
    content_type: str
    body: bytes


class Page(NamedTuple):
    rows: list[Polled]
    more: bool
    """There is something behind it already."""


def page(connection: Connection, channel_id: int, after: int, limit: int) -> Page:
    """What stands behind that position."""
    position = deliveries.c.position
    behind = select(position, func.length(deliveries.c.body)).where(
        deliveries.c.channel_id == channel_id, position > after
    )
    found = connection.execute(behind.order_by(position).limit(limit + 1)).all()
    last, size = after, 0
    for each, length in found[:limit]:
        size += length
        if size > PAGE_BYTES and last > after:
            break
        last = each
    if last == after:
        return Page([], more=False)
    columns: list[Any] = [SHOWN.get(name, deliveries.c[name]) for name in Polled._fields]
    query = select(*columns).select_from(WITH_LANES).where(deliveries.c.channel_id == channel_id)
    rows = connection.execute(query.where(position > after, position <= last).order_by(position))
    return Page([Polled._make(row) for row in rows], more=found[-1][0] > last)


def at(connection: Connection, channel_id: int, position: int) -> str | None:
    """The id of what stands there."""
    query = select(deliveries.c.delivery_id).where(deliveries.c.channel_id == channel_id)
    return connection.scalar(query.where(deliveries.c.position == position))


def is_announced(connection: Connection, channel_id: int, now: int) -> bool:
    """Whether other processes tell of what is new there, for as long as anybody may wait."""
    until = connection.scalar(select(lanes.c.polled_until).where(lanes.c.channel_id == channel_id))
    return (until or 0) > now + POLLED // 2


def announce(connection: Connection, channel_id: int, now: int) -> None:
    """From here on they do. Inside a transaction of the writer."""
    values = {"polled_until": now + POLLED}
    connection.execute(update(lanes).where(lanes.c.channel_id == channel_id).values(values))


def acknowledge(connection: Connection, channel_id: int, upto: int, now: int) -> int:
    """The receiver has all up to that position; returns how many of it were open. Inside a transaction of the writer.

    Of so many as `CHUNK` there may be more: again, in the next transaction. Raises ChannelNotPolled.
    """
    lane = lane_rows(connection, [channel_id])[channel_id]
    if not lane.options.polling:
        raise ChannelNotPolled(channel_id)
    arrived = {
        "state": "delivered",
        "turn": None,
        "due_at": None,
        "delivered_at": now,
        "reason": None,
    }
    oldest = _oldest_open(connection, channel_id)
    ended = [row.delivery_id for row in oldest if row.position <= upto]
    own = deliveries.c.delivery_id.in_(ended)
    return connection.execute(update(deliveries).where(own).values(arrived)).rowcount


def _oldest_open(connection: Connection, channel_id: int) -> Sequence[Any]:
    """Along the index of what is open. The log's time never goes back, so this is also the order of the positions."""
    d = deliveries.c
    query = select(d.delivery_id, d.position).where(d.channel_id == channel_id, OPEN)
    return connection.execute(query.order_by(d.created_at, d.position).limit(CHUNK)).all()
