"""Counts of what came in, for Prometheus: by route template, method and status.

Plain numbers that are turned into families only when somebody reads them: prometheus-client's own
counters take a lock and some microseconds for each step, and all requests run in one thread.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds. Fine around the promised p99 of 40 ms, coarse up to a client's patience."""

UNMATCHED = "unmatched"
"""Route of a request that no route took: its path is the caller's text and would be a new series
each time."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"
"""Likewise for methods that nobody has heard of."""

Call = tuple[str, str]


class Metrics(Collector):
    """One application's requests; registers itself with the registry that it is given."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.in_flight = 0
        self._answers: dict[tuple[str, str, int], int] = {}
        self._times: dict[Call, list[int]] = {}
        self._sums: dict[Call, float] = {}
        registry.register(self)

    def observe(self, route: str, method: str, status: int, seconds: float) -> None:
        if method not in METHODS:
            method = OTHER
        answered = (route, method, status)
        self._answers[answered] = self._answers.get(answered, 0) + 1
        call = (route, method)
        times = self._times.get(call)
        if times is None:
            times = self._times[call] = [0] * (len(BUCKETS) + 1)
        times[bisect_left(BUCKETS, seconds)] += 1
        self._sums[call] = self._sums.get(call, 0.0) + seconds

    def collect(self) -> Iterator[Metric]:
        answers = CounterMetricFamily(
            "kanal_http_requests", "Requests answered", labels=("route", "method", "status")
        )
        for (route, method, status), count in self._answers.items():
            answers.add_metric((route, method, str(status)), count)
        yield answers
        times = HistogramMetricFamily(
            "kanal_http_request_seconds", "Time to the answer", labels=("route", "method")
        )
        for call, counts in self._times.items():
            times.add_metric(call, cumulative(BUCKETS, counts), self._sums[call])
        yield times
        yield GaugeMetricFamily(
            "kanal_http_requests_in_flight", "Requests being answered", value=self.in_flight
        )


def exposition(registry: CollectorRegistry) -> web.Response:
    """The answer of /metrics."""
    return web.Response(
        body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
    )


def cumulative(edges: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    """As Prometheus wants them: what is up to each edge; `counts` has one more for what is beyond."""
    total = 0
    buckets: list[tuple[str, float]] = []
    for edge, count in zip((*map(str, map(float, edges)), "+Inf"), counts, strict=True):
        total += count
        buckets.append((edge, total))
    return buckets
