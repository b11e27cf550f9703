"""The small aggregates: groups and receipts."""

import pytest
from story import Story

from kanal.domain.errors import GroupNotActive, GroupNotFound, SelfReplacement
from kanal.domain.groups import (
    GroupChanged,
    GroupCreated,
    GroupWasDeleted,
    GroupWasDisabled,
    GroupWasEnabled,
    active_group,
    change_group,
    create_group,
    delete_group,
    disable_group,
    enable_group,
)
from kanal.domain.receipts import RECEIPTS, ReceiptKept


def test_a_group_gets_the_next_id() -> None:
    story = Story().given(create_group, title="Sales").when(create_group, title="Support")
    assert story.result == 2
    story.then(GroupCreated(group_id=2, title="Support", from_name="", signature=""))


def two_groups() -> Story:
    return Story().given(create_group, title="Sales").given(create_group, title="Support")


def test_a_changed_group_is_one_event_with_the_whole_of_it() -> None:
    story = two_groups().when(change_group, group_id=1, signature="Bye")
    story.then(GroupChanged(group_id=1, title="Sales", from_name="", signature="Bye"))
    story.when(change_group, group_id=1, signature="Bye", title="Sales").then()


def test_groups_are_disabled_and_enabled_once() -> None:
    story = two_groups()
    disabled = {"group_id": 1, "replace_group_id": 0}
    story.when(disable_group, **disabled).then(GroupWasDisabled(**disabled, hand_over_id=0))
    story.when(disable_group, **disabled).then()
    with pytest.raises(GroupNotActive):
        active_group(story, 1)
    named_later = {"group_id": 1, "replace_group_id": 2}
    story.when(disable_group, **named_later).then(GroupWasDisabled(**named_later, hand_over_id=1))
    story.when(disable_group, **named_later).then()
    story.when(enable_group, group_id=1).then(GroupWasEnabled(1))
    story.when(enable_group, group_id=1).then()


def test_a_deleted_group_is_gone() -> None:
    deleted = {"group_id": 1, "replace_group_id": 2}
    story = two_groups().when(delete_group, **deleted)
    story.then(GroupWasDeleted(**deleted, hand_over_id=1))
    for command in (delete_group, disable_group, enable_group, change_group):
        story.when(command, group_id=1).refused(GroupNotFound)


@pytest.mark.parametrize("command", [disable_group, delete_group])
def test_a_replacement_is_another_active_group(command: object) -> None:
    story = two_groups()
    story.when(command, group_id=1, replace_group_id=1).refused(SelfReplacement)
    story.when(command, group_id=1, replace_group_id=77).refused(GroupNotFound)
    story.given(disable_group, group_id=2)
    story.when(command, group_id=1, replace_group_id=2).refused(GroupNotActive)


def test_a_receipt_is_its_own_state() -> None:
    story = Story()
    assert story.load(RECEIPTS, "key") is None
    kept = ReceiptKept(request_hash="h", result={"case_id": 1})
    story.record(RECEIPTS, "key", kept)
    assert story.load(RECEIPTS, "key") == kept
