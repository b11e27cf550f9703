"""The durable steps of sending: take lanes, write intents and outcomes, promote the next message, give lanes back.

Each function runs inside one transaction of the writer. On PostgreSQL that makes them serial over all processes, so a
lane's token that was read in a transaction still holds at its end.
"""

import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    bindparam,
    func,
    literal,
    or_,
    select,
    text,
    update,
)

from kanal.delivery import kept_headers, kept_secrets, queues
from kanal.delivery.body import TEMPLATE_VERSION
from kanal.delivery.outcome import SENTENCES, OutcomeClass
from kanal.delivery.queues import Place, Standing
from kanal.delivery.signing import Secret, Signers, signers_of
from kanal.delivery.tables import NEVER, OPEN, PENDING, Kind, attempts, deliveries, lanes
from kanal.delivery.verdict import (
    Attempted,
    Delivery,
    LaneRow,
    Rules,
    Verdict,
    judge,
    wishes_of,
)
from kanal.domain import webhook_options
from kanal.domain.channels import ChannelType
from kanal.domain.deliveries import DeliveryState
from kanal.domain.rule_webhooks import Method
from kanal.domain.stream import Recorded
from kanal.domain.webhook_options import WebhookOptions
from kanal.eventlog.projection import Changes

NOTICE: Final = "kanal_lanes"
"""PostgreSQL's channel on which processes tell each other that a lane has something new."""
NOTICE_LIMIT: Final = 7000
"""Bytes; PostgreSQL takes up to 8000. An empty notice means: look at all of them."""

LATE: Final = " Recorded after another process had taken over the channel's sending; not counted."

LANE_COLUMNS: Final[list[Any]] = [lanes.c[name] for name in LaneRow.__struct_fields__]

HEAD_COLUMNS: Final[list[Any]] = [
    deliveries.c[name] for name in Delivery.__struct_fields__ if name not in ("body", "attempt_id")
]
"""In the order of `Delivery`'s first fields; the body follows where it is wanted."""

# Made once, as each reply or webhook runs them: building a statement costs more than running it.
_CLOCK: Final = text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
_LANES_OF: Final = select(*LANE_COLUMNS).where(
    lanes.c.channel_id.in_(bindparam("channel_ids", expanding=True))
)
_HEADS: Final = and_(
    deliveries.c.channel_id == bindparam("channel_id"), deliveries.c.state == PENDING
)
_DUE_HEADS: Final = (
    select(*HEAD_COLUMNS)
    .where(_HEADS, deliveries.c.due_at <= bindparam("now"))
    .order_by(deliveries.c.due_at)
    .limit(bindparam("limit"))
)
_NEXT_HEAD: Final = select(func.min(deliveries.c.due_at)).where(
    _HEADS, deliveries.c.due_at > bindparam("now")
)


class LeaseLost(Exception):
    """Another process owns the channel's sending now."""


class DecidedOtherwise(Exception):
    """Meanwhile somebody decided about the delivery."""


class Intent(NamedTuple):
    """An attempt about to be made."""

    delivery: Delivery
    token: int


class Withdrawn(NamedTuple):
    """An attempt whose intent is durable and which is not made after all."""

    delivery: Delivery
    token: int


Entry = Intent | Withdrawn | Attempted


class AttemptDecision(NamedTuple):
    """An attempt that is more than an outcome."""

    attempted: Attempted
    state: Literal["dead", "held"] | None
    """What the message becomes, if it is more than its outcome."""
    pause: bool
    """The channel's delivery is paused."""


@dataclass
class Written:
    """What one transaction of intents and outcomes did."""

    lanes: dict[int, LaneRow]
    """The lanes concerned, as they are afterwards."""
    begun: list[Delivery] = field(default_factory=list)
    """Their intents are durable."""
    refused: list[Delivery] = field(default_factory=list)
    """Intents not written: the lane was lost, disabled or deleted, it was decided otherwise of the delivery, or there
    is one already."""
    promoted: list[Delivery] = field(default_factory=list)
    """The next messages of cases whose head has ended."""
    decisions: list["AttemptDecision"] = field(default_factory=list)
    """Not recorded yet: they go with the events that say what was decided."""
    again: list[tuple[int, int]] = field(default_factory=list)
    """Channel and time of what is to be tried again."""
    fenced: set[str] = field(default_factory=set)
    """Outcomes that came too late: another process has the lane."""


