"""Deliveries as people look at them: where each stands, what came of its last attempt, when the next one will be."""

from collections.abc import Collection
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, not_, or_, select

from kanal.delivery.tables import (
    DEAD,
    MESSAGE_NEW,
    NEVER,
    OPEN,
    PENDING,
    Kind,
    attempts,
    deliveries,
    lanes,
)

State = Literal["pending", "held", "delivered", "dead"]
"""`held`: it waits because somebody holds it, or because its channel is paused or disabled."""

ChannelState = Literal["ok", "failing", "paused", "disabled"]
CHANNEL_DISABLED: Final = "The channel is disabled."
RULE_DISABLED: Final = "The rule is disabled."


class DeliveryRow(NamedTuple):
    delivery_id: str
    kind: Kind
    channel_id: int
    case_id: int
    message_id: int
    """0 where the kind tells of no message."""
    sequence: int
    state: State
    attempts: int
    created_at: int
    next_attempt_at: int | None
    """None also while an earlier message of the case is pending, and while only a new Webhook URL can help."""
    delivered_at: int | None
    outcome_class: str | None
    http_status: int | None
    sentence: str | None
    outcome_at: int | None
    reason: str | None
    replay_id: int | None
    """The last replay that sent it again, or will."""


class Sent(NamedTuple):
    """What goes over the wire, the same on every attempt."""

    content_type: str
    body: bytes
    previous_id: str
    """`webhook-id` of the message that went out before it in its case, "" for none."""


class AttemptRow(NamedTuple):
    number: int
    started_at: int
    ended_at: int | None
    """None while it is under way."""
    outcome_class: str | None
    http_status: int | None
    sentence: str | None
    excerpt: str | None
    """The first part of the receiver's answer."""
    address: str | None
    """The numeric address that was dialled."""


class ChannelRow(NamedTuple):
    """Whether a channel's deliveries go out, and what waits."""

    state: ChannelState
    since: int
    reason: str | None
    """Why it is paused or disabled."""
    failures: int
    """Of the endpoint, in a row."""
    next_probe_at: int | None
    """When a failing channel is tried again; None also while only a new Webhook URL can help."""
    waiting: int
    oldest_at: int | None
    """Since when the oldest of what waits does."""


class Filter(NamedTuple):
    channel_id: int | None = None
    case_id: int | None = None
    message_id: int | None = None
    state: State | None = None
    kind: Kind | None = None
    within: tuple[ColumnElement[bool], ...] = ()
    """Conditions on the columns channel_id and case_id of `deliveries`: what the caller sees."""
    position: int | None = None
    """Of the event that it went out for."""
    after: int | None = None
    """Only those of later positions, `upto` of no later ones."""
    upto: int | None = None
    outcome_class: str | None = None
    """Of the last attempt; of what did not succeed there are few, so only these are looked through."""


class Waiting(NamedTuple):
    """How many there are that may need somebody."""

    pending: int
    held: int
    dead: int


WITH_LANES: Final = deliveries.join(
    lanes, deliveries.c.channel_id == lanes.c.channel_id, isouter=True
)
CLOSED: Final = lanes.c.state.in_(("paused", "disabled"))
RARE: Final[tuple[Kind, ...]] = (
    "message_edited",
    "message_deleted",
    "case_status",
    "rule_webhook",
)
"""Kinds that have an index; all else are messages."""
FAILED_IN: Final[tuple[State, ...]] = ("pending", "held", "dead")
"""The states of what no attempt has succeeded with."""
HELD: Final = and_(
    OPEN, or_(deliveries.c.state == "held", and_(deliveries.c.state == PENDING, CLOSED))
)
SENDABLE: Final = and_(
    deliveries.c.due_at.is_not(None),
    deliveries.c.state == PENDING,
    lanes.c.state == "active",
    lanes.c.paused_until < NEVER,
)
NEXT_ATTEMPT_AT: Final = case(
    (and_(SENDABLE, deliveries.c.due_at < lanes.c.paused_until), lanes.c.paused_until),
    (SENDABLE, deliveries.c.due_at),
)
SHOWN: Final[dict[str, ColumnElement[Any]]] = {
    "state": case((HELD, "held"), else_=deliveries.c.state),
    "next_attempt_at": NEXT_ATTEMPT_AT,
    "reason": case(
        (deliveries.c.state != PENDING, deliveries.c.reason),
        (and_(lanes.c.state == "disabled", lanes.c.channel_id < 0), RULE_DISABLED),
        (lanes.c.state == "disabled", CHANNEL_DISABLED),
        (lanes.c.state == "paused", lanes.c.pause_reason),
    ),
}


