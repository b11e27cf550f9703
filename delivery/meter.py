"""What sending has come to in this process: plain numbers, counted where it happens and shown when somebody asks."""

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from sqlalchemy import Connection, func, select

from kanal.delivery.outcome import Outcome
from kanal.delivery.tables import OPEN, deliveries, lanes

BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300, 3_600, 86_400)
"""Seconds from the event to the success: fine where it went at once, coarse where it was tried for days."""
CHANNELS_LIMIT: Final = 100
"""Channels that are shown one by one: those that have waited longest, so that the page does not grow with the channels."""

Breaker = Literal["closed", "probing", "open"]
LaneKind = Literal["ready", "failing", "paused", "disabled"]


@dataclass
class Histogram:
    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    total: float = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds


@dataclass
class Meter:
    outcomes: dict[str, int] = field(default_factory=dict)
    """By class."""
    latency: Histogram = field(default_factory=Histogram)
    """From an event to the first success of its delivery."""
    resent: int = 0
    lease_expiries: int = 0
    """Lanes taken from a process that had fallen silent or ended without giving them back."""
    unknown: int = 0
    """Attempts that such a process left open: each may have arrived, and is made again."""
    fenced: int = 0
    """Outcomes that came after another process had taken the lane over."""
    dead: int = 0
    lookups: int = 0
    lookup_seconds: float = 0.0

    def attempted(self, outcome: Outcome) -> None:
        name = str(outcome.outcome_class)
        self.outcomes[name] = self.outcomes.get(name, 0) + 1
        self.resent += outcome.resent

    def delivered(self, created_at: int, outcome: Outcome) -> None:
        self.latency.observe(max(0, outcome.ended_at - created_at) / 1_000_000)


class Waiting(NamedTuple):
    """A channel on which something waits."""

    channel_id: int
    oldest_at: int
    kind: LaneKind
    breaker: Breaker


def waiting(connection: Connection, now: int) -> list[Waiting]:
    """All of them, the longest first: one look at the index for each channel."""
    own = deliveries.c.channel_id == lanes.c.channel_id
    first = select(func.min(deliveries.c.created_at)).where(own, OPEN).scalar_subquery()
    oldest = select(
        lanes.c.channel_id,
        first.label("oldest_at"),
        lanes.c.state,
        lanes.c.failures,
        lanes.c.paused_until,
    ).subquery()
    query = select(oldest).where(oldest.c.oldest_at.is_not(None)).order_by(oldest.c.oldest_at)
    found = []
    for channel_id, oldest_at, state, failures, paused_until in connection.execute(query):
        breaker: Breaker = "probing" if failures else "closed"
        if paused_until > now:
            breaker = "open"
        kind: LaneKind = state
        if state == "active":
            kind = "ready" if breaker == "closed" else "failing"
        found.append(Waiting(channel_id, oldest_at, kind, breaker))
    return found