class Claimed(NamedTuple):
    lane: LaneRow
    secrets: tuple[Secret, ...]
    """The newest first."""
    headers: Mapping[str, str] = {}
    """The channel's own."""

    def signers(self, now: int) -> Signers:
        return signers_of(self.secrets, self.lane.options.signature, now)


class Taken(NamedTuple):
    lanes: list[Claimed]
    expired: int = 0
    """Lanes whose former owner had not given them back."""
    unknown: int = 0
    """Attempts that it had left open."""


class Heads(NamedTuple):
    due: list[Delivery]
    next_due: int | None
    """When the next head that is not due yet will be."""


def attempt_row(delivery: Delivery, token: int, started_at: int) -> dict[str, Any]:
    """A new intent; gives the delivery its attempt's id. Ids grow with time, so that the ledger's index stays dense."""
    delivery.attempt_id = f"{started_at:014x}{secrets.token_hex(6)}"
    return {
        "attempt_id": delivery.attempt_id,
        "delivery_id": delivery.delivery_id,
        "channel_id": delivery.channel_id,
        "number": delivery.attempts + 1,
        "token": token,
        "started_at": started_at,
        "ended_at": None,
        "outcome_class": None,
        "http_status": None,
        "sentence": None,
        "excerpt": None,
        "address": None,
    }


def attempt_ids_before(at: int) -> ColumnElement[bool]:
    """Of attempts that began before: a range of the primary key."""
    return attempts.c.attempt_id < f"{max(0, at):014x}"


def database_now(connection: Connection, now: int) -> int:
    """Where processes of several hosts share lanes, the database's clock is the one that counts."""
    if connection.dialect.name != "postgresql":
        return now
    return int(connection.scalar(_CLOCK) or now)


# -- lanes ---------------------------------------------------------------------------------------


def owners(connection: Connection) -> list[str]:
    """Whoever owns a lane, or did when it ended without giving it back."""
    return list(connection.scalars(select(lanes.c.owner).where(lanes.c.owner != "").distinct()))


def void_leases(connection: Connection, ended: Collection[str]) -> None:
    """These owners are gone: nobody has to wait for the end of their leases."""
    connection.execute(update(lanes).where(lanes.c.owner.in_(ended)).values(lease_until=0))


def void_endless_leases(connection: Connection) -> None:
    """A backup of SQLite holds leases that do not end, and their owner does not come along."""
    connection.execute(update(lanes).where(lanes.c.lease_until == NEVER).values(lease_until=0))


def ask_again(connection: Connection, now: int) -> None:
    """Refused addresses may be allowed by the settings that this process started with."""
    connection.execute(
        update(lanes)
        .where(lanes.c.paused_until == NEVER)
        .values(paused_until=0, failures=0, due_at=func.coalesce(lanes.c.due_at, now))
    )


def claimable(connection: Connection, now: int) -> bool:
    return connection.execute(_claimable(database_now(connection, now), 1)).first() is not None


def claim(connection: Connection, owner: str, limit: int, lease: int, now: int) -> Taken:
    """Take lanes that have something due and no living owner.

    Attempts that a former owner left open are from here on attempts whose outcome is unknown.
    """
    now = database_now(connection, now)
    query = _claimable(now, limit).with_for_update(skip_locked=True)
    former = {row.channel_id: row.owner for row in connection.execute(query)}
    found = list(former)
    if not found:
        return Taken([])
    connection.execute(
        update(lanes)
        .where(lanes.c.channel_id.in_(found))
        .values(owner=owner, token=lanes.c.token + 1, lease_until=min(now + lease, NEVER))
    )
    unknown = _close_open_attempts(connection, found, now)
    return Taken(read_lanes(connection, found), sum(map(bool, former.values())), unknown)


def renew(connection: Connection, owner: str, lease: int, now: int) -> list[Claimed]:
    """The lanes that are still this owner's."""
    now = database_now(connection, now)
    own = lanes.c.owner == owner
    connection.execute(update(lanes).where(own).values(lease_until=min(now + lease, NEVER)))
    return read_lanes(connection, list(connection.scalars(select(lanes.c.channel_id).where(own))))


def release(connection: Connection, owner: str, channel_ids: Collection[int] | None = None) -> None:
    """Whoever is free may take them. None: all that this owner has."""
    due = select(func.min(deliveries.c.due_at)).where(
        deliveries.c.channel_id == lanes.c.channel_id, deliveries.c.due_at.is_not(None)
    )
    statement = update(lanes).where(lanes.c.owner == owner)
    if channel_ids is not None:
        statement = statement.where(lanes.c.channel_id.in_(channel_ids))
    connection.execute(statement.values(owner="", lease_until=0, due_at=due.scalar_subquery()))


