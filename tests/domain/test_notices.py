"""What people are told: one sentence for each event that asks for their eyes; what is read is recorded once."""

import pytest
from story import Story

from kanal.domain.channel_delivery import (
    ChannelDeliveryFailing,
    ChannelDeliveryPaused,
    ChannelDeliveryRecovered,
    ChannelDeliveryResumed,
    tell_of_recovery,
    warn_of_failures,
)
from kanal.domain.channels import ChannelWasDisabled, create_channel
from kanal.domain.deliveries import NO_FAILURE, DeliveryDeadLettered, DeliveryHeld, Failure
from kanal.domain.event import Envelope, Event
from kanal.domain.notices import (
    NoticeRead,
    NoticesRead,
    notice_of,
    read_all_notices,
    read_notice,
)
from kanal.domain.stream import Recorded

NOW = 1_700_000_000_000_000
HOUR = 3_600_000_000
REFUSED = Failure("msg_1", "a1", 3, 4, "http_status", 500, "The receiver answered HTTP 500.")


def recorded(event: Event, who: str = "system") -> Recorded:
    return Recorded(42, "0" * 32, 1, event, Envelope(NOW, who, "delivery", ""))


@pytest.mark.parametrize(
    ("event", "who", "kind", "sentence"),
    [
        (
            ChannelDeliveryFailing(7, NOW - HOUR // 6, 5, 0, NOW + 119 * HOUR, REFUSED),
            "system",
            "failing",
            (
                "Channel cch7 has taken no message for 10 minutes: The receiver answered HTTP 500. "
                "It will be paused in 5 days."
            ),
        ),
        (
            ChannelDeliveryFailing(7, NOW - 60 * HOUR, 9, 50, NOW + 30 * HOUR, REFUSED),
            "system",
            "failing",
            (
                "Channel cch7 has taken no message for 2 days: The receiver answered HTTP 500. "
                "It will be paused in 30 hours, 50 % of the way."
            ),
        ),
        (
            ChannelDeliveryPaused(7, "staff", "Moving house"),
            "staff:3",
            "paused",
            "Delivery to channel cch7 was paused by staff member 3: Moving house.",
        ),
        (
            ChannelDeliveryPaused(7, "failures", "Nothing went through for 5 days.", REFUSED),
            "system",
            "paused",
            "Delivery to channel cch7 was paused: Nothing went through for 5 days.",
        ),
        (
            ChannelDeliveryResumed(7, ""),
            "staff:3",
            "resumed",
            "Delivery to channel cch7 was resumed by staff member 3.",
        ),
        (
            ChannelDeliveryRecovered(7, NOW - 3 * HOUR),
            "system",
            "recovered",
            "Channel cch7 takes messages again, after 3 hours of failures.",
        ),
        (
            DeliveryDeadLettered("msg_1", 7, 3, 4, "Tried for 14 days without success.", REFUSED),
            "system",
            "dead_lettered",
            (
                "Message 4 of case 3 was not delivered to channel cch7 and is not tried again: "
                "Tried for 14 days without success."
            ),
        ),
    ],
)
def test_a_notice_is_one_human_sentence(event: Event, who: str, kind: str, sentence: str) -> None:
    notice = notice_of(recorded(event, who))
    assert notice is not None
    assert (notice.notice_id, notice.kind, notice.channel_id) == (42, kind, 7)
    assert notice.sentence == sentence
    assert notice.failure == getattr(event, "failure", NO_FAILURE)


def test_other_events_and_the_notices_own_deliveries_make_none() -> None:
    assert notice_of(recorded(ChannelWasDisabled(7))) is None
    assert notice_of(recorded(DeliveryDeadLettered("msg_1", 0, 0, 0, "No."))) is None
    held = DeliveryHeld("msg_1", 7, 3, 4, "Tried for 14 days without success.")
    assert notice_of(recorded(held, "staff:1")) is None
    by_itself = notice_of(recorded(held))
    assert by_itself is not None
    assert (by_itself.kind, by_itself.failure.message_id) == ("held", 4)


def test_what_was_read_is_recorded_once_for_each_staff_member() -> None:
    story = Story().when(read_notice, staff_id=1, notice_id=5).then(NoticeRead(1, 5))
    story.when(read_notice, staff_id=1, notice_id=5).then()
    story.when(read_notice, staff_id=2, notice_id=5).then(NoticeRead(2, 5))
    story.when(read_all_notices, staff_id=1, notice_id=9).then(NoticesRead(1, 9, 0))
    story.when(read_all_notices, staff_id=1, notice_id=9).then()
    story.when(read_notice, staff_id=1, notice_id=8).then()
    story.when(read_all_notices, staff_id=1, notice_id=12).then(NoticesRead(1, 12, 9))


def test_each_step_of_a_trouble_is_told_once_and_a_recovery_to_who_knew_of_it() -> None:
    story = Story().given(
        create_channel,
        title="App",
        webhook_url="https://example.com/hook",
        channel_type="sync",
        secret_fingerprint="f",
    )
    told = {"channel_id": 1, "since": 5, "failures": 3, "pause_at": 9, "failure": REFUSED}
    story.when(tell_of_recovery, channel_id=1).then()
    story.when(warn_of_failures, percent=50, **told).then(
        ChannelDeliveryFailing(1, 5, 3, 50, 9, REFUSED)
    )
    story.when(warn_of_failures, percent=50, **told).then()
    story.when(tell_of_recovery, channel_id=1).then(ChannelDeliveryRecovered(1, 5))
    story.when(tell_of_recovery, channel_id=1).then()
