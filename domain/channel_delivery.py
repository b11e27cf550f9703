"""Whether what a channel has to deliver goes out: paused and resumed by staff, by its receiver or after days of failures."""

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from kanal.domain.channels import existing_channel
from kanal.domain.deliveries import NO_FAILURE, Failure
from kanal.domain.event import Event
from kanal.domain.stream import Aggregate
from kanal.domain.work import Work

PausedBy = Literal["staff", "receiver", "failures"]

STEPS = (0, 50, 70, 90)
"""Percent of the way to the automatic pause at which people are told that a channel fails."""


class ChannelDeliveryPaused(Event, frozen=True):
    """Nothing goes out until it is resumed; what is written waits."""

    NAME = "channel.delivery_paused.1"
    channel_id: int
    by: PausedBy
    reason: str
    """One human sentence, or what staff gave as their reason, which may be nothing."""
    failure: Failure = NO_FAILURE


class ChannelDeliveryResumed(Event, frozen=True):
    NAME = "channel.delivery_resumed.1"
    channel_id: int
    reason: str


class ChannelDeliveryFailing(Event, frozen=True):
    """Nothing has gone through for a while. Of one time of trouble there are several, each further on the way to the pause."""

    NAME = "channel.delivery_failing.1"
    channel_id: int
    since: int
    """Of the first failure, in microseconds."""
    failures: int
    """In a row."""
    percent: int
    """Of the way to the automatic pause; one of STEPS."""
    pause_at: int
    """When that will be, 0 for never."""
    failure: Failure = NO_FAILURE


class ChannelDeliveryRecovered(Event, frozen=True):
    """A message was taken again, after people had been told that the channel fails."""

    NAME = "channel.delivery_recovered.1"
    channel_id: int
    since: int
    """When the trouble had begun, in microseconds."""


class ChannelDelivery(Struct, frozen=True):
    paused: bool = False
    failing_since: int = 0
    """0: nobody was told of any trouble."""
    percent: int = 0


def evolve(delivery: ChannelDelivery, event: Event) -> ChannelDelivery:
    match event:
        case ChannelDeliveryPaused():
            return replace(delivery, paused=True)
        case ChannelDeliveryResumed():
            return ChannelDelivery()
        case ChannelDeliveryFailing():
            return replace(delivery, failing_since=event.since, percent=event.percent)
        case ChannelDeliveryRecovered():
            return replace(delivery, failing_since=0, percent=0)
    return delivery


CHANNEL_DELIVERIES = Aggregate("channel_delivery", ChannelDelivery(), evolve)
"""Key: the channel's id. Beside the channel's own stream, which all that is written to the channel relies on."""


def pause_delivery(
    work: Work,
    *,
    channel_id: int,
    by: PausedBy = "staff",
    reason: str = "",
    failure: Failure = NO_FAILURE,
) -> int:
    existing_channel(work, channel_id)
    if not work.load(CHANNEL_DELIVERIES, channel_id).paused:
        paused = ChannelDeliveryPaused(channel_id, by, reason, failure)
        work.record(CHANNEL_DELIVERIES, channel_id, paused)
    return channel_id


def resume_delivery(work: Work, *, channel_id: int, reason: str = "") -> int:
    existing_channel(work, channel_id)
    if work.load(CHANNEL_DELIVERIES, channel_id).paused:
        work.record(CHANNEL_DELIVERIES, channel_id, ChannelDeliveryResumed(channel_id, reason))
    return channel_id


def warn_of_failures(
    work: Work,
    *,
    channel_id: int,
    since: int,
    failures: int,
    percent: int,
    pause_at: int,
    failure: Failure,
) -> int:
    """Each step of one time of trouble is told once. Raises ChannelNotFound."""
    existing_channel(work, channel_id)
    delivery = work.load(CHANNEL_DELIVERIES, channel_id)
    told = delivery.failing_since == since and delivery.percent >= percent
    if not told and not delivery.paused:
        failing = ChannelDeliveryFailing(channel_id, since, failures, percent, pause_at, failure)
        work.record(CHANNEL_DELIVERIES, channel_id, failing)
    return channel_id


def tell_of_recovery(work: Work, *, channel_id: int) -> int:
    """Only those who were told of the trouble. Raises ChannelNotFound."""
    existing_channel(work, channel_id)
    delivery = work.load(CHANNEL_DELIVERIES, channel_id)
    if delivery.failing_since and not delivery.paused:
        recovered = ChannelDeliveryRecovered(channel_id, delivery.failing_since)
        work.record(CHANNEL_DELIVERIES, channel_id, recovered)
    return channel_id