def read_lanes(connection: Connection, channel_ids: Collection[int]) -> list[Claimed]:
    """With the secrets that sign their webhooks, and their own headers."""
    kept = kept_secrets.read(connection, channel_ids)
    rows = lane_rows(connection, channel_ids).values()
    wanted = [row.channel_id for row in rows if row.options.headers]
    headers = kept_headers.read(connection, wanted) if wanted else {}
    return [
        Claimed(row, kept.get(row.channel_id, ()), headers.get(row.channel_id, {})) for row in rows
    ]


def lane_rows(connection: Connection, channel_ids: Collection[int]) -> dict[int, LaneRow]:
    rows = connection.execute(_LANES_OF, {"channel_ids": list(channel_ids)})
    return {row[0]: _lane_row(row) for row in rows}


def new_lane(
    channel_id: int,
    url: str,
    channel_type: ChannelType,
    options: WebhookOptions,
    at: int,
    *,
    method: Method = "POST",
    rule_id: int | None = None,
) -> dict[str, Any]:
    return {
        "channel_id": channel_id,
        "webhook_url": url,
        "channel_type": channel_type,
        "options": webhook_options.stored(options),
        "state": "active",
        "open_since": at,
        "failures": 0,
        "charged_at": 0,
        "paused_until": 0,
        "due_at": None,
        "owner": "",
        "token": 0,
        "lease_until": 0,
        "state_since": at,
        "pause_reason": None,
        "failing_since": None,
        "failed_id": None,
        "warned": 0,
        "notice_at": None,
        "polled_until": 0,
        "method": method,
        "rule_id": rule_id,
    }


def set_lane(connection: Connection, channel_id: int, values: Mapping[str, Any]) -> None:
    connection.execute(update(lanes).where(lanes.c.channel_id == channel_id).values(values))


def start_anew(connection: Connection, channel_id: int, at: int) -> None:
    """What failed or waited before tells nothing of the channel as it is now."""
    values = {
        "failures": 0,
        "paused_until": 0,
        "charged_at": at,
        "open_since": at,
        "due_at": at,
        "failing_since": None,
        "failed_id": None,
        "warned": 0,
        "notice_at": None,
    }
    set_lane(connection, channel_id, values)
    connection.execute(
        update(deliveries)
        .where(deliveries.c.channel_id == channel_id, deliveries.c.due_at > at)
        .values(due_at=at, failures=0, first_failed_at=None)
    )


def end_lane(connection: Connection, channel_id: int, reason: str) -> None:
    """Nothing more is sent there: what waits is dead, for that reason."""
    set_lane(connection, channel_id, {"state": "deleted", "notice_at": None})
    waiting = deliveries.c.state.in_(("pending", "held"))
    connection.execute(
        update(deliveries)
        .where(deliveries.c.channel_id == channel_id, OPEN, waiting)
        .values(state="dead", turn=None, due_at=None, reason=reason)
    )


def _lane_row(row: Row[Any]) -> LaneRow:
    lane = LaneRow(*tuple(row))
    lane.options = webhook_options.read(row.options)
    return lane


def due_heads(connection: Connection, channel_id: int, now: int, limit: int) -> Heads:
    """The oldest heads of the channel's cases, without their bodies."""
    of = {"channel_id": channel_id, "now": now}
    due = [Delivery(*row) for row in connection.execute(_DUE_HEADS, of | {"limit": limit})]
    return Heads(due, None if len(due) == limit else connection.scalar(_NEXT_HEAD, of))


# -- deliveries ----------------------------------------------------------------------------------


