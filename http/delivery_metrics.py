"""What sending has come to, for Prometheus (docs/delivery.md says what each number means)."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final, get_args

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from kanal.delivery.meter import (
    BUCKETS,
    CHANNELS_LIMIT,
    Breaker,
    LaneKind,
    Meter,
    Waiting,
    waiting,
)
from kanal.domain.lanes import webhook_of
from kanal.eventlog.database import Database
from kanal.http.metrics import cumulative

BREAKERS: Final = get_args(Breaker)


class DeliveryMetrics(Collector):
    """Registers itself with the registry that it is given."""

    def __init__(
        self,
        registry: CollectorRegistry,
        meter: Meter,
        in_flight: Callable[[], int],
        capacity: int,
    ) -> None:
        self.waiting: Sequence[Waiting] = ()
        """As it was read for the page that is being made."""
        self._meter = meter
        self._in_flight = in_flight
        self._capacity = capacity
        registry.register(self)

    async def look(self, database: Database) -> None:
        """At what waits; without the database the page has the other numbers."""
        try:
            self.waiting = await database.read(waiting, time.time_ns() // 1000)
        except SQLAlchemyError:
            self.waiting = ()

    def collect(self) -> Iterator[Metric]:
        yield from self._counted()
        yield from self._of_lanes()

    def _counted(self) -> Iterator[Metric]:
        meter = self._meter
        attempts = CounterMetricFamily(
            "kanal_delivery_attempts", "Attempts by the class of their outcome", labels=("class",)
        )
        for outcome, times in meter.outcomes.items():
            attempts.add_metric((outcome,), times)
        yield attempts
        latency = HistogramMetricFamily(
            "kanal_delivery_seconds", "From an event to the success of its delivery"
        )
        latency.add_metric((), cumulative(BUCKETS, meter.latency.counts), meter.latency.total)
        yield latency
        counts: dict[str, tuple[str, float]] = {
            "resends": ("Sent twice at once, after a kept connection was dropped", meter.resent),
            "lease_expiries": ("Lanes taken from a process that was gone", meter.lease_expiries),
            "unknown_outcomes": ("Attempts of such a process, made again", meter.unknown),
            "late_outcomes": ("Outcomes that came after the lane was lost", meter.fenced),
            "dead_letters": ("Messages given up", meter.dead),
            "lookups": ("Names looked up", meter.lookups),
            "lookup_seconds": ("Time spent waiting for names", meter.lookup_seconds),
        }
        for name, (help_, count) in counts.items():
            yield CounterMetricFamily(f"kanal_delivery_{name}", help_, value=count)
        yield GaugeMetricFamily(
            "kanal_delivery_in_flight", "Webhooks under way", value=self._in_flight()
        )
        yield GaugeMetricFamily(
            "kanal_delivery_capacity", "Webhooks that may be under way", value=self._capacity
        )

    def _of_lanes(self) -> Iterator[Metric]:
        lanes = GaugeMetricFamily(
            "kanal_delivery_lanes", "Channels on which something waits", labels=("state",)
        )
        kinds = Counter(row.kind for row in self.waiting)
        for kind in get_args(LaneKind):
            lanes.add_metric((kind,), kinds[kind])
        yield lanes
        now = time.time_ns() // 1000
        age = GaugeMetricFamily(
            "kanal_delivery_oldest_seconds", "Age of the oldest undelivered", labels=("channel",)
        )
        breaker = GaugeMetricFamily(
            "kanal_delivery_breaker", "0 closed, 1 probing, 2 open", labels=("channel",)
        )
        for row in self.waiting[:CHANNELS_LIMIT]:
            webhook_id = webhook_of(row.channel_id)
            channel = (f"webhook{webhook_id}" if webhook_id else str(row.channel_id),)
            age.add_metric(channel, max(0, now - row.oldest_at) / 1_000_000)
            breaker.add_metric(channel, BREAKERS.index(row.breaker))
        yield age
        yield breaker
