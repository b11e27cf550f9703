"""What the outcome of an attempt means for the message, and what for its channel: pure decisions."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, Protocol
from urllib.parse import urlsplit

import msgspec

from kanal.delivery.address_guard import literal
from kanal.delivery.outcome import Outcome, OutcomeClass, Wish
from kanal.delivery.schedule import (
    DAY,
    HORIZON,
    HOUR,
    JITTER_LIMIT,
    LAST_DELAY,
    MINUTE,
    SECOND,
    next_attempt_at,
)
from kanal.delivery.tables import NEVER, Kind, LaneState
from kanal.domain.channels import ChannelType
from kanal.domain.deliveries import Failure
from kanal.domain.rule_webhooks import Method
from kanal.domain.webhook_options import WebhookOptions

LOCAL_DELAY: Final = 1 * SECOND
LOCAL_DELAY_LIMIT: Final = 1 * MINUTE
"""After Kanal's own fault: soon, but not so often that the fault is made worse."""

GONE_DELAY: Final = LAST_DELAY
"""A receiver that answers 410 is asked once a day whether it still means it, and at once when its channel changes."""

RATE_LIMITED: Final = 429

MESSAGE_BUDGET: Final = 1 * HOUR
"""So long a message is offered again to a receiver that refuses it and takes others; then its case goes on without it."""
REFUSALS_OF_ALL: Final = 5
"""Refused in a row with nothing taken between: it is not the messages that are wrong, but the URL or a password."""

NOTICED_AFTER: Final = 10 * MINUTE
"""People are told of a channel that has failed for so long: a receiver's restart is over by then."""
SILENCE_LIMIT: Final = 2 * DAY
"""Failures further apart are not one trouble: a failing channel is asked at least once in 29 hours, if anything waits."""


class Delivery(msgspec.Struct):
    """One pending row of `deliveries`, as far as sending needs it."""

    delivery_id: str
    position: int
    channel_id: int
    case_id: int
    message_id: int
    kind: Kind
    sequence: int
    previous_id: str
    queue: int | None
    turn: int
    created_at: int
    due_since: int
    due_at: int
    attempts: int
    failures: int
    first_failed_at: int | None
    replay_id: int | None
    content_type: str
    variables: str | None = None
    """What its address may name, as JSON."""
    body: bytes | None = None
    """None: not read yet."""
    attempt_id: str = ""
    """Of the attempt under way, whose intent is durable."""


class LaneRow(msgspec.Struct):
    """One row of `lanes`, its options read."""

    channel_id: int
    webhook_url: str
    channel_type: ChannelType
    options: WebhookOptions
    state: LaneState
    open_since: int
    failures: int
    charged_at: int
    paused_until: int
    owner: str
    token: int
    state_since: int = 0
    pause_reason: str | None = None
    failing_since: int | None = None
    failed_id: str | None = None
    warned: int = 0
    notice_at: int | None = None
    polled_until: int = 0
    method: Method = "POST"
    rule_id: int | None = None


class Schedule(Protocol):
    """As `schedule.next_attempt_at`."""

    def __call__(
        self,
        *,
        channel_type: ChannelType,
        failures: int,
        due_since: int,
        failed_at: int,
        jitter: float,
        retry_after: int | None = ...,
        horizon: int = ...,
    ) -> int | None: ...


@dataclass(frozen=True)
class Rules:
    """When to try again and when to give up."""

    schedule: Schedule = next_attempt_at
    horizon: int = HORIZON
    jitter: Callable[[], float] = field(default=lambda: random.uniform(0, JITTER_LIMIT))


class Attempted(NamedTuple):
    """An attempt that has ended."""

    delivery: Delivery
    token: int
    """Of the lane when it began."""
    url: str
    outcome: Outcome
    succeeded_at: int
    """When a message of another case of the channel was last taken, 0 for not that anybody remembers."""
    refusals: int = 0
    """Messages refused in a row on this channel, this one included."""
    networks: tuple[str, ...] = ()
    """That the channel allowed when it began."""
    lane_failures: int = 0
    """The channel's, when it began."""

    def tells(self, lane: LaneRow) -> bool:
        """Something new about the endpoint: it was not under way already when the channel was paused.

        Not by times alone: a clock that is set while it runs would let a success end the pause of a failure beside it.
        """
        return self.lane_failures == lane.failures and self.outcome.started_at >= lane.charged_at