CHANNEL_COLUMNS: Final = (
    "channel_id",
    "state",
    "state_since",
    "pause_reason",
    "failing_since",
    "failures",
    "paused_until",
)


def find(connection: Connection, delivery_id: str) -> tuple[DeliveryRow, Sent] | None:
    query = _rows(*[deliveries.c[name] for name in Sent._fields])
    row = connection.execute(query.where(deliveries.c.delivery_id == delivery_id)).first()
    if row is None:
        return None
    shown = len(DeliveryRow._fields)
    return DeliveryRow._make(row[:shown]), Sent._make(row[shown:])


def of_messages(connection: Connection, message_ids: Collection[int]) -> dict[int, DeliveryRow]:
    """How each of these messages itself goes out, by its id; not what tells of its being edited or deleted."""
    if not message_ids:
        return {}
    wanted = (deliveries.c.message_id.in_(message_ids), deliveries.c.kind == MESSAGE_NEW)
    found = map(DeliveryRow._make, connection.execute(_rows().where(*wanted)))
    return {row.message_id: row for row in found}


def attempts_of(connection: Connection, delivery_id: str, limit: int) -> list[AttemptRow]:
    """The last ones, the latest first."""
    columns = [attempts.c[name] for name in AttemptRow._fields]
    query = select(*columns).where(attempts.c.delivery_id == delivery_id)
    rows = connection.execute(query.order_by(attempts.c.number.desc()).limit(limit))
    return [AttemptRow._make(row) for row in rows]


def excerpts(connection: Connection, attempt_ids: Collection[str]) -> dict[str, str]:
    """What was kept of the receiver's answers."""
    if not attempt_ids:
        return {}
    query = select(attempts.c.attempt_id, attempts.c.excerpt)
    rows = connection.execute(query.where(attempts.c.attempt_id.in_(attempt_ids)))
    return {attempt_id: excerpt for attempt_id, excerpt in rows if excerpt}


def listed(
    connection: Connection, wanted: Filter, limit: int, offset: int
) -> tuple[list[DeliveryRow], int]:
    """The newest first, and how many there are in all."""
    newest: ColumnElement[Any] = deliveries.c.position
    if wanted.state in ("pending", "held"):
        # Few of many: a sum has no index, so that the index of what is pending is used and not that of all.
        newest = newest + 0
    query = _filtered(_rows(), wanted).order_by(newest.desc())
    rows = connection.execute(query.limit(limit).offset(offset))
    return [DeliveryRow._make(row) for row in rows], _counted(connection, wanted)


def newest(connection: Connection, wanted: Filter, limit: int) -> list[tuple[int, DeliveryRow]]:
    """With their positions, the newest first; the last one's is where the next page goes on."""
    if wanted.outcome_class is not None and wanted.state is None:
        # Whose last attempt failed is open or dead, and both have an index of their own.
        found = [
            row
            for state in FAILED_IN
            for row in newest(connection, wanted._replace(state=state), limit)
        ]
        return sorted(found, key=lambda row: -row[0])[:limit]
    position: ColumnElement[Any] = deliveries.c.position
    if wanted.state in ("pending", "held"):
        position = position + 0  # as in `listed`
    query = _filtered(_rows(deliveries.c.position.label("at")), wanted)
    rows = connection.execute(query.order_by(position.desc()).limit(limit))
    return [(row.at, DeliveryRow._make(row[:-1])) for row in rows]


