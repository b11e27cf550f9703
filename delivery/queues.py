"""What goes out one after another: which queue a delivery stands in, who is its head, and whose turn is next.

The statements are spelled out: what SQLAlchemy makes of a list of keys costs more than all else that is done for an outcome.
"""

import json
from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, and_, func, text, update

from kanal.delivery.tables import OPEN, deliveries
from kanal.delivery.verdict import Delivery
from kanal.domain.deliveries import DeliveryState
from kanal.domain.webhook_options import WebhookOptions

COLUMNS: Final = ", ".join(
    f"d.{name}" for name in Delivery.__struct_fields__ if name != "attempt_id"
)

PLACES: Final = {
    "sqlite": """
        SELECT p.value ->> 0, p.value ->> 1, d.sequence, d.delivery_id, EXISTS (
            SELECT 1 FROM deliveries AS o WHERE o.queue = p.value ->> 2 AND o.turn IS NOT NULL)
        FROM json_each(?) AS p LEFT JOIN deliveries AS d
        ON d.case_id = p.value ->> 0 AND d.channel_id = p.value ->> 1 AND d.sequence = (
            SELECT max(sequence) FROM deliveries
            WHERE case_id = p.value ->> 0 AND channel_id = p.value ->> 1)""",
    "postgresql": """
        SELECT p.case_id, p.channel_id, d.sequence, d.delivery_id, EXISTS (
            SELECT 1 FROM deliveries AS o WHERE o.queue = p.queue AND o.turn IS NOT NULL)
        FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS p (case_id, channel_id, queue)
        LEFT JOIN LATERAL (
            SELECT sequence, delivery_id FROM deliveries
            WHERE case_id = p.case_id AND channel_id = p.channel_id
            ORDER BY sequence DESC LIMIT 1) AS d ON true""",
}

STANDINGS: Final = {
    "sqlite": """
        SELECT d.delivery_id, d.state, d.queue, d.due_at FROM json_each(?) AS p
        CROSS JOIN deliveries AS d ON d.delivery_id = p.value""",
    "postgresql": """
        SELECT delivery_id, state, queue, due_at FROM deliveries WHERE delivery_id = ANY(%s)""",
}

NEXT: Final = {
    "sqlite": f"""
        SELECT {COLUMNS} FROM json_each(?) AS p CROSS JOIN deliveries AS d ON d.delivery_id = (
            SELECT n.delivery_id FROM deliveries AS n WHERE n.queue = p.value AND n.turn IS NOT NULL
            ORDER BY n.turn, n.position LIMIT 1)
        WHERE d.state = 'pending' AND NOT EXISTS (
            SELECT 1 FROM attempts AS a WHERE a.delivery_id = d.delivery_id AND a.ended_at IS NULL)
        AND NOT EXISTS (
            SELECT 1 FROM deliveries AS h WHERE h.queue = p.value AND h.due_at IS NOT NULL)""",
    "postgresql": f"""
        SELECT {COLUMNS} FROM unnest(%s::bigint[]) AS p (queue) CROSS JOIN LATERAL (
            SELECT * FROM deliveries AS n WHERE n.queue = p.queue AND n.turn IS NOT NULL
            ORDER BY n.turn, n.position LIMIT 1) AS d
        WHERE d.state = 'pending' AND NOT EXISTS (
            SELECT 1 FROM attempts AS a WHERE a.delivery_id = d.delivery_id AND a.ended_at IS NULL)
        AND NOT EXISTS (
            SELECT 1 FROM deliveries AS h WHERE h.queue = p.queue AND h.due_at IS NOT NULL)""",
}


CASE_BITS: Final = 40
"""Of a webhook's queue: 10^12 cases, and 8 million webhooks before it. Below these stand the queues of channels."""


class Place(NamedTuple):
    """Where the next delivery of a case comes to stand."""

    sequence: int
    """Of the last one, 0 for none."""
    previous_id: str
    waits: bool
    """Something in the queue is open."""


class Standing(NamedTuple):
    """What may have changed since a delivery was read."""

    state: DeliveryState
    queue: int | None
    is_head: bool


def queue_of(options: WebhookOptions, channel_id: int, case_id: int) -> int | None:
    if options.polling:
        return None
    if channel_id < 0:  # a case may have calls of several webhooks under way, beside its messages
        return (channel_id << CASE_BITS) - case_id
    match options.order:
        case "case":
            return case_id
        case "channel":
            return -channel_id
        case "none":
            return None


def places(
    connection: Connection, wanted: Collection[tuple[int, int, int | None]]
) -> dict[tuple[int, int], Place]:
    """`wanted`: case, channel and queue. By case and channel."""
    found = _execute(
        connection, PLACES, list(zip(*wanted, strict=True)), [list(each) for each in wanted]
    )
    return {
        (case_id, channel_id): Place(sequence or 0, delivery_id or "", bool(waits))
        for case_id, channel_id, sequence, delivery_id, waits in found
    }


def standings(connection: Connection, delivery_ids: Collection[str]) -> dict[str, Standing]:
    found = _execute(connection, STANDINGS, [list(delivery_ids)], list(delivery_ids))
    return {row[0]: Standing(row[1], row[2], row[3] is not None) for row in found}


def next_heads(connection: Connection, queues: Collection[int]) -> list[Delivery]:
    """Of queues without a head: whose turn it is, unless it is held, or under way since before its queue was made anew."""
    found = _execute(connection, NEXT, [list(queues)], list(queues))
    return [Delivery(*row) for row in found]


def reorder(connection: Connection, channel_id: int, options: WebhookOptions, now: int) -> None:
    """All that is open comes to stand in the queues of these options.

    What is under way ends as it would have, perhaps beside the new head: the one time that two of a queue are.
    """
    order = "none" if options.polling else options.order
    queue = {"case": deliveries.c.case_id, "channel": -channel_id, "none": None}[order]
    own = and_(deliveries.c.channel_id == channel_id, OPEN)
    connection.execute(update(deliveries).where(own).values(queue=queue, due_at=None))
    if options.polling:
        return
    first = "state = 'pending'"
    if options.order != "none":
        first += """ AND NOT EXISTS (
            SELECT 1 FROM deliveries AS b WHERE b.queue = deliveries.queue AND b.turn IS NOT NULL
            AND (b.turn, b.position) < (deliveries.turn, deliveries.position))"""
    due = update(deliveries).where(own, text(first))
    connection.execute(due.values(due_at=now, due_since=func.coalesce(deliveries.c.due_since, now)))


def _execute(
    connection: Connection, statements: dict[str, str], arrays: list[Any], listed: list[Any]
) -> Sequence[Any]:
    """PostgreSQL takes an array for each column, SQLite a list of rows as JSON."""
    name = connection.dialect.name
    given = tuple(map(list, arrays)) if name == "postgresql" else (json.dumps(listed),)
    return connection.exec_driver_sql(statements[name], given).fetchall()
