"""How fast a channel's deliveries may follow one another: a token bucket, kept by whoever owns the channel's sending."""

from typing import Final

from kanal.delivery.schedule import MINUTE

BURST_SHARE: Final = 10
"""This part of a minute's deliveries may go at once after a pause, so that a conversation does not limp."""


class Pace:
    """All times are microseconds of a clock that never goes back.

    A new one has a single token: whoever takes over a channel's sending cannot know what the one before had left.
    """

    def __init__(self, per_minute: int, now: int) -> None:
        self.per_minute = per_minute
        self._interval = MINUTE // per_minute
        self._burst = (max(1, per_minute // BURST_SHARE) - 1) * self._interval
        self._full_at = now + self._burst
        """When the bucket will be full again."""

    def take(self, now: int) -> bool:
        """Whether one more may go now; then it counts."""
        if self.wait(now) > 0:
            return False
        self._full_at = max(self._full_at, now) + self._interval
        return True

    def wait(self, now: int) -> int:
        """Until the next may go."""
        return max(0, self._full_at - self._burst - now)

    def is_full(self, now: int) -> bool:
        return self._full_at <= now
