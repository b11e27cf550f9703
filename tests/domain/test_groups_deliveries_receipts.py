"""The small aggregates: groups, decisions about deliveries, receipts."""

from story import Story

from kanal.domain.deliveries import DeliveryDeadLettered, dead_letter
from kanal.domain.groups import GroupCreated, create_group
from kanal.domain.receipts import RECEIPTS, ReceiptKept


def test_a_group_gets_the_next_id() -> None:
    story = Story().given(create_group, title="Sales").when(create_group, title="Support")
    assert story.result == 2
    story.then(GroupCreated(group_id=2, title="Support", from_name="", signature=""))


def test_a_delivery_is_dead_lettered_once() -> None:
    arguments = {
        "delivery_id": "msg_1",
        "channel_id": 1,
        "case_id": 2,
        "message_id": 3,
        "reason": "The channel is deleted.",
    }
    story = Story().when(dead_letter, **arguments).then(DeliveryDeadLettered(**arguments))
    story.when(dead_letter, **arguments).then()


def test_a_receipt_is_its_own_state() -> None:
    story = Story()
    assert story.load(RECEIPTS, "key") is None
    kept = ReceiptKept(request_hash="h", result={"case_id": 1})
    story.record(RECEIPTS, "key", kept)
    assert story.load(RECEIPTS, "key") == kept
