"""What may be decided of a delivery, given where it stands."""

import pytest
from story import Story, desk

from kanal.domain.channels import delete_channel
from kanal.domain.deliveries import (
    DeliveryDeadLettered,
    DeliveryHeld,
    DeliveryNow,
    DeliveryReleased,
    DeliveryRetried,
    DeliverySkipped,
    DeliveryState,
    dead_letter,
    hold,
    release,
    retry,
    skip,
)
from kanal.domain.errors import (
    ChannelDeleted,
    ChannelPolled,
    DecidedMeanwhile,
    DeliveryHasEnded,
    DeliveryWaits,
)

SUBJECT = {"delivery_id": "msg_1", "channel_id": 1, "case_id": 2, "message_id": 3}


def now(state: DeliveryState, **facts: object) -> DeliveryNow:
    return DeliveryNow(**SUBJECT, state=state, **facts)


def test_each_decision_is_an_event_that_says_why() -> None:
    story = desk()
    for command, state, event in (
        (hold, "pending", DeliveryHeld),
        (release, "held", DeliveryReleased),
        (skip, "pending", DeliverySkipped),
        (skip, "held", DeliverySkipped),
        (retry, "pending", DeliveryRetried),
        (retry, "held", DeliveryRetried),
        (retry, "dead", DeliveryRetried),
        (dead_letter, "pending", DeliveryDeadLettered),
    ):
        story.when(command, delivery=now(state), reason="Because")
        story.then(event(**SUBJECT, reason="Because"))


def test_what_is_so_already_is_no_event() -> None:
    story = desk()
    for command, state in ((hold, "held"), (release, "pending"), (skip, "dead")):
        story.when(command, delivery=now(state)).then()
    story.when(retry, delivery=now("pending", imminent=True)).then()


@pytest.mark.parametrize(
    ("command", "state", "advice"),
    [
        (hold, "delivered", "replay"),
        (hold, "dead", "retry"),
        (release, "delivered", "replay"),
        (release, "dead", "retry"),
        (skip, "delivered", "replay"),
        (retry, "delivered", "replay"),
    ],
)
def test_what_has_ended_is_refused_with_what_to_do_instead(
    command: object, state: DeliveryState, advice: str
) -> None:
    story = desk().when(command, delivery=now(state)).refused(DeliveryHasEnded)
    assert f"/api/deliveries/msg_1/{advice}.json" in str(story.refusal)


def test_of_decisions_on_the_same_look_the_first_one_counts() -> None:
    story = desk().when(hold, delivery=now("pending", decided=0)).then_named("delivery.held.1")
    for command in (hold, skip, retry):
        story.when(command, delivery=now("pending", decided=0)).refused(DecidedMeanwhile)
    story.when(skip, delivery=now("held", decided=1)).then_named("delivery.skipped.1")


def test_nothing_is_retried_where_the_receiver_asks() -> None:
    for state in ("pending", "held", "dead"):
        desk().when(retry, delivery=now(state, polled=True)).refused(ChannelPolled)
    desk().when(release, delivery=now("held", polled=True)).then_named("delivery.released.1")


def test_what_waits_behind_another_is_not_sent_before_it() -> None:
    story = desk()
    story.when(retry, delivery=now("pending", behind="msg_0")).refused(DeliveryWaits)
    assert "msg_0" in str(story.refusal)
    for state in ("held", "dead"):
        story.when(retry, delivery=now(state, behind="msg_0")).then_named("delivery.retried.1")


def test_nothing_is_tried_on_a_deleted_channel() -> None:
    story: Story = desk().given(delete_channel, channel_id=1)
    story.when(retry, delivery=now("dead")).refused(ChannelDeleted)
