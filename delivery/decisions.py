"""What somebody decided about deliveries, carried out on their rows in the transaction of the event.

An attempt that is under way ends as it would have: until then its delivery stays the head of its queue, whatever was
decided, and a success counts. Each effect asks the row as it is, so that carrying it out twice changes nothing.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec.structs import replace
from sqlalchemy import Connection, Row, Select, and_, exists, func, select, update

from kanal.delivery.ledger import promote, wake
from kanal.delivery.queues import queue_of
from kanal.delivery.tables import attempts, deliveries, lanes
from kanal.domain import webhook_options
from kanal.domain.deliveries import (
    DELIVERIES,
    DeliveryDecision,
    DeliveryHeld,
    DeliveryNow,
    DeliveryReleased,
    DeliveryRetried,
    DeliverySkipped,
)
from kanal.domain.errors import DecidedMeanwhile
from kanal.domain.event import Envelope, Event
from kanal.domain.stream import Recorded
from kanal.eventlog.database import Database
from kanal.eventlog.stream_ids import StreamIds

UNDER_WAY: Final = exists().where(
    attempts.c.delivery_id == deliveries.c.delivery_id, attempts.c.ended_at.is_(None)
)


def look_to_decide(
    connection: Connection,
    delivery_id: str,
    now: int,
    *,
    database: Database,
    stream_ids: StreamIds,
) -> DeliveryNow | None:
    """As `look`, with how many decisions there were, so that an equal one made meanwhile is noticed."""
    seen = look(connection, delivery_id, now)
    if seen is None:
        return None
    return replace(seen, decided=_decided_before(connection, delivery_id, database, stream_ids))


def look(connection: Connection, delivery_id: str, now: int) -> DeliveryNow | None:
    """The delivery as it is."""
    d = deliveries.c
    columns = (d.channel_id, d.case_id, d.message_id, d.state, d.queue, d.due_at)
    lane = (lanes.c.state.label("lane"), lanes.c.paused_until, lanes.c.options)
    joined = deliveries.join(lanes, d.channel_id == lanes.c.channel_id)
    query = select(*columns, *lane, UNDER_WAY.label("under_way")).select_from(joined)
    row = connection.execute(query.where(d.delivery_id == delivery_id)).first()
    if row is None:
        return None
    due = row.due_at is not None and row.due_at <= now
    sendable = due and row.lane == "active" and row.paused_until <= now
    return DeliveryNow(
        delivery_id=delivery_id,
        channel_id=row.channel_id,
        case_id=row.case_id,
        message_id=row.message_id,
        state=row.state,
        behind=_before(connection, row.queue, delivery_id) if row.due_at is None else "",
        imminent=row.under_way or sendable or (due and row.lane in ("disabled", "paused")),
        removed=row.lane == "deleted",
        polled=webhook_options.read(row.options).polling,
    )


def unchanged(seen: DeliveryNow) -> Callable[[Connection, Any], None]:
    """To be run beside the command that decides. Raises DecidedMeanwhile: then look again."""

    def check(connection: Connection, _: Any) -> None:
        query = select(deliveries.c.state).where(deliveries.c.delivery_id == seen.delivery_id)
        if connection.scalar(query) != seen.state:
            raise DecidedMeanwhile(seen.delivery_id)

    return check


def _decided_before(
    connection: Connection, delivery_id: str, database: Database, stream_ids: StreamIds
) -> int:
    events = database.events
    stream_id = stream_ids.of(DELIVERIES, delivery_id)
    query = select(func.count()).select_from(events).where(events.c.stream_id == stream_id)
    return connection.scalar(query) or 0


def _before(connection: Connection, queue: int | None, delivery_id: str) -> str:
    """Who else of this queue is sent first."""
    if queue is None:
        return ""
    d = deliveries.c
    others = select(d.delivery_id).where(
        d.queue == queue, d.turn.is_not(None), d.delivery_id != delivery_id
    )
    first = others.order_by(d.due_at.is_(None), d.turn, d.position).limit(1)
    return connection.scalar(first) or ""


# -- effects -------------------------------------------------------------------------------------


def _hold(connection: Connection, recorded: Recorded, now: int) -> Iterable[int]:
    decision, row = _decided(connection, recorded)
    if row is None or row.state != "pending":
        return ()
    values: dict[str, Any] = {
        "state": "held",
        "reason": _reason("Held", decision, recorded.envelope),
    }
    if not row.under_way:
        values["due_at"] = None
    _set(connection, decision.delivery_id, values)
    return _go_on(connection, row, now)


def _release(connection: Connection, recorded: Recorded, now: int) -> Iterable[int]:
    decision, row = _decided(connection, recorded)
    if row is None or row.state != "held":
        return ()
    _set(connection, decision.delivery_id, _pending_again(row))
    return _go_on(connection, row, now)


def _skip(connection: Connection, recorded: Recorded, now: int) -> Iterable[int]:
    decision, row = _decided(connection, recorded)
    if row is None or row.state not in ("pending", "held"):
        return ()
    values: dict[str, Any] = {
        "state": "dead",
        "reason": _reason("Skipped", decision, recorded.envelope),
    }
    if not row.under_way:
        values |= {"turn": None, "due_at": None}
    _set(connection, decision.delivery_id, values)
    return _go_on(connection, row, now)


def _retry(connection: Connection, recorded: Recorded, now: int) -> Iterable[int]:
    decision, row = _decided(connection, recorded)
    if row is None or row.state == "delivered" or row.lane == "deleted":
        return ()
    if row.state != "pending":
        _set(connection, decision.delivery_id, _pending_again(row))
    _go_on(connection, row, now)
    if not row.under_way:
        _hurry(connection, row, now)
    return (row.channel_id,)


def _pending_again(row: Row[Any]) -> dict[str, Any]:
    """As if it were new, but where it stood."""
    values = {
        "state": "pending",
        "queue": _queue(row),
        "turn": row.position if row.turn is None else row.turn,
        "reason": None,
        "failures": 0,
        "first_failed_at": None,
    }
    # What is under way began as the queue's head and stays it.
    return values if row.under_way else {**values, "due_at": None, "due_since": None}


def _queue(row: Row[Any]) -> int | None:
    """What had ended may have stood in one of another order."""
    if row.turn is not None:
        queue: int | None = row.queue
        return queue
    return queue_of(webhook_options.read(row.options), row.channel_id, row.case_id)


def _go_on(connection: Connection, row: Row[Any], now: int) -> Iterable[int]:
    """Whoever may be due in its queue now, is."""
    if webhook_options.read(row.options).polling:
        return (row.channel_id,)
    queue = _queue(row)
    if queue is None:
        due = and_(
            deliveries.c.delivery_id == row.delivery_id,
            deliveries.c.state == "pending",
            deliveries.c.due_at.is_(None),
        )
        connection.execute(update(deliveries).where(due).values(due_at=now, due_since=now))
    else:
        promote(connection, [queue], now)
    wake(connection, {row.channel_id: now})
    return (row.channel_id,)


def _hurry(connection: Connection, row: Row[Any], now: int) -> None:
    """If it is the head of its queue: before all that is due on the channel, and as the probe of one that is paused."""
    d = deliveries.c
    first = select(func.min(d.due_at)).where(d.channel_id == row.channel_id, d.due_at.is_not(None))
    at = min(now, (connection.scalar(first) or now) - 1)
    own = and_(d.delivery_id == row.delivery_id, d.due_at.is_not(None))
    if not connection.execute(update(deliveries).where(own).values(due_at=at)).rowcount:
        return
    wake(connection, {row.channel_id: at})
    if row.paused_until > now:
        # One failure less: in vain, it makes the pause no longer than it was.
        failures = max(1, row.lane_failures - 1)
        paused = update(lanes).where(lanes.c.channel_id == row.channel_id)
        connection.execute(paused.values(paused_until=now, failures=failures))


def _decided(
    connection: Connection, recorded: Recorded
) -> tuple[DeliveryDecision, Row[Any] | None]:
    decision = recorded.event
    assert isinstance(decision, DeliveryDecision)
    d, lane = deliveries.c, lanes.c
    query: Select[Any] = select(
        *(d.delivery_id, d.channel_id, d.case_id, d.position, d.state, d.queue, d.turn, d.due_at),
        *(
            lane.state.label("lane"),
            lane.options,
            lane.paused_until,
            lane.failures.label("lane_failures"),
        ),
        UNDER_WAY.label("under_way"),
    ).select_from(deliveries.join(lanes, d.channel_id == lane.channel_id))
    return decision, connection.execute(query.where(d.delivery_id == decision.delivery_id)).first()


def _set(connection: Connection, delivery_id: str, values: dict[str, Any]) -> None:
    own = update(deliveries).where(deliveries.c.delivery_id == delivery_id)
    connection.execute(own.values(values))


def _reason(what: str, decision: DeliveryDecision, envelope: Envelope) -> str:
    """For people: "Skipped by staff member 5. The receiver has it already"."""
    kind, _, number = envelope.who.partition(":")
    who = f"staff member {number}" if kind == "staff" else "the operator"
    return f"{what} by {who}. {decision.reason}".rstrip()


DECISIONS: Final[dict[type[Event], Callable[[Connection, Recorded, int], Iterable[int]]]] = {
    DeliveryHeld: _hold,
    DeliveryReleased: _release,
    DeliverySkipped: _skip,
    DeliveryRetried: _retry,
}
"""Each returns the channels on which something may be due now."""
