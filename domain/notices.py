"""What people are told of delivery: one notice for each event that asks for somebody's eyes, in one sentence."""

from typing import Literal

from msgspec import Struct

from kanal.domain.channel_delivery import (
    ChannelDeliveryFailing,
    ChannelDeliveryPaused,
    ChannelDeliveryRecovered,
    ChannelDeliveryResumed,
)
from kanal.domain.deliveries import NO_FAILURE, DeliveryDeadLettered, DeliveryHeld, Failure
from kanal.domain.event import Event
from kanal.domain.lanes import webhook_of
from kanal.domain.stream import Aggregate, Recorded
from kanal.domain.work import Work

NoticeKind = Literal["failing", "paused", "resumed", "recovered", "dead_lettered", "held"]

UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))
"""Seconds."""


class Notice(Struct, frozen=True):
    """Known by its event's position: the log's order is theirs."""

    notice_id: int
    kind: NoticeKind
    at: int
    who: str
    channel_id: int
    sentence: str
    failure: Failure = NO_FAILURE
    """The attempt it rests on, if there is one."""


def notice_of(recorded: Recorded) -> Notice | None:
    """Deliveries of notices themselves (channel 0) make none."""
    event, envelope = recorded.event, recorded.envelope
    if not (told := _told(event, envelope.who, envelope.at)):
        return None
    kind, channel_id, sentence, failure = told
    if not channel_id:
        return None
    return Notice(recorded.position, kind, envelope.at, envelope.who, channel_id, sentence, failure)


def _told(event: Event, who: str, at: int) -> tuple[NoticeKind, int, str, Failure] | None:
    match event:
        case ChannelDeliveryFailing():
            return "failing", event.channel_id, _failing(event, at), event.failure
        case ChannelDeliveryPaused():
            by = f" by {_named(who)}" if event.by == "staff" else ""
            reason = f": {event.reason}" if event.reason else ""
            sentence = f"Delivery to channel cch{event.channel_id} was paused{by}{reason}"
            return "paused", event.channel_id, _ended(sentence), event.failure
        case ChannelDeliveryResumed():
            reason = f": {event.reason}" if event.reason else ""
            sentence = (
                f"Delivery to channel cch{event.channel_id} was resumed by {_named(who)}{reason}"
            )
            return "resumed", event.channel_id, _ended(sentence), NO_FAILURE
        case ChannelDeliveryRecovered():
            sentence = (
                f"Channel cch{event.channel_id} takes messages again, "
                f"after {_lasting(at - event.since)} of failures."
            )
            return "recovered", event.channel_id, sentence, NO_FAILURE
        case DeliveryDeadLettered():
            sentence = f"{_undelivered(event)} and is not tried again: {event.reason}"
            return "dead_lettered", event.channel_id, sentence, _known(event)
        case DeliveryHeld() if who == "system":
            sentence = f"{_undelivered(event)} and is held with all behind it: {event.reason}"
            return "held", event.channel_id, sentence, _known(event)
    return None


HANDLED: tuple[type[Event], ...] = (
    ChannelDeliveryFailing,
    ChannelDeliveryPaused,
    ChannelDeliveryResumed,
    ChannelDeliveryRecovered,
    DeliveryDeadLettered,
    DeliveryHeld,
)
"""The events that `notice_of` knows."""


def _known(event: DeliveryDeadLettered | DeliveryHeld) -> Failure:
    if event.failure != NO_FAILURE:
        return event.failure
    return Failure(
        delivery_id=event.delivery_id, case_id=event.case_id, message_id=event.message_id
    )


def _undelivered(event: DeliveryDeadLettered | DeliveryHeld) -> str:
    if webhook_id := webhook_of(event.channel_id):
        return f"A rule's call of webhook {webhook_id} for case {event.case_id} was not delivered"
    return (
        f"Message {event.message_id} of case {event.case_id} was not delivered to channel "
        f"cch{event.channel_id}"
    )


def _failing(event: ChannelDeliveryFailing, at: int) -> str:
    pause = ""
    if event.pause_at > at:
        way = f", {event.percent} % of the way" if event.percent else ""
        pause = f" It will be paused in {_lasting(event.pause_at - at)}{way}."
    return (
        f"Channel cch{event.channel_id} has taken no message for {_lasting(at - event.since)}: "
        f"{_ended(event.failure.sentence)}{pause}"
    )


def _named(who: str) -> str:
    kind, _, number = who.partition(":")
    return f"staff member {number}" if kind == "staff" else who


def _lasting(microseconds: int) -> str:
    """`36 hours`: in the largest unit of which there are two, or `a minute`."""
    seconds = microseconds // 1_000_000
    for length, unit in UNITS:
        if seconds >= 2 * length:
            return f"{round(seconds / length)} {unit}s"
    return "a minute"


def _ended(sentence: str) -> str:
    return sentence if not sentence or sentence.endswith((".", "!", "?")) else f"{sentence}."


# -- who has read them ---------------------------------------------------------------------------


class NoticeRead(Event, frozen=True):
    NAME = "notice.read.1"
    staff_id: int
    notice_id: int


class NoticesRead(Event, frozen=True):
    """All up to that one."""

    NAME = "notice.all_read.1"
    staff_id: int
    notice_id: int
    before: int
    """Up to where they had been read in the same way, 0 for not at all."""


def evolve(up_to: int, event: Event) -> int:
    if isinstance(event, (NoticeRead, NoticesRead)):
        return event.notice_id
    return up_to


NOTICE_READERS: Aggregate[int] = Aggregate("notice_reader", 0, evolve)
"""Key: the staff member; the state is the notice up to which all are read."""
READ_NOTICES: Aggregate[int] = Aggregate("read_notice", 0, evolve)
"""Key: staff member and notice, `7/42`; the state is the notice once it is read."""


def read_notice(work: Work, *, staff_id: int, notice_id: int) -> int:
    key = f"{staff_id}/{notice_id}"
    if notice_id > work.load(NOTICE_READERS, staff_id) and not work.load(READ_NOTICES, key):
        work.record(READ_NOTICES, key, NoticeRead(staff_id, notice_id))
    return notice_id


def read_all_notices(work: Work, *, staff_id: int, notice_id: int) -> int:
    """`notice_id`: the last one there is."""
    before = work.load(NOTICE_READERS, staff_id)
    if notice_id > before:
        work.record(NOTICE_READERS, staff_id, NoticesRead(staff_id, notice_id, before))
    return notice_id