def new_delivery(
    recorded: Recorded,
    delivery_id: str,
    *,
    channel_id: int,
    case_id: int = 0,
    message_id: int = 0,
    kind: Kind,
    queue: int | None,
    place: Place,
    due_at: int | None,
    content_type: str,
    body: bytes,
    variables: str | None = None,
    dead_because: str | None = None,
) -> dict[str, Any]:
    """The row of what goes out because of an event; one that was enqueued before stays as it is. `dead_because`: it can never
    be delivered.
    """
    dead = dead_because is not None
    return {
        "delivery_id": delivery_id,
        "position": recorded.position,
        "channel_id": channel_id,
        "case_id": case_id,
        "message_id": message_id,
        "kind": kind,
        "sequence": place.sequence + 1,
        "previous_id": place.previous_id,
        "queue": queue,
        "turn": None if dead else recorded.position,
        "created_at": recorded.envelope.at,
        "state": "dead" if dead else "pending",
        "due_since": due_at,
        "due_at": due_at,
        "attempts": 0,
        "failures": 0,
        "first_failed_at": None,
        "outcome_class": None,
        "http_status": None,
        "sentence": None,
        "outcome_at": None,
        "delivered_at": None,
        "reason": dead_because,
        "replay_id": None,
        "was": None,
        "was_because": None,
        "template_version": TEMPLATE_VERSION,
        "content_type": content_type,
        "variables": variables,
        "body": body,
    }


# -- attempts ------------------------------------------------------------------------------------


def write(
    connection: Connection,
    entries: Sequence[Entry],
    eager: Collection[int],
    rules: Rules,
    now: int,
) -> Written:
    """Outcomes first, then intents; each counts only under the token of its lane's present owner.

    `eager`: channels with places to spare, where the next message of a case is begun in the same commit.
    """
    channel_ids = {entry.delivery.channel_id for entry in entries}
    written = Written(lane_rows(connection, channel_ids))
    standings = queues.standings(connection, {entry.delivery.delivery_id for entry in entries})
    changes = Changes()
    over: set[int | None] = set()
    for entry in entries:
        standing = standings[entry.delivery.delivery_id]
        if isinstance(entry, Attempted):
            goes_on = _record(changes, written, entry, standing, rules)
        elif isinstance(entry, Withdrawn):
            goes_on = _withdraw(changes, written, entry, standing)
        else:
            continue
        if goes_on:
            over.add(standing.queue)
    changes.flush(connection)
    changes = Changes()
    for delivery in promote(connection, over, now):
        lane = written.lanes[delivery.channel_id]
        if delivery.channel_id in eager and _is_healthy(lane):
            _begin(changes, written, delivery, lane.token, now)
        else:
            written.promoted.append(delivery)
    intents = [entry for entry in entries if isinstance(entry, Intent)]
    under_way = _under_way(connection, [intent.delivery.delivery_id for intent in intents])
    for intent in intents:
        if intent.delivery.delivery_id in under_way:
            written.refused.append(intent.delivery)
        else:
            _intend(changes, written, intent, standings[intent.delivery.delivery_id], now)
    changes.flush(connection)
    _read_bodies(connection, written.begun)
    return written


def conclude(
    connection: Connection, decision: AttemptDecision, rules: Rules, reason: str, now: int
) -> Written:
    """Beside the events of a decision: the attempt's outcome, and the next message's turn.

    Raises LeaseLost, DecidedOtherwise.
    """
    attempted = decision.attempted
    delivery = attempted.delivery
    written = Written(lane_rows(connection, [delivery.channel_id]))
    lane = written.lanes[delivery.channel_id]
    if lane.token != attempted.token:
        raise LeaseLost(delivery.channel_id)
    standing = queues.standings(connection, [delivery.delivery_id])[delivery.delivery_id]
    if decision.state and standing.state != "pending":
        raise DecidedOtherwise(delivery.delivery_id)
    changes = Changes()
    # What is only paused does not end by its age.
    verdict = judge(lane, attempted, rules if decision.state else replace(rules, horizon=NEVER))
    state: DeliveryState = standing.state
    if decision.state:
        state = decision.state
        verdict = verdict._replace(result="exhausted")
        changes.update(deliveries, (delivery.delivery_id,), {"reason": reason})
    elif verdict.result == "delivered":
        state = "delivered"
    if not standing.is_head:
        verdict = verdict._replace(due_at=None)
    elif state == "pending":
        verdict = verdict._replace(due_at=verdict.due_at or now)
    _complete(changes, lane, attempted, verdict, state)
    changes.flush(connection)
    written.promoted += promote(connection, [standing.queue], now)
    return written


