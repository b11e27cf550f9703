"""Custom channels: what is recorded of them, and who may still write to one."""

import pytest
from story import APP, Story, desk, person

from kanal.domain.channels import (
    DEFAULT_ICON,
    ChannelChanged,
    ChannelCreated,
    ChannelWasDeleted,
    ChannelWasDisabled,
    ChannelWasEnabled,
    change_channel,
    create_channel,
    delete_channel,
    disable_channel,
    enable_channel,
)
from kanal.domain.conversation import add_staff_reply, add_user_message, open_case
from kanal.domain.errors import (
    ChannelDeleted,
    ChannelDisabled,
    ChannelNotFound,
    WebhookUrlRequired,
)
from kanal.domain.identities import register_user

URL = "https://example.com/hook"


def channel() -> Story:
    return Story().given(
        create_channel, title="App", webhook_url=URL, channel_type="sync", secret_fingerprint="f"
    )


def test_a_new_channel_gets_the_next_id_and_the_default_icon() -> None:
    story = channel().when(
        create_channel, title="Forum", webhook_url=URL, channel_type="async", secret_fingerprint="g"
    )
    assert story.result == 2
    story.then(
        ChannelCreated(
            channel_id=2,
            title="Forum",
            webhook_url=URL,
            channel_type="async",
            icon=DEFAULT_ICON,
            secret_fingerprint="g",
        )
    )


def test_a_change_holds_all_settings() -> None:
    channel().when(change_channel, channel_id=1, title="Mobile").then(
        ChannelChanged(
            channel_id=1, title="Mobile", webhook_url=URL, channel_type="sync", icon=DEFAULT_ICON
        )
    )


def test_what_is_set_already_is_no_event() -> None:
    channel().when(change_channel, channel_id=1, title="App", webhook_url=URL).then()
    channel().when(change_channel, channel_id=1).then()
    channel().when(enable_channel, channel_id=1).then()
    channel().given(disable_channel, channel_id=1).when(disable_channel, channel_id=1).then()


def test_a_channel_is_disabled_enabled_and_deleted() -> None:
    story = channel()
    story.when(disable_channel, channel_id=1).then(ChannelWasDisabled(1))
    story.when(enable_channel, channel_id=1).then(ChannelWasEnabled(1))
    story.when(delete_channel, channel_id=1).then(ChannelWasDeleted(1))


@pytest.mark.parametrize(
    "command", [change_channel, disable_channel, enable_channel, delete_channel]
)
def test_an_unknown_or_deleted_channel_is_not_found(command: object) -> None:
    Story().when(command, channel_id=1).refused(ChannelNotFound)
    channel().given(delete_channel, channel_id=1).when(command, channel_id=1).refused(
        ChannelNotFound
    )


@pytest.mark.parametrize(
    ("closing", "error"), [(disable_channel, ChannelDisabled), (delete_channel, ChannelDeleted)]
)
def test_users_cannot_write_to_a_closed_channel_but_staff_can(closing, error) -> None:
    story = desk().given(open_case, who=person("ann"), content="x").given(closing, channel_id=APP)
    story.when(open_case, who=person("ann"), content="x").refused(error)
    story.when(open_case, who=person("new"), content="x").refused(error)
    story.when(open_case, who=person("ann"), staff_id=1, content="x").refused(error)
    story.when(add_user_message, case_id=1, user_id=1, content="x").refused(error)
    story.when(register_user, who=person("new")).refused(error)
    story.when(add_staff_reply, case_id=1, staff_id=1, content="x").then_named(
        "case.message_added.1", "case.status_changed.1"
    )


def test_users_can_write_again_to_an_enabled_channel() -> None:
    story = desk().given(open_case, who=person("ann"), content="x")
    story.given(disable_channel, channel_id=APP).given(enable_channel, channel_id=APP)
    story.when(add_user_message, case_id=1, user_id=1, content="y").then_named(
        "case.message_added.1"
    )


def test_a_channel_without_a_webhook_url_is_polled() -> None:
    polled = {"channel_type": "sync", "webhook": {"polling": True}, "secret_fingerprint": "f"}
    story = Story().given(create_channel, title="App", **polled)
    story.when(change_channel, channel_id=1, webhook={"polling": False}).refused(WebhookUrlRequired)
    Story().when(create_channel, title="App", channel_type="sync", secret_fingerprint="f").refused(
        WebhookUrlRequired
    )
