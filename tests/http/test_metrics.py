from prometheus_client import CollectorRegistry

from kanal.http.metrics import Metrics, exposition


def test_requests_are_counted_by_route_method_and_status() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.observe("/api/x", "GET", 200, 0.002)
    metrics.observe("/api/x", "GET", 200, 0.3)
    metrics.observe("/api/x", "GET", 404, 60.0)
    metrics.observe("unmatched", "HACK", 405, 0.0)
    value = registry.get_sample_value
    call = {"route": "/api/x", "method": "GET"}
    assert value("kanal_http_requests_total", {**call, "status": "200"}) == 2
    assert value("kanal_http_requests_total", {**call, "status": "404"}) == 1
    other = {"route": "unmatched", "method": "other", "status": "405"}
    assert value("kanal_http_requests_total", other) == 1
    assert value("kanal_http_request_seconds_bucket", {**call, "le": "0.0025"}) == 1
    assert value("kanal_http_request_seconds_bucket", {**call, "le": "0.5"}) == 2
    assert value("kanal_http_request_seconds_bucket", {**call, "le": "+Inf"}) == 3
    assert value("kanal_http_request_seconds_count", call) == 3
    assert value("kanal_http_request_seconds_sum", call) == 60.302


def test_requests_in_flight_are_seen() -> None:
    registry = CollectorRegistry()
    Metrics(registry).in_flight = 3
    assert registry.get_sample_value("kanal_http_requests_in_flight") == 3


def test_prometheus_can_read_the_page() -> None:
    registry = CollectorRegistry()
    Metrics(registry).observe("/api/x", "GET", 200, 0.002)
    page = exposition(registry)
    assert page.headers["Content-Type"].startswith("text/plain")
    assert b"kanal_http_requests_total" in page.body  # type: ignore[operator]
