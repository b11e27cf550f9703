"""Replays: what went out goes out again, under the same ids and in the same bytes, little by little.

A replay is a row with a cursor. Each step, in one transaction, puts some of what it names into the queues and moves the
cursor, so that it goes on where it was after a restart, on whichever process.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    case,
    func,
    insert,
    select,
    update,
)

from kanal.delivery.decisions import UNDER_WAY
from kanal.delivery.ledger import lane_rows, notify, promote, wake
from kanal.delivery.queues import queue_of
from kanal.delivery.schedule import MINUTE, SECOND
from kanal.delivery.tables import DEAD, deliveries, lanes, replays
from kanal.domain import webhook_options
from kanal.domain.deliveries import DeliveryReplayAsked, DeliveryReplayCancelled, EndedAs
from kanal.domain.errors import ChannelPolled
from kanal.domain.event import Event
from kanal.domain.stream import Recorded
from kanal.eventlog.projection import Changes

SCANNED: Final = 2000
"""Rows looked at in one step, of which not all may be of those that are replayed."""
OPEN_LIMIT: Final = 1000
"""Of one replay in the queues; a receiver that is down must not find all of it there."""

Changed = Iterable[int]
"""Channels on which something may be due now."""


class Wanted(NamedTuple):
    """Which deliveries; None names nothing. One of the first four is given."""

    channel_id: int | None = None
    case_id: int | None = None
    message_id: int | None = None
    delivery_id: str | None = None
    after: int = 0
    upto: int = 0
    ended_as: EndedAs = "any"


class ReplayRow(NamedTuple):
    """A replay as people look at it."""

    replay_id: int
    state: str
    """`running`, `done` or `cancelled`."""
    channel_id: int | None
    case_id: int | None
    message_id: int | None
    delivery_id: str | None
    since: int | None
    until: int | None
    ended_as: EndedAs
    per_minute: int
    total: int
    """When it was asked for."""
    queued: int
    waiting: int
    """Of those that were queued, what has not ended yet."""
    asked_at: int
    asked_by: str
    ended_at: int | None
    reason: str


# -- looking -------------------------------------------------------------------------------------


def count(connection: Connection, wanted: Wanted) -> int:
    """How many would be replayed. Raises ChannelPolled."""
    for lane in lane_rows(connection, _channels(connection, wanted)).values():
        if lane.options.polling:
            raise ChannelPolled(lane.channel_id)
    joined = deliveries.join(lanes, deliveries.c.channel_id == lanes.c.channel_id)
    query = select(func.count()).select_from(joined).where(_named(wanted), _ended_as(wanted))
    return connection.scalar(query) or 0


def _channels(connection: Connection, wanted: Wanted) -> set[int]:
    """Of what is named."""
    if wanted.channel_id is not None:
        return {wanted.channel_id}
    return set(connection.scalars(select(deliveries.c.channel_id).where(_named(wanted)).distinct()))


def find(connection: Connection, replay_id: int) -> ReplayRow | None:
    row = connection.execute(_rows().where(replays.c.replay_id == replay_id)).first()
    return None if row is None else ReplayRow._make(row)


def listed(
    connection: Connection, limit: int, offset: int, seen: Iterable[ColumnElement[bool]] = ()
) -> tuple[list[ReplayRow], int]:
    """The newest first of those that are seen, and how many these are in all."""
    seen = tuple(seen)
    query = _rows().where(*seen).order_by(replays.c.replay_id.desc()).limit(limit).offset(offset)
    rows = [ReplayRow._make(row) for row in connection.execute(query)]
    return rows, connection.scalar(select(func.count()).select_from(replays).where(*seen)) or 0


def _rows() -> Select[Any]:
    waiting = select(func.count()).where(_open_of(replays.c.replay_id)).scalar_subquery()
    columns: list[Any] = [
        waiting if name == "waiting" else replays.c[name] for name in ReplayRow._fields
    ]
    return select(*columns)


def _named(wanted: Wanted) -> ColumnElement[bool]:
    d = deliveries.c
    conditions = [d.position > wanted.after, d.position <= wanted.upto]
    for name in ("channel_id", "case_id", "message_id", "delivery_id"):
        value = getattr(wanted, name)
        if value is not None:
            conditions.append(d[name] == value)
    return and_(*conditions)


def _ended_as(wanted: Wanted) -> ColumnElement[bool]:
    """What has ended so; on a deleted channel nothing is sent again."""
    d = deliveries.c
    ended = {
        "any": d.state.in_(("delivered", "dead")),
        "delivered": d.state == "delivered",
        "dead": d.state == DEAD,
    }[wanted.ended_as]
    return and_(ended, d.turn.is_(None), lanes.c.state != "deleted")


def _open_of(replay_id: Any) -> ColumnElement[bool]:
    return and_(
        deliveries.c.replay_id == replay_id,
        deliveries.c.replay_id.is_not(None),
        deliveries.c.turn.is_not(None),
    )


# -- going on ------------------------------------------------------------------------------------


def due(connection: Connection, now: int) -> list[int]:
    """Of which something can be done. What waits for its receiver is only looked at: nothing of that is written."""
    r = replays.c
    running = select(r.replay_id, r.cursor, r.upto).where(r.state == "running", r.next_at <= now)
    return [
        replay_id
        for replay_id, cursor, upto in connection.execute(running).all()
        if _may_go_on(cursor < upto, _waiting(connection, replay_id))
    ]


def wait(connection: Connection, now: int) -> float:
    """Seconds until there is something to do, unless a receiver takes what is in the queues before."""
    if due(connection, now):
        return 0.0
    next_at = select(func.min(replays.c.next_at)).where(
        replays.c.state == "running", replays.c.next_at > now
    )
    at = connection.scalar(next_at)
    return float("inf") if at is None else (at - now) / SECOND


def _waiting(connection: Connection, replay_id: int) -> int:
    """How many of it are in the queues."""
    own = select(deliveries.c.delivery_id).where(_open_of(replay_id)).limit(OPEN_LIMIT)
    return connection.scalar(select(func.count()).select_from(own.subquery())) or 0


def _may_go_on(more: bool, waiting: int) -> bool:
    """`more`: something is left behind the cursor. At its end all that waits has to end first."""
    return waiting < OPEN_LIMIT if more else not waiting


def step(connection: Connection, replay_id: int, now: int) -> set[int]:
    """Channels on which something may be due now."""
    query = select(replays).where(replays.c.replay_id == replay_id)
    replay = connection.execute(query).first()
    if replay is None or replay.state != "running" or replay.next_at > now:
        return set()
    waiting = _waiting(connection, replay_id)
    if not _may_go_on(replay.cursor < replay.upto, waiting):
        return set()
    room = min(max(1, replay.per_minute // 60), OPEN_LIMIT - waiting)
    looked_at = connection.execute(_next(replay)).all()
    chosen = [row for row in looked_at if row.chosen and not _is_polled(row.options)][:room]
    cursor = replay.upto if len(looked_at) < SCANNED else looked_at[-1].position
    if len(chosen) == room:
        cursor = chosen[-1].position
    moved: dict[str, Any] = {"cursor": cursor, "queued": replay.queued + len(chosen)}
    if chosen:
        moved["next_at"] = now + len(chosen) * MINUTE // replay.per_minute
    elif cursor < replay.upto or waiting:
        moved["next_at"] = now
    else:
        moved |= {"state": "done", "ended_at": now}
    _move(connection, replay_id, moved)
    return _enqueue(connection, replay, chosen, now)


def _is_polled(options: str) -> bool:
    """Since it was asked for: its receiver does not ask for what stands behind its cursor."""
    return webhook_options.read(options).polling


def _next(replay: Row[Any]) -> Select[Any]:
    """What comes behind the cursor, also what is not of those that are replayed."""
    names = [name for name in Wanted._fields if name != "after"]
    wanted = Wanted(after=replay.cursor, **{name: getattr(replay, name) for name in names})
    d = deliveries.c
    chosen = case((_ended_as(wanted), 1), else_=0).label("chosen")
    known = (d.delivery_id, d.position, d.channel_id, d.case_id, d.state, d.reason)
    query = select(*known, lanes.c.options, chosen)
    joined = deliveries.join(lanes, d.channel_id == lanes.c.channel_id)
    return query.select_from(joined).where(_named(wanted)).order_by(d.position).limit(SCANNED)


def _enqueue(
    connection: Connection, replay: Row[Any], chosen: Sequence[Row[Any]], now: int
) -> set[int]:
    changes = Changes()
    over = set()
    for row in chosen:
        options = webhook_options.read(row.options)
        queue = queue_of(options, row.channel_id, row.case_id)
        due_at = now if queue is None else None
        values = {
            "state": "pending",
            "queue": queue,
            "turn": replay.turn,
            "due_since": due_at,
            "due_at": due_at,
            "failures": 0,
            "first_failed_at": None,
            "replay_id": replay.replay_id,
            "was": row.state,
            "was_because": row.reason,
        }
        changes.update(deliveries, (row.delivery_id,), values)
        over.add(queue)
    return _go_on(connection, changes, over, {row.channel_id for row in chosen}, now)


def _go_on(
    connection: Connection,
    changes: Changes,
    over: Iterable[int | None],
    channel_ids: set[int],
    now: int,
) -> set[int]:
    changes.flush(connection)
    promote(connection, over, now)
    wake(connection, dict.fromkeys(channel_ids, now))
    notify(connection, channel_ids)
    return channel_ids


def _move(connection: Connection, replay_id: int, values: dict[str, Any]) -> None:
    connection.execute(update(replays).where(replays.c.replay_id == replay_id).values(values))


# -- after a loss --------------------------------------------------------------------------------


def numbers(connection: Connection) -> set[int]:
    """Of all that there are."""
    return set(connection.scalars(select(replays.c.replay_id)))


def make_again(connection: Connection, asked: Iterable[Recorded], now: int) -> None:
    """How far they had come nobody knows, and nothing is sent again by itself: they go no further."""
    known = numbers(connection)
    for recorded in asked:
        event = recorded.event
        if isinstance(event, DeliveryReplayAsked) and event.replay_id not in known:
            ended = {"state": "cancelled", "ended_at": now}
            connection.execute(insert(replays).values(_new(recorded, event, now) | ended))


# -- effects of decisions ------------------------------------------------------------------------


def _ask(connection: Connection, recorded: Recorded, now: int) -> Changed:
    event = recorded.event
    assert isinstance(event, DeliveryReplayAsked)
    known = select(replays.c.replay_id).where(replays.c.replay_id == event.replay_id)
    if connection.scalar(known) is None:
        connection.execute(insert(replays).values(_new(recorded, event, now)))
    wanted = Wanted(
        channel_id=event.channel_id or None,
        case_id=event.case_id or None,
        message_id=event.message_id or None,
        after=event.after,
        upto=event.upto,
    )
    return _channels(connection, wanted)


def _new(recorded: Recorded, event: DeliveryReplayAsked, now: int) -> dict[str, Any]:
    return {
        "replay_id": event.replay_id,
        "asked_at": recorded.envelope.at,
        "asked_by": recorded.envelope.who,
        "reason": event.reason,
        "channel_id": event.channel_id or None,
        "case_id": event.case_id or None,
        "message_id": event.message_id or None,
        "delivery_id": event.delivery_id or None,
        "since": event.since or None,
        "until": event.until or None,
        "after": event.after,
        "upto": event.upto,
        "ended_as": event.ended_as,
        "per_minute": event.per_minute,
        "turn": recorded.position,
        "state": "running",
        "cursor": event.after,
        "next_at": now,
        "total": event.count,
        "queued": 0,
        "ended_at": None,
    }


def _cancel(connection: Connection, recorded: Recorded, now: int) -> Changed:
    """What waits in the queues is again what it was; what is under way ends as it would have."""
    event = recorded.event
    assert isinstance(event, DeliveryReplayCancelled)
    running = and_(replays.c.replay_id == event.replay_id, replays.c.state == "running")
    ended = {"state": "cancelled", "ended_at": now}
    if not connection.execute(update(replays).where(running).values(ended)).rowcount:
        return ()
    d = deliveries.c
    query = select(d.delivery_id, d.channel_id, d.queue, d.was, d.was_because, UNDER_WAY)
    waiting = d.state.in_(("pending", "held"))
    left = connection.execute(query.where(_open_of(event.replay_id), waiting)).all()
    changes = Changes()
    for delivery_id, _, _, was, was_because, under_way in left:
        values: dict[str, Any] = {"state": was, "reason": was_because}
        if not under_way:
            values |= {"turn": None, "due_at": None}
        changes.update(deliveries, (delivery_id,), values)
    over = {row.queue for row in left}
    return _go_on(connection, changes, over, {row.channel_id for row in left}, now)


REPLAYS: Final[dict[type[Event], Callable[[Connection, Recorded, int], Changed]]] = {
    DeliveryReplayAsked: _ask,
    DeliveryReplayCancelled: _cancel,
}
