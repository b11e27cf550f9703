"""Decisions about deliveries. Attempts are ledger rows, not events; what was decided of a delivery is history."""

from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from kanal.domain.channels import CHANNELS
from kanal.domain.errors import (
    ChannelDeleted,
    ChannelPolled,
    DecidedMeanwhile,
    DeliveryHasEnded,
    DeliveryHasNotEnded,
    DeliveryWaits,
    ReplayNotFound,
    WebhookRemoved,
)
from kanal.domain.event import Event
from kanal.domain.lanes import webhook_of
from kanal.domain.stream import Aggregate
from kanal.domain.work import Work

DeliveryState = Literal["pending", "held", "delivered", "dead"]

EndedAs = Literal["any", "delivered", "dead"]
"""What is replayed of all that a replay names."""

SEND_AGAIN = "It goes out again as a replay: POST /api/deliveries/{}/replay.json."
MAKE_PENDING = "PUT /api/deliveries/{}/retry.json makes it pending again."


class Failure(Struct, frozen=True):
    """The attempt that a decision rests on; nothing of what the receiver answered stands in the log but its status."""

    delivery_id: str = ""
    attempt_id: str = ""
    """Its row of the ledger has the beginning of the answer, as long as it is kept."""
    case_id: int = 0
    message_id: int = 0
    outcome_class: str = ""
    http_status: int = 0
    """0: there was no answer."""
    sentence: str = ""


NO_FAILURE = Failure()


class DeliveryDeadLettered(Event, frozen=True):
    """No further attempt will be made by itself."""

    NAME = "delivery.dead_lettered.1"
    delivery_id: str
    """The `webhook-id`."""
    channel_id: int
    case_id: int
    message_id: int
    reason: str
    """One human sentence."""
    failure: Failure = NO_FAILURE
    """The last attempt, where one led to it."""


class DeliveryDecision(Event, frozen=True):
    PERSONAL = ("reason",)
    delivery_id: str
    """The `webhook-id`."""
    channel_id: int
    case_id: int
    message_id: int
    reason: str = ""
    """Why, as whoever decided says it."""
    failure: Failure = NO_FAILURE
    """The last attempt, where one led to it."""


class DeliveryHeld(DeliveryDecision, frozen=True):
    """It stays where it is, and what stands behind it waits, until somebody decides otherwise."""

    NAME = "delivery.held.1"


class DeliveryReleased(DeliveryDecision, frozen=True):
    """Held no longer: it goes out in its turn."""

    NAME = "delivery.released.1"


class DeliverySkipped(DeliveryDecision, frozen=True):
    """Dead-lettered by somebody; its queue goes on without it."""

    NAME = "delivery.skipped.1"


class DeliveryRetried(DeliveryDecision, frozen=True):
    """To be sent now: also when it was held or dead-lettered, or waits for its time."""

    NAME = "delivery.retried.1"


class DeliveryReplayAsked(Event, frozen=True):
    """What went out is to go out again: of a channel, a case, a message, or one delivery; 0 and "" name nothing."""

    NAME = "delivery.replay_asked.1"
    PERSONAL = ("reason",)
    replay_id: int
    channel_id: int
    case_id: int
    message_id: int
    delivery_id: str
    since: int
    """As asked for; 0: from the beginning."""
    until: int
    """As asked for; 0: up to the moment of asking."""
    after: int
    """Only what stands behind this position of the log."""
    upto: int
    """And not behind this one."""
    ended_as: EndedAs
    per_minute: int
    count: int
    """How many these are at the moment of asking."""
    reason: str = ""


class DeliveryReplayCancelled(Event, frozen=True):
    """What has not gone out again by now stays as it was."""

    NAME = "delivery.replay_cancelled.1"
    PERSONAL = ("reason",)
    replay_id: int
    channel_id: int
    case_id: int
    reason: str = ""


class Replay(Struct, frozen=True):
    replay_id: int = 0
    channel_id: int = 0
    case_id: int = 0
    cancelled: bool = False


class DeliveriesRecovered(Event, frozen=True):
    """Of the deliveries that were lost and made again from the log: which of them are sent."""

    NAME = "deliveries.recovered.1"
    since: int
    """What stands before this position is not."""


class DeliveryNow(Struct, frozen=True):
    """Where a delivery stands at the moment of the decision; the outbox knows, the log does not."""

    delivery_id: str
    channel_id: int
    case_id: int
    message_id: int
    state: DeliveryState
    behind: str = ""
    """What is sent before it in its queue; "" for nothing."""
    imminent: bool = False
    """It is being sent, or will be as soon as there is a place."""
    removed: bool = False
    """Where it goes is no more."""
    polled: bool = False
    """Its receiver asks for it."""
    decided: int | None = None
    """How many decisions about it there were; None if it does not matter."""


def evolve(decided: int, _: Event) -> int:
    return decided + 1


DELIVERIES: Aggregate[int] = Aggregate("delivery", 0, evolve, version=3)
"""Key: the webhook id. The events say what was decided, the outbox's row what came of it. The state is how many they are, by
which a decision knows of another one of its batch, that no row tells of yet."""


def evolve_replay(replay: Replay, event: Event) -> Replay:
    match event:
        case DeliveryReplayAsked():
            return Replay(event.replay_id, event.channel_id, event.case_id)
        case DeliveryReplayCancelled():
            return replace(replay, cancelled=True)
    return replay


REPLAYS = Aggregate("replay", Replay(), evolve_replay)


def dead_letter(
    work: Work, *, delivery: DeliveryNow, reason: str, failure: Failure = NO_FAILURE
) -> None:
    """Kanal itself gives it up."""
    event = DeliveryDeadLettered(**_subject(delivery), reason=reason, failure=failure)
    work.record(DELIVERIES, delivery.delivery_id, event)