class Verdict(NamedTuple):
    """`exhausted`: no further attempt fits under the horizon, the message is to be dead-lettered."""

    result: Literal["delivered", "again", "exhausted"]
    due_at: int | None = None
    """NULL unless it is tried again."""
    failures: int = 0
    first_failed_at: int | None = None
    lane: dict[str, Any] = {}  # noqa: RUF012 a NamedTuple's default, never changed
    """What changes in the channel's row."""


def judge(lane: LaneRow, attempted: Attempted, rules: Rules) -> Verdict:
    """Endpoint failures pause the channel, message failures hold up only their case; see `outcome.py`."""
    delivery, outcome = attempted.delivery, attempted.outcome
    at_its_url = attempted.url == lane.webhook_url and attempted.networks == lane.options.networks
    tells = attempted.tells(lane)
    if outcome.succeeded:
        lane_changes = _well(lane, outcome.ended_at) if at_its_url and tells else {}
        return Verdict("delivered", None, delivery.failures, delivery.first_failed_at, lane_changes)
    if not at_its_url:
        return _uncharged(delivery, outcome.ended_at)
    if outcome.local:
        return _uncharged(delivery, outcome.ended_at + _local_delay(delivery))
    if outcome.permanent and not _may_pass(attempted):
        trouble = _trouble(lane, attempted, at_once=True)
        return _uncharged(delivery, delivery.due_at, {"paused_until": NEVER, **trouble})
    if outcome.message_class and (attempted.refusals < REFUSALS_OF_ALL or is_alone(attempted)):
        return _message_failed(lane, attempted, rules, _recovered(lane) if tells else {})
    if _neighbours_succeed(attempted):
        return _message_failed(lane, attempted, rules, {})
    return _endpoint_failed(lane, attempted, rules)


def is_alone(attempted: Attempted) -> bool:
    """Whether the receiver refuses this message and has taken others since it first did."""
    return attempted.outcome.message_class and _neighbours_succeed(attempted)


def _may_pass(attempted: Attempted) -> bool:
    """A name may resolve to another address tomorrow; an address that is written down stays what it is."""
    if attempted.outcome.outcome_class is not OutcomeClass.BLOCKED_BY_POLICY:
        return False
    host = urlsplit(attempted.url).hostname or ""
    return literal(host) is None


def _recovered(lane: LaneRow) -> dict[str, Any]:
    """The endpoint answers, whatever."""
    return {"failures": 0, "paused_until": 0} if lane.failures or lane.paused_until else {}


def _well(lane: LaneRow, at: int) -> dict[str, Any]:
    """It took a message."""
    if lane.failing_since is None:
        return _recovered(lane)
    return {
        "failures": 0,
        "paused_until": 0,
        "state_since": at,
        "failing_since": None,
        "failed_id": None,
        "notice_at": at if lane.warned else None,
    }


def _trouble(lane: LaneRow, attempted: Attempted, *, at_once: bool) -> dict[str, Any]:
    """`at_once`: it will not pass by itself, so people are told without delay."""
    at = attempted.outcome.ended_at
    since, notice_at = lane.failing_since, lane.notice_at
    if since is None or at - lane.charged_at > SILENCE_LIMIT:
        since, notice_at = at, at + NOTICED_AFTER
    if at_once and not lane.warned:
        notice_at = at
    return {
        "charged_at": at,
        "failing_since": since,
        "failed_id": attempted.delivery.delivery_id,
        "notice_at": notice_at,
    }


def _uncharged(delivery: Delivery, due_at: int, lane: dict[str, Any] | None = None) -> Verdict:
    return Verdict("again", due_at, delivery.failures, delivery.first_failed_at, lane or {})


def _local_delay(delivery: Delivery) -> int:
    in_vain = min(delivery.attempts - delivery.failures, 16)
    return min(LOCAL_DELAY << in_vain, LOCAL_DELAY_LIMIT)


