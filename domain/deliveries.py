"""Decisions about deliveries. Attempts are ledger rows, not events; what was decided of a delivery is history."""

from typing import Any, Literal

from msgspec import Struct

from kanal.domain.channels import CHANNELS
from kanal.domain.errors import ChannelDeleted, DeliveryHasEnded, DeliveryWaits
from kanal.domain.event import Event
from kanal.domain.stream import Aggregate
from kanal.domain.work import Work

DeliveryState = Literal["pending", "held", "delivered", "dead"]

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


def evolve(_: None, __: Event) -> None:
    return None


DELIVERIES: Aggregate[None] = Aggregate("delivery", None, evolve, version=2)
"""Key: the webhook id. The events say what was decided, the outbox's row what came of it."""


def dead_letter(
    work: Work, *, delivery: DeliveryNow, reason: str, failure: Failure = NO_FAILURE
) -> None:
    """Kanal itself gives it up."""
    event = DeliveryDeadLettered(**_subject(delivery), reason=reason, failure=failure)
    work.record(DELIVERIES, delivery.delivery_id, event)


def hold(
    work: Work, *, delivery: DeliveryNow, reason: str = "", failure: Failure = NO_FAILURE
) -> None:
    """Raises DeliveryHasEnded."""
    if delivery.state in ("delivered", "dead"):
        raise _ended(delivery)
    if delivery.state == "pending":
        _record(work, DeliveryHeld, delivery, reason, failure)


def release(work: Work, *, delivery: DeliveryNow, reason: str = "") -> None:
    """Raises DeliveryHasEnded."""
    if delivery.state in ("delivered", "dead"):
        raise _ended(delivery)
    if delivery.state == "held":
        _record(work, DeliveryReleased, delivery, reason)


def skip(work: Work, *, delivery: DeliveryNow, reason: str = "") -> None:
    """Raises DeliveryHasEnded."""
    if delivery.state == "delivered":
        raise _ended(delivery)
    if delivery.state != "dead":
        _record(work, DeliverySkipped, delivery, reason)


def retry(work: Work, *, delivery: DeliveryNow, reason: str = "") -> None:
    """What was held or dead-lettered comes to stand where it stood; what is pending is due now.

    Raises DeliveryHasEnded, DeliveryWaits, ChannelDeleted.
    """
    if delivery.state == "delivered":
        raise _ended(delivery)
    if work.load(CHANNELS, delivery.channel_id).deleted:
        raise ChannelDeleted(delivery.channel_id)
    if delivery.state == "pending" and delivery.behind:
        raise DeliveryWaits(delivery.delivery_id, delivery.behind)
    if delivery.state != "pending" or not delivery.imminent:
        _record(work, DeliveryRetried, delivery, reason)


def _record(
    work: Work,
    event_type: type[DeliveryDecision],
    delivery: DeliveryNow,
    reason: str,
    failure: Failure = NO_FAILURE,
) -> None:
    event = event_type(**_subject(delivery), reason=reason, failure=failure)
    work.record(DELIVERIES, delivery.delivery_id, event)


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
