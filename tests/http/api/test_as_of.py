"""A case and its messages as they were at an earlier position or time."""

from typing import Any

from served_api import Api


async def test_at_each_position_the_case_answers_as_it_did_then(api: Api) -> None:
    await api.channel()
    await api.case(subject="First")
    seen: dict[int, tuple[Any, Any]] = {}

    async def remember() -> None:
        case = await api.call("GET", "cases/1.json")
        messages = await api.call("GET", "cases/1/messages.json")
        seen[api.head()] = (case.text, messages.text)

    await remember()
    for _ in range(2):
        await api.message(1)
        await remember()
        await api.put("cases/1.json", {"case": {"status": "closed", "subject": "Second"}})
        await remember()
        await api.message(1, user_id=1)
        await remember()
    for position, (case, messages) in seen.items():
        assert (await api.call("GET", f"cases/1.json?as_of={position}")).text == case
        then = await api.call("GET", f"cases/1/messages.json?as_of={position}")
        assert then.text == messages
    one = await api.items(f"cases/1/messages.json?as_of={min(seen)}&order=desc", "message")
    assert len(one) == 1


async def test_at_each_time_the_case_answers_as_it_did_then(api: Api) -> None:
    await api.channel()
    await api.case()
    before = await api.get("cases/1.json")
    await api.message(1)
    events = await api.items("events.json?case_id=1", "event")
    opened, replied = events[0], events[-1]
    exact = opened["at_microseconds"]
    as_of = f"{exact // 1_000_000}.{exact % 1_000_000:06}"
    assert await api.get(f"cases/1.json?as_of={as_of}") == before
    # A whole second is meant to its end, for that is how the answers show times.
    shown = await api.call("GET", "cases/1.json", params={"as_of": replied["at"]})
    assert shown.json["case"]["status"] == "waiting"
    earlier = await api.call("GET", f"cases/1.json?as_of={exact // 1_000_000 - 1}")
    assert earlier.refusal == (404, "case_not_found")


async def test_before_it_was_opened_a_case_is_not_found(api: Api) -> None:
    await api.channel()
    await api.case()
    for as_of in ("0", "1", "2014-01-01", "1000000000"):
        for path in ("cases/1.json", "cases/1/messages.json"):
            refused = await api.call("GET", f"{path}?as_of={as_of}")
            assert refused.refusal == (404, "case_not_found"), as_of


async def test_a_later_moment_than_now_is_now(api: Api) -> None:
    await api.channel()
    await api.case()
    now = await api.get("cases/1.json")
    for as_of in ("999999999", "2099-01-01", ""):
        assert await api.get(f"cases/1.json?as_of={as_of}") == now, as_of


async def test_what_is_neither_position_nor_time_is_refused(api: Api) -> None:
    await api.channel()
    await api.case()
    for as_of in ("-1", "yesterday", "2024-13-01", "1e9"):
        refused = await api.call("GET", f"cases/1.json?as_of={as_of}")
        assert refused.refusal == (400, "wrong_date"), as_of