def _neighbours_succeed(attempted: Attempted) -> bool:
    """One message that the receiver always breaks on must not stop its whole channel."""
    outcome = attempted.outcome
    speaks_for_all = outcome.gone or outcome.http_status == RATE_LIMITED or outcome.retry_after
    since = attempted.delivery.first_failed_at or outcome.started_at
    return not speaks_for_all and attempted.succeeded_at > since


def _message_failed(
    lane: LaneRow, attempted: Attempted, rules: Rules, lane_changes: dict[str, Any]
) -> Verdict:
    delivery, outcome = attempted.delivery, attempted.outcome
    failures = delivery.failures + 1
    first_failed_at = delivery.first_failed_at or outcome.ended_at
    at = _next(lane, delivery, outcome, rules, failures, rules.horizon)
    if at and is_alone(attempted) and at > first_failed_at + MESSAGE_BUDGET:
        at = None
    result: Literal["again", "exhausted"] = "exhausted" if at is None else "again"
    return Verdict(result, at, failures, first_failed_at, lane_changes)


def _endpoint_failed(lane: LaneRow, attempted: Attempted, rules: Rules) -> Verdict:
    delivery, outcome = attempted.delivery, attempted.outcome
    failures = delivery.failures + 1
    first_failed_at = delivery.first_failed_at or outcome.ended_at
    if not attempted.tells(lane):
        return Verdict("again", delivery.due_at, failures, first_failed_at)
    in_a_row = lane.failures + 1
    at = _next(lane, delivery, outcome, rules, in_a_row, rules.horizon)
    pause = at or _next(lane, delivery, outcome, rules, in_a_row, NEVER) or NEVER
    if outcome.gone:
        pause = max(pause, outcome.ended_at + GONE_DELAY)
    trouble = _trouble(lane, attempted, at_once=outcome.gone)
    lane_changes = {"failures": in_a_row, "paused_until": pause, **trouble}
    if at is None:
        return Verdict("exhausted", None, failures, first_failed_at, lane_changes)
    return Verdict("again", delivery.due_at, failures, first_failed_at, lane_changes)


def _next(
    lane: LaneRow,
    delivery: Delivery,
    outcome: Outcome,
    rules: Rules,
    failures: int,
    horizon: int,
) -> int | None:
    if lane.state != "active":
        # It ended after the channel had been paused or disabled, and what waits for people does not grow old.
        horizon = NEVER
    return rules.schedule(
        channel_type=lane.channel_type,
        failures=failures,
        due_since=max(delivery.due_since, lane.open_since),
        failed_at=outcome.ended_at,
        jitter=rules.jitter(),
        retry_after=outcome.retry_after,
        horizon=horizon,
    )


def wishes_of(lane: LaneRow, attempted: Attempted) -> frozenset[Wish]:
    """What its receiver asks for; a former URL has no say."""
    return attempted.outcome.wishes if attempted.url == lane.webhook_url else frozenset()


def asked_for(wish: Wish, outcome: Outcome) -> str:
    """Why that was done, for people."""
    status = outcome.http_status
    return f"The receiver asked for it: its answer (HTTP {status}) said webhook-delivery: {wish}."


def failure_of(attempted: Attempted) -> Failure:
    delivery, outcome = attempted.delivery, attempted.outcome
    return Failure(
        delivery_id=delivery.delivery_id,
        attempt_id=delivery.attempt_id,
        case_id=delivery.case_id,
        message_id=delivery.message_id,
        outcome_class=str(outcome.outcome_class),
        http_status=outcome.http_status or 0,
        sentence=outcome.sentence,
    )


def reason_for(attempted: Attempted, rules: Rules) -> str:
    """Why a message was dead-lettered, for people."""
    sentence = attempted.outcome.sentence
    if "abort-message" in attempted.outcome.wishes:
        return asked_for("abort-message", attempted.outcome)
    if is_alone(attempted):
        return f"The receiver took other messages and refused this one, again and again. {sentence}"
    return f"Tried for {rules.horizon // DAY} days without success. {sentence}"