def hold(
    work: Work, *, delivery: DeliveryNow, reason: str = "", failure: Failure = NO_FAILURE
) -> None:
    """Raises DeliveryHasEnded, DecidedMeanwhile."""
    if delivery.state in ("delivered", "dead"):
        raise _ended(delivery)
    if delivery.state == "pending":
        _record(work, DeliveryHeld, delivery, reason, failure)


def release(work: Work, *, delivery: DeliveryNow, reason: str = "") -> None:
    """Raises DeliveryHasEnded, DecidedMeanwhile."""
    if delivery.state in ("delivered", "dead"):
        raise _ended(delivery)
    if delivery.state == "held":
        _record(work, DeliveryReleased, delivery, reason)


def skip(work: Work, *, delivery: DeliveryNow, reason: str = "") -> None:
    """Raises DeliveryHasEnded, DecidedMeanwhile."""
    if delivery.state == "delivered":
        raise _ended(delivery)
    if delivery.state != "dead":
        _record(work, DeliverySkipped, delivery, reason)


def retry(work: Work, *, delivery: DeliveryNow, reason: str = "") -> None:
    """What was held or dead-lettered comes to stand where it stood; what is pending is due now.

    Raises DeliveryHasEnded, DeliveryWaits, ChannelDeleted, ChannelPolled, WebhookRemoved, DecidedMeanwhile.
    """
    if delivery.state == "delivered":
        raise _ended(delivery)
    _check_there(work, delivery)
    if delivery.polled:
        # Behind the cursor nobody would see it, and the next acknowledgement would say that it has arrived.
        raise ChannelPolled(delivery.channel_id)
    if delivery.state == "pending" and delivery.behind:
        raise DeliveryWaits(delivery.delivery_id, delivery.behind)
    if delivery.state != "pending" or not delivery.imminent:
        _record(work, DeliveryRetried, delivery, reason)


def ask_replay(
    work: Work,
    *,
    channel_id: int = 0,
    case_id: int = 0,
    message_id: int = 0,
    delivery: DeliveryNow | None = None,
    since: int = 0,
    until: int = 0,
    after: int = 0,
    upto: int,
    ended_as: EndedAs = "any",
    per_minute: int,
    count: int,
    reason: str = "",
) -> int:
    """The new replay's id. Raises ChannelDeleted, WebhookRemoved, DeliveryHasNotEnded."""
    if delivery:
        if delivery.state in ("pending", "held"):
            raise DeliveryHasNotEnded(delivery.delivery_id)
        _check_there(work, delivery)
        channel_id, case_id, message_id = (
            delivery.channel_id,
            delivery.case_id,
            delivery.message_id,
        )
    if channel_id and work.load(CHANNELS, channel_id).deleted:
        raise ChannelDeleted(channel_id)
    replay_id = work.take("replay")
    event = DeliveryReplayAsked(
        replay_id=replay_id,
        channel_id=channel_id,
        case_id=case_id,
        message_id=message_id,
        delivery_id=delivery.delivery_id if delivery else "",
        since=since,
        until=until,
        after=after,
        upto=upto,
        ended_as=ended_as,
        per_minute=per_minute,
        count=count,
        reason=reason,
    )
    work.record(REPLAYS, replay_id, event)
    return replay_id


def cancel_replay(work: Work, *, replay_id: int, running: bool, reason: str = "") -> int:
    """`running`: there is something left to cancel. Raises ReplayNotFound."""
    replay = work.load(REPLAYS, replay_id)
    if not replay.replay_id:
        raise ReplayNotFound(replay_id)
    if running and not replay.cancelled:
        event = DeliveryReplayCancelled(replay_id, replay.channel_id, replay.case_id, reason)
        work.record(REPLAYS, replay_id, event)
    return replay_id


def _record(
    work: Work,
    event_type: type[DeliveryDecision],
    delivery: DeliveryNow,
    reason: str,
    failure: Failure = NO_FAILURE,
) -> None:
    if delivery.decided not in (None, work.load(DELIVERIES, delivery.delivery_id)):
        raise DecidedMeanwhile(delivery.delivery_id)
    event = event_type(**_subject(delivery), reason=reason, failure=failure)
    work.record(DELIVERIES, delivery.delivery_id, event)


def _check_there(work: Work, delivery: DeliveryNow) -> None:
    """Raises ChannelDeleted, WebhookRemoved."""
    if delivery.removed and (webhook_id := webhook_of(delivery.channel_id)):
        raise WebhookRemoved(webhook_id)
    if work.load(CHANNELS, delivery.channel_id).deleted:
        raise ChannelDeleted(delivery.channel_id)


def _subject(delivery: DeliveryNow) -> dict[str, Any]:
    names = ("delivery_id", "channel_id", "case_id", "message_id")
    return {name: getattr(delivery, name) for name in names}


def _ended(delivery: DeliveryNow) -> DeliveryHasEnded:
    delivered = delivery.state == "delivered"
    advice = SEND_AGAIN if delivered else MAKE_PENDING
    return DeliveryHasEnded(
        delivery.delivery_id,
        "delivered" if delivered else "dead-lettered",
        advice.format(delivery.delivery_id),
    )


def _recovered(since: int | None, event: Event) -> int | None:
    return event.since if isinstance(event, DeliveriesRecovered) else since


RECOVERIES: Aggregate[int | None] = Aggregate("recovery", None, _recovered)
"""Key: "all"."""


def recover_deliveries(work: Work, *, since: int) -> None:
    if work.load(RECOVERIES, "all") != since:
        work.record(RECOVERIES, "all", DeliveriesRecovered(since))