def _record(
    changes: Changes, written: Written, attempted: Attempted, standing: Standing, rules: Rules
) -> bool:
    """Whether its queue may go on. What was decided of it during the attempt holds, unless it did arrive."""
    delivery = attempted.delivery
    lane = written.lanes.get(delivery.channel_id)
    if lane is None or lane.token != attempted.token:
        _end_attempt(changes, attempted, LATE)
        written.fenced.add(delivery.delivery_id)
        return False
    verdict = judge(lane, attempted, rules)
    state = standing.state
    if lane.state == "deleted" and state in ("pending", "held"):
        state = "dead"
    decision = _decision(lane, attempted, verdict, state)
    if decision.state or decision.pause:
        written.decisions.append(decision)
        return False
    if verdict.result == "delivered":
        state = "delivered"
    if not standing.is_head:
        # Its queue was made anew meanwhile, and another is its head.
        verdict = verdict._replace(due_at=None)
    _complete(changes, lane, attempted, verdict, state)
    if state == "pending" and verdict.due_at is not None:
        written.again.append((delivery.channel_id, verdict.due_at))
    return state != "pending" or not standing.is_head


def _decision(
    lane: LaneRow, attempted: Attempted, verdict: Verdict, state: DeliveryState
) -> AttemptDecision:
    wishes = wishes_of(lane, attempted)
    pause = "disable" in wishes and lane.channel_id > 0 and lane.state != "deleted"
    if state == "pending" and "abort-message" in wishes:
        return AttemptDecision(attempted, "dead", pause)
    if state == "pending" and verdict.result == "exhausted":
        return AttemptDecision(
            attempted, "held" if lane.options.on_exhausted == "hold" else "dead", pause
        )
    return AttemptDecision(attempted, None, pause)


def _complete(
    changes: Changes, lane: LaneRow, attempted: Attempted, verdict: Verdict, state: DeliveryState
) -> None:
    delivery, outcome = attempted.delivery, attempted.outcome
    _end_attempt(changes, attempted)
    changes.update(
        deliveries,
        (delivery.delivery_id,),
        {
            "state": state,
            "due_at": verdict.due_at if state == "pending" else None,
            "attempts": delivery.attempts + 1,
            "failures": verdict.failures,
            "first_failed_at": verdict.first_failed_at,
            "outcome_class": str(outcome.outcome_class),
            "http_status": outcome.http_status,
            "sentence": outcome.sentence,
            "outcome_at": outcome.ended_at,
        },
    )
    if state in ("delivered", "dead"):
        changes.update(deliveries, (delivery.delivery_id,), {"turn": None})
    if verdict.result == "delivered":
        # Even if the channel was deleted meanwhile: it did arrive.
        arrived = {"delivered_at": outcome.ended_at, "reason": None}
        changes.update(deliveries, (delivery.delivery_id,), arrived)
    if verdict.lane:
        changes.update(lanes, (lane.channel_id,), dict(verdict.lane))
        for name, value in verdict.lane.items():
            setattr(lane, name, value)


def _end_attempt(changes: Changes, attempted: Attempted, remark: str = "") -> None:
    outcome = attempted.outcome
    changes.update(
        attempts,
        (attempted.delivery.attempt_id,),
        {
            "started_at": outcome.started_at,
            "ended_at": outcome.ended_at,
            "outcome_class": str(outcome.outcome_class),
            "http_status": outcome.http_status,
            "sentence": outcome.sentence + remark,
            "excerpt": outcome.excerpt,
            "address": outcome.address,
        },
    )


def promote(connection: Connection, over: Iterable[int | None], now: int) -> list[Delivery]:
    """The new heads. `over`: queues whose head may have ended; None is no queue. What ended is flushed already."""
    changes = Changes()
    ended = {queue for queue in over if queue is not None}
    promoted = queues.next_heads(connection, ended) if ended else []
    for delivery in promoted:
        delivery.due_since = delivery.due_since or now
        delivery.due_at = now
        values = {"due_since": delivery.due_since, "due_at": now}
        changes.update(deliveries, (delivery.delivery_id,), values)
    changes.flush(connection)
    return promoted


def _intend(
    changes: Changes, written: Written, intent: Intent, standing: Standing, now: int
) -> None:
    delivery, token = intent
    lane = written.lanes.get(delivery.channel_id)
    sendable = standing.state == "pending" and standing.is_head
    if lane is None or lane.token != token or lane.state != "active" or not sendable:
        written.refused.append(delivery)
    else:
        _begin(changes, written, delivery, token, now)


def _under_way(connection: Connection, delivery_ids: Collection[str]) -> set[str]:
    """A delivery that is new may be read as a head before it is known that it came with its intent."""
    if not delivery_ids:
        return set()
    query = select(attempts.c.delivery_id).where(attempts.c.delivery_id.in_(delivery_ids))
    return set(connection.scalars(query.where(attempts.c.ended_at.is_(None))))