def waiting(connection: Connection, wanted: Filter) -> Waiting:
    """Of those that the filter finds, whatever their state."""
    return Waiting._make(
        _counted(connection, wanted._replace(state=state))  # type: ignore[arg-type]
        for state in Waiting._fields
    )


def of_channels(
    connection: Connection, channel_ids: Collection[int] | None = None
) -> dict[int, ChannelRow]:
    """By the channel; None: of all that are not deleted."""
    own = and_(deliveries.c.channel_id == lanes.c.channel_id, OPEN)
    waiting = select(func.count()).where(own).scalar_subquery()
    # What is replayed was on time once.
    first = and_(own, deliveries.c.replay_id.is_(None))
    oldest = select(func.min(deliveries.c.created_at)).where(first).scalar_subquery()
    query = select(*[lanes.c[name] for name in CHANNEL_COLUMNS], waiting, oldest)
    if channel_ids is None:
        query = query.where(lanes.c.state != "deleted")
    else:
        query = query.where(lanes.c.channel_id.in_(channel_ids))
    return {row.channel_id: _channel(row) for row in connection.execute(query)}


def _channel(row: Any) -> ChannelRow:
    waiting, oldest_at = row[-2:]
    if row.state in ("paused", "disabled"):
        disabled = RULE_DISABLED if row.channel_id < 0 else CHANNEL_DISABLED
        reason = row.pause_reason if row.state == "paused" else disabled
        return ChannelRow(
            row.state, row.state_since, reason, row.failures, None, waiting, oldest_at
        )
    if row.failing_since is None:
        return ChannelRow("ok", row.state_since, None, row.failures, None, waiting, oldest_at)
    probe = row.paused_until if waiting and row.paused_until < NEVER else None
    return ChannelRow("failing", row.failing_since, None, row.failures, probe, waiting, oldest_at)


def _rows(*more: ColumnElement[Any]) -> Select[Any]:
    columns = [
        SHOWN[name].label(name) if name in SHOWN else deliveries.c[name]
        for name in DeliveryRow._fields
    ]
    return select(*columns, *more).select_from(WITH_LANES)


def _counted(connection: Connection, wanted: Filter) -> int:
    if wanted.state == "delivered":
        # Nearly all of them: counted by what is not, over indexes, without a look at the rows.
        every, pending, held, dead = (
            _counted(connection, wanted._replace(state=state))
            for state in (None, "pending", "held", "dead")
        )
        return every - pending - held - dead
    if wanted.kind == "message_new":
        every, *others = (
            _counted(connection, wanted._replace(kind=kind)) for kind in (None, *RARE)
        )
        return every - sum(others)
    counted = WITH_LANES if wanted.state in ("pending", "held") else deliveries
    query = select(func.count()).select_from(counted)
    return connection.scalar(_filtered(query, wanted)) or 0


def _filtered(query: Select[Any], wanted: Filter) -> Select[Any]:
    query = query.where(*wanted.within)
    for name in ("channel_id", "case_id", "message_id", "position"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(deliveries.c[name] == value)
    if wanted.after is not None:
        query = query.where(deliveries.c.position > wanted.after)
    if wanted.upto is not None:
        query = query.where(deliveries.c.position <= wanted.upto)
    if wanted.outcome_class is not None:
        query = query.where(deliveries.c.outcome_class == wanted.outcome_class)
    if wanted.kind in RARE:
        query = query.where(deliveries.c.kind != MESSAGE_NEW)
    if wanted.kind is not None:
        query = query.where(deliveries.c.kind == wanted.kind)
    match wanted.state:
        case "held":
            query = query.where(HELD)
        case "pending":
            query = query.where(OPEN, deliveries.c.state == PENDING, not_(CLOSED))
        case "dead":
            query = query.where(deliveries.c.state == DEAD)
        case "delivered":
            query = query.where(deliveries.c.state == "delivered")
    return query
