"""The log as an auditor reads it."""

from typing import Any

from served_api import Api


async def fill(api: Api) -> None:
    await api.channel()
    await api.channel()
    await api.case()
    await api.message(1)
    await api.case(channel="cch2")


async def positions(api: Api, query: str) -> list[int]:
    return [event["position"] for event in await api.items(f"events.json?{query}", "event")]


async def test_an_event_tells_what_when_who_and_by_which_request(api: Api) -> None:
    await api.channel()
    answer = await api.call(
        "POST",
        "cases.json",
        {"case": {"user_custom_id": "u1", "channel": "cch1", "content": "Hello"}},
        headers={"X-Request-Id": "mine-1"},
    )
    assert answer.status == 201
    events = await api.items("events.json?case_id=1", "event")
    opened, added = events
    assert opened["type"] == "case.opened.1"
    assert opened["at"] == answer.json["case"]["created_at"]
    assert opened["at_microseconds"] == added["at_microseconds"]
    assert (opened["who"], opened["origin"], opened["request"]) == ("staff:1", "api", "mine-1")
    assert (opened["cause"], opened["about"]) == (None, [1])
    assert added["data"]["content"] == "Hello"


async def test_the_log_is_read_through_by_position(api: Api) -> None:
    await fill(api)
    found: list[Any] = []
    path: str | None = "events.json?limit=4"
    while path:
        answer = await api.call("GET", path)
        assert answer.json["total_count"] == api.head()
        found += [row["event"]["position"] for row in list(answer.json.values())[:-1]]
        link = answer.headers.get("Link")
        path = link.partition("</api/")[2].partition(">")[0] if link else None
    assert found == list(range(1, api.head() + 1))
    last = await api.call("GET", f"events.json?after={api.head()}")
    assert last.text == f'{{\n    "total_count": {api.head()}\n}}'
    assert "Link" not in last.headers


async def test_the_log_is_read_backwards_and_by_pages_too(api: Api) -> None:
    await fill(api)
    head = api.head()
    assert await positions(api, "order=desc&limit=2") == [head, head - 1]
    assert await positions(api, f"order=desc&after={head - 1}&limit=2") == [head - 2, head - 3]
    assert await positions(api, "limit=3&page=2") == [4, 5, 6]
    assert await positions(api, "limit=3&page=501") == []


async def test_events_are_filtered_by_case_user_and_channel(api: Api) -> None:
    await fill(api)
    number = (await api.get("cases/1.json"))["case"]["case_number"]
    events = await api.items("events.json", "event")

    def about(**wanted: int) -> list[int]:
        """By what the events themselves say."""
        return [
            e["position"]
            for e in events
            if all(
                key in e["about"] if name == "user" else e["data"].get(f"{name}_id") == key
                for name, key in wanted.items()
            )
        ]

    assert await positions(api, "case_id=1") == about(case=1) != []
    assert await positions(api, f"case={number}") == about(case=1)
    assert await positions(api, "user_id=2") == about(user=2) != []
    assert await positions(api, "channel=cch2") == about(channel=2) != []
    assert await positions(api, "channel=2&user_id=2") == about(channel=2, user=2)
    assert await positions(api, "case_id=1&user_id=2") == []
    assert await positions(api, "case_id=1&order=desc&limit=1") == about(case=1)[-1:]
    first, second, *_ = about(case=1)
    assert await positions(api, f"case_id=1&after={first}&limit=1") == [second]
    total = (await api.get("events.json?case_id=1&limit=1"))["total_count"]
    assert total == len(about(case=1))
    assert await api.get("events.json?case_id=77") == {"total_count": 0}


async def test_a_write_that_was_answered_is_in_the_history(api: Api) -> None:
    await api.channel()
    await api.case()
    for _ in range(10):
        message = await api.message(1)
        events = await api.items("events.json?case_id=1&order=desc&limit=2", "event")
        assert message["message_id"] in [e["data"].get("message_id") for e in events]
