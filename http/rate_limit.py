"""The account's calls in a minute, as Omnidesk counts them since 2024, and the headers that tell of them."""

from collections.abc import Callable
from math import ceil
from time import monotonic

from kanal.http.errors import ApiError

WINDOW = 60
"""Seconds."""
COSTS = {"POST": 2, "PUT": 2, "DELETE": 2}
"""Omnidesk's; everything else is one call."""
UNLIMITED = "1000000"
"""Left when there is no limit, so it never falls: one known client fails without the header, another sleeps when it is low."""


class RateLimit:
    """One process's count: what several processes of an installation take is not added up."""

    def __init__(self, per_minute: int = 0, clock: Callable[[], float] = monotonic) -> None:
        """0: no limit."""
        self._per_minute = per_minute
        self._clock = clock
        self._taken = 0
        self._ends = 0.0

    def take(self, method: str) -> None:
        """Raises ApiError 429; what is refused costs nothing."""
        if not self._per_minute:
            return
        cost, now = COSTS.get(method, 1), self._clock()
        if now >= self._ends:
            self._taken, self._ends = 0, now + WINDOW
        if self._left() >= cost:
            self._taken += cost
            return
        seconds = str(max(1, ceil(self._ends - now)))
        raise ApiError(
            429,
            "rate_limit_exceeded",
            f"Rate limit exceeded: the account has {self._per_minute} calls a minute, of which POST, PUT and DELETE take two each.",
            headers={"retry_after": seconds, "Retry-After": seconds},
        )

    def headers(self) -> dict[str, str]:
        """For every answer, errors included."""
        if not self._per_minute:
            return {"api_calls_left": UNLIMITED}
        return {
            "rate_limit_per_minute": str(self._per_minute),
            "api_calls_left": str(self._left()),
        }

    def _left(self) -> int:
        """A window begins with its first call; before it and behind it all calls are left."""
        taken = self._taken if self._clock() < self._ends else 0
        return self._per_minute - taken
