"""The account's calls in a minute, and the headers that clients read."""

from pathlib import Path

import aiohttp
import pytest
from served_api import CONTENT, EMAIL, serving

from kanal.http.errors import ApiError
from kanal.http.rate_limit import UNLIMITED, RateLimit


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def left(limit: RateLimit) -> int:
    return int(limit.headers()["api_calls_left"])


def test_without_a_limit_the_number_never_falls() -> None:
    limit = RateLimit(0)
    for _ in range(3):
        limit.take("POST")
    assert limit.headers() == {"api_calls_left": UNLIMITED}


def test_what_changes_something_counts_as_two_calls() -> None:
    limit = RateLimit(10, Clock())
    seen = []
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE"):
        limit.take(method)
        seen.append(left(limit))
    assert seen == [9, 8, 6, 4, 2]
    assert limit.headers()["rate_limit_per_minute"] == "10"


def test_what_is_refused_costs_nothing() -> None:
    clock = Clock()
    limit = RateLimit(3, clock)
    limit.take("PUT")
    clock.now += 20.5
    with pytest.raises(ApiError, match=r"^Rate limit exceeded") as refused:
        limit.take("PUT")
    assert (refused.value.status, refused.value.code) == (429, "rate_limit_exceeded")
    assert refused.value.headers == {"retry_after": "40", "Retry-After": "40"}
    assert left(limit) == 1
    limit.take("GET")
    assert left(limit) == 0


def test_the_next_minute_begins_with_all_calls() -> None:
    clock = Clock()
    limit = RateLimit(1, clock)
    limit.take("GET")
    clock.now += 59.9
    with pytest.raises(ApiError) as refused:
        limit.take("GET")
    assert refused.value.headers == {"retry_after": "1", "Retry-After": "1"}
    clock.now += 0.1
    assert left(limit) == 1
    limit.take("GET")


async def test_every_answer_tells_what_is_left(data_dir: Path) -> None:
    async with serving(data_dir, rate_limit_per_minute=7) as api:
        assert (await api.call("GET", "cases.json")).headers["api_calls_left"] == "6"
        made = await api.call("POST", "users.json", {"user": {"user_email": "a@example.com"}})
        assert made.headers["api_calls_left"] == "4"
        missing = await api.call("GET", "cases/9.json")
        assert (missing.status, missing.headers["api_calls_left"]) == (404, "3")
        assert (await api.call("GET", "nothing.json")).headers["api_calls_left"] == "3"
        authorization = aiohttp.encode_basic_auth(EMAIL, "wrong")
        async with aiohttp.ClientSession(headers={"Authorization": authorization}) as stranger:
            for _ in range(9):
                async with stranger.get(f"{api.address}/api/cases.json") as refused:
                    assert refused.status == 401
                    assert refused.headers["api_calls_left"] == "3"
        assert (await api.call("GET", "staff.json")).headers["api_calls_left"] == "2"
        assert (await api.call("DELETE", "cases/9.json")).headers["api_calls_left"] == "0"
        over = await api.call("POST", "cases.json", {"case": CONTENT})
        assert over.refusal == (429, "rate_limit_exceeded")
        assert over.headers["rate_limit_per_minute"] == "7"
        assert over.headers["api_calls_left"] == "0"
        assert 0 < int(over.headers["retry_after"]) <= 60