def _begin(changes: Changes, written: Written, delivery: Delivery, token: int, now: int) -> None:
    changes.insert(attempts, attempt_row(delivery, token, now))
    written.begun.append(delivery)


def _withdraw(changes: Changes, written: Written, withdrawn: Withdrawn, standing: Standing) -> bool:
    """Whether its queue may go on. No trace stays of what was never sent."""
    delivery, token = withdrawn
    lane = written.lanes.get(delivery.channel_id)
    if lane is None or lane.token != token:  # the new owner has counted it already
        return False
    changes.delete(attempts, (delivery.attempt_id,))
    if standing.state != "pending":
        _step_aside(changes, delivery.delivery_id, standing.state)
    return standing.state != "pending" or not standing.is_head


def _step_aside(changes: Changes, delivery_id: str, state: DeliveryState) -> None:
    """It was decided otherwise during an attempt that has ended without a trace or an outcome."""
    values = {"due_at": None} if state == "held" else {"due_at": None, "turn": None}
    changes.update(deliveries, (delivery_id,), values)


def _is_healthy(lane: LaneRow) -> bool:
    return lane.state == "active" and not lane.failures and not lane.paused_until


def _read_bodies(connection: Connection, begun: list[Delivery]) -> None:
    lacking = {delivery.delivery_id: delivery for delivery in begun if delivery.body is None}
    if lacking:
        columns = select(deliveries.c.delivery_id, deliveries.c.body)
        query = columns.where(deliveries.c.delivery_id.in_(lacking))
        for delivery_id, body in connection.execute(query):
            lacking[delivery_id].body = body


def _claimable(now: int, limit: int) -> Any:
    return (
        select(lanes.c.channel_id, lanes.c.owner)
        .where(lanes.c.state == "active", lanes.c.lease_until < now, lanes.c.paused_until <= now)
        .where(or_(lanes.c.owner != "", lanes.c.due_at <= now))
        .order_by(func.coalesce(lanes.c.due_at, literal(0)))
        .limit(limit)
    )


def _close_open_attempts(connection: Connection, channel_ids: list[int], now: int) -> int:
    """How many there were."""
    query = select(attempts.c.attempt_id, attempts.c.delivery_id, attempts.c.number).where(
        attempts.c.channel_id.in_(channel_ids), attempts.c.ended_at.is_(None)
    )
    sentence = SENTENCES[OutcomeClass.UNKNOWN]
    changes = Changes()
    left = connection.execute(query.order_by(attempts.c.number)).all()
    for attempt_id, delivery_id, number in left:
        known = {"outcome_class": str(OutcomeClass.UNKNOWN), "sentence": sentence}
        changes.update(attempts, (attempt_id,), {**known, "ended_at": now})
        changes.update(
            deliveries,
            (delivery_id,),
            {**known, "attempts": number, "http_status": None, "outcome_at": now},
        )
    standings = queues.standings(connection, {row.delivery_id for row in left}) if left else {}
    decided = {key: each for key, each in standings.items() if each.state != "pending"}
    for delivery_id, standing in decided.items():
        _step_aside(changes, delivery_id, standing.state)
    changes.flush(connection)
    ended = [each for each in standings.values() if each.state != "pending" or not each.is_head]
    promote(connection, [each.queue for each in ended], now)
    return len(left)


def wake(connection: Connection, due: Mapping[int, int]) -> None:
    """Lanes that nobody owns: whoever is free may take them. `due`: the time by the channel."""
    for channel_id, due_at in due.items():
        later = or_(lanes.c.due_at.is_(None), lanes.c.due_at > due_at)
        connection.execute(
            update(lanes).where(lanes.c.channel_id == channel_id, later).values(due_at=due_at)
        )


def named_in(notice: str) -> list[int]:
    """The channels of a notice; none: any."""
    return [int(each) for each in notice.split(",") if each]


def notify(connection: Connection, channel_ids: Collection[int]) -> None:
    """Other processes, once this is committed: something is new on these channels."""
    if not channel_ids or connection.dialect.name != "postgresql":
        return
    notice = ",".join(str(channel_id) for channel_id in sorted(channel_ids))
    if len(notice) > NOTICE_LIMIT:
        notice = ""
    connection.execute(select(func.pg_notify(NOTICE, notice)))
