"""A channel's delivery: paused and resumed once each, whatever else becomes of the channel."""

import pytest
from story import Story

from kanal.domain.channel_delivery import (
    ChannelDeliveryPaused,
    ChannelDeliveryResumed,
    pause_delivery,
    resume_delivery,
)
from kanal.domain.channels import create_channel, delete_channel, disable_channel, enable_channel
from kanal.domain.errors import ChannelNotFound


def channel() -> Story:
    return Story().given(
        create_channel,
        title="App",
        webhook_url="https://example.com/hook",
        channel_type="sync",
        secret_fingerprint="f",
    )


def test_a_pause_and_its_end_are_recorded_once_with_their_reasons() -> None:
    story = channel().when(pause_delivery, channel_id=1, reason="Moving house")
    story.then(ChannelDeliveryPaused(1, "staff", "Moving house"))
    story.when(pause_delivery, channel_id=1, reason="Again").then()
    story.when(resume_delivery, channel_id=1, reason="Moved").then(
        ChannelDeliveryResumed(1, "Moved")
    )
    story.when(resume_delivery, channel_id=1).then()


def test_a_pause_outlives_disabling_and_enabling() -> None:
    story = channel().given(pause_delivery, channel_id=1)
    story.given(disable_channel, channel_id=1).given(enable_channel, channel_id=1)
    story.when(pause_delivery, channel_id=1).then()


@pytest.mark.parametrize("command", [pause_delivery, resume_delivery])
def test_an_unknown_or_deleted_channel_is_not_found(command: object) -> None:
    Story().when(command, channel_id=1).refused(ChannelNotFound)
    channel().given(delete_channel, channel_id=1).when(command, channel_id=1).refused(
        ChannelNotFound
    )
