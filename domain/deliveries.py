"""Decisions about deliveries. Attempts are ledger rows, not events; what was decided of a delivery is history."""

from kanal.domain.event import Event
from kanal.domain.stream import Aggregate
from kanal.domain.work import Work


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


def evolve(dead: bool, event: Event) -> bool:
    return dead or isinstance(event, DeliveryDeadLettered)


DELIVERIES: Aggregate[bool] = Aggregate("delivery", False, evolve)
"""Key: the webhook id; the state says whether it is dead-lettered."""


def dead_letter(
    work: Work, *, delivery_id: str, channel_id: int, case_id: int, message_id: int, reason: str
) -> None:
    if not work.load(DELIVERIES, delivery_id):
        work.record(
            DELIVERIES,
            delivery_id,
            DeliveryDeadLettered(
                delivery_id=delivery_id,
                channel_id=channel_id,
                case_id=case_id,
                message_id=message_id,
                reason=reason,
            ),
        )
