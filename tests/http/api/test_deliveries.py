"""What goes out, as the API lists it. Nothing is sent here; tests/delivery has deliveries with outcomes."""

import pytest
from served_api import Api


async def two_replies(api: Api) -> None:
    """On a channel each."""
    for number in (1, 2):
        await api.channel()
        case = await api.case(channel=f"cch{number}")
        await api.message(case["case_id"], staff_id=1)


async def states(api: Api, query: str = "") -> list[tuple[int, str]]:
    found = await api.items(f"deliveries.json{query}", "delivery")
    return [(each["message_id"], each["state"]) for each in found]


async def test_a_reply_is_listed_with_all_that_is_known_of_it(api: Api) -> None:
    await two_replies(api)
    newest = (await api.get("deliveries.json"))["0"]["delivery"]
    message = (await api.get("cases/2/messages.json"))["1"]["message"]
    assert newest.pop("delivery_id").startswith("msg_")
    assert newest == {
        "kind": "message_new",
        "channel_id": 2,
        "webhook_id": 0,
        "case_id": 2,
        "message_id": 4,
        "state": "pending",
        "sequence": 1,
        "attempts": 0,
        "created_at": message["created_at"],
        "next_attempt_at": message["created_at"],
        "delivered_at": None,
        "last_outcome": None,
        "reason": None,
        "replay_id": None,
    }


async def test_what_no_delivery_can_be_called_is_unknown(api: Api) -> None:
    for method, path in (("GET", "%00"), ("PUT", "msg_%00/hold"), ("POST", "%00/replay")):
        refused = await api.call(method, f"deliveries/{path}.json")
        assert refused.refusal == (404, "delivery_not_found"), path


async def test_the_newest_is_first_and_pages_follow(api: Api) -> None:
    await two_replies(api)
    assert await states(api) == [(4, "pending"), (2, "pending")]
    assert await states(api, "?limit=1&page=2") == [(2, "pending")]
    assert await api.get("deliveries.json?page=3&limit=1") == {"total_count": 2}


@pytest.mark.parametrize(
    "query",
    ["?channel=cch1", "?channel=1", "?case_id=1", "?message_id=2", "?channel=1&kind=message_new"],
)
async def test_filters_choose(api: Api, query: str) -> None:
    await two_replies(api)
    assert await states(api, query) == [(2, "pending")]


async def test_a_case_is_found_by_its_number_too(api: Api) -> None:
    await two_replies(api)
    number = (await api.get("cases/1.json"))["case"]["case_number"]
    assert await states(api, f"?case_id={number}") == [(2, "pending")]


async def test_a_later_message_of_a_case_has_no_time_of_its_own_yet(api: Api) -> None:
    await two_replies(api)
    await api.message(1, staff_id=1)
    newest = (await api.get("deliveries.json"))["0"]["delivery"]
    assert (newest["sequence"], newest["next_attempt_at"]) == (2, None)


async def test_a_disabled_channel_holds_and_a_deleted_one_dead_letters(api: Api) -> None:
    await two_replies(api)
    await api.put("custom_channels/1/disable.json")
    await api.call("DELETE", "custom_channels/2.json")
    await api.message(2, staff_id=1)
    assert await states(api) == [(5, "dead"), (4, "dead"), (2, "held")]
    assert await states(api, "?state=pending") == []
    assert await states(api, "?state=held") == [(2, "held")]
    assert await states(api, "?state=dead") == [(5, "dead"), (4, "dead")]
    assert await states(api, "?state=delivered") == []
    after, before, held = await api.items("deliveries.json", "delivery")
    assert after["reason"] == "The channel was deleted before the message was written."
    assert before["reason"] == "The channel was deleted before the message could be delivered."
    assert held["next_attempt_at"] is None
    await api.put("custom_channels/1/enable.json")
    assert await states(api, "?state=pending") == [(2, "pending")]


@pytest.mark.parametrize("query", ["?state=lost", "?channel=first", "?message_id=x", "?kind=ping"])
async def test_a_filter_that_means_nothing_is_refused(api: Api, query: str) -> None:
    refused = await api.call("GET", f"deliveries.json{query}")
    assert refused.refusal == (400, "invalid_parameters")
