"""Events per second in rebuilding all core models, beside a bare read of the log plus `executemany`; and beside writes."""

import json
import socket
import time
from http.client import HTTPConnection
from typing import Any

import api
from databases import POSTGRES, SQLITE
from figures import Spread, ratios
from measuring import Bench, Filled
from processes import Asked, Failed, ask, kanal
from report import Report

from kanal.bootstrap import CONTROL_SOCKET
from kanal.projections.registry import CORE

RATES = {SQLITE: 25_000, POSTGRES: 20_000}
WRITES = 2000
"""A second, beside a rebuild."""
KEPT_UP = 0.97
"""Of the writes that fell due; with fewer answered a queue was growing."""
BUSY_RATE = 8000
SLOWER_TIMES = 2
CASES = 256
CONNECTIONS = 64
REBUILD_SECONDS = 300
FLAT = 1.2
"""A log ten times as long may take this much more memory: caches of the allocator and the database."""


def measure(bench: Bench) -> Report:
    report = Report()
    sizes = ((20_000, 1),) if bench.quick else ((100_000, 3), (1_000_000, 1))
    for kind in bench.databases.kinds:
        results = {events: _idle(bench.filled(kind, events), rounds) for events, rounds in sizes}
        _show_idle(report, kind, results)
    for kind in bench.databases.kinds:
        busy = _busy(bench.filled(kind, sizes[0][0]), 2 if bench.quick else 8)
        _show_busy(report, kind, busy)
    return report


def _idle(filled: Filled, rounds: int) -> dict[str, Any]:
    job = filled.place.job()
    events = filled.made["events"]
    kanals, bares = [], []
    for _ in range(rounds):
        kanals.append(ask("rebuilding.py", job, timeout=REBUILD_SECONDS))
        if kanals[-1]["differences"]:
            raise Failed(f"rebuilt differently: {kanals[-1]['differences']}")
        bares.append(ask("bare_rebuilding.py", job, timeout=REBUILD_SECONDS))
        if bares[-1]["events"] < events:
            raise Failed(f"the bare read found {bares[-1]['events']} of {events} events")
    return {"events": events, "kanal": kanals, "bare": bares}


def _busy(filled: Filled, seconds: float) -> dict[str, Any]:
    """Beside writes at a steady rate, through the process that serves."""
    with kanal(filled.place.variables, filled.place.folder) as server:
        calls = api.Api(server)
        channel_id = calls.create_channel("https://receiver.example/webhook")
        requests = api.user_messages(calls.open_cases(channel_id, CASES))

        def load(seconds: float) -> Asked:
            job = api.load_job(
                server,
                requests,
                connections=CONNECTIONS,
                seconds=seconds,
                warm_up=1,
                rate=WRITES,
            )
            return Asked("load.py", job)

        before = load(seconds).result(timeout=60 + seconds)
        during_load = load(REBUILD_SECONDS)
        time.sleep(1.5)  # its start and warm-up
        position = server.get("/readyz")[1]["position"]
        took = _rebuild_beside(filled)
        during = during_load.result(stop=True, timeout=60)
    for result in (before, during):
        if result["errors"] or not result["answers"]:
            raise Failed(f"writes: {result['errors']} {result['first_error']}")
    return {"events": position, "seconds": took, "before": before, "during": during}


def _rebuild_beside(filled: Filled) -> float:
    """Seconds; as `kanal rebuild` does it: the serving process on SQLite, one of its own on PostgreSQL."""
    if filled.place.url:
        rebuilt = ask("rebuilding.py", filled.place.job(), timeout=REBUILD_SECONDS)
        return float(rebuilt["seconds"])
    began = time.perf_counter()
    connection = HTTPConnection("kanal")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(REBUILD_SECONDS)
    connection.sock.connect(str(filled.place.folder / CONTROL_SOCKET))
    names = [model.name for model in CORE]
    connection.request("POST", "/rebuild", json.dumps({"names": names}))
    lines = connection.getresponse().read().splitlines()
    connection.close()
    last = json.loads(lines[-1])
    if last.get("ended") != "well":
        raise Failed(f"rebuild beside writes: {last}")
    return time.perf_counter() - began


def _show_idle(report: Report, kind: str, results: dict[int, dict[str, Any]]) -> None:
    rows = []
    for result in results.values():
        events = result["events"]
        rates = {
            name: [events / taken["seconds"] for taken in result[name]]
            for name in ("bare", "kanal")
        }
        cpu = {
            name: Spread.of([taken["cpu_seconds"] for taken in result[name]]).median / events * 1e6
            for name in rates
        }
        bare = ["bare read and executemany", Spread.of(rates["bare"]).text(), "1"]
        rebuilt = [
            "kanal rebuild",
            Spread.of(rates["kanal"]).text(),
            ratios(rates["kanal"], rates["bare"]).text(2),
        ]
        memory = [f"{_most(result, name):.0f}" for name in ("anonymous_mib", "resident_mib")]
        rows.append([f"{events:,}", *bare, f"{cpu['bare']:.0f}", "", ""])
        rows.append([f"{events:,}", *rebuilt, f"{cpu['kanal']:.0f}", *memory])
    columns = (
        *("events in the log", "program", "events/s", "to bare", "CPU µs"),
        *("peak MiB of its own", "with mapped files"),
    )
    report.add(f"Rebuild of all core models, nothing else running, {kind}", columns, rows)
    largest, smallest = results[max(results)], results[min(results)]
    report.target(
        f"rebuild of {largest['events']:,} events, idle, {kind}",
        Spread.of(rates["kanal"]).median,
        RATES[kind],
        digits=0,
        unit="events/s",
    )
    if largest is not smallest:
        report.target(
            f"memory, {largest['events']:,} to {smallest['events']:,} events, {kind}",
            _most(largest, "anonymous_mib") / _most(smallest, "anonymous_mib"),
            FLAT,
            at_least=False,
        )
    report.figures[f"idle_{kind}"] = results


def _most(result: dict[str, Any], figure: str) -> float:
    return max(float(taken[figure]) for taken in result["kanal"])


def _show_busy(report: Report, kind: str, busy: dict[str, Any]) -> None:
    rate = busy["events"] / busy["seconds"]
    rows = [
        [
            title,
            f"{writes['rate']:,.0f}",
            f"{writes['p50']:.1f}",
            f"{writes['p99']:.1f}",
            f"{writes['most']:.1f}",
            shown,
        ]
        for title, writes, shown in (
            ("before", busy["before"], ""),
            ("during", busy["during"], f"{rate:,.0f}"),
        )
    ]
    columns = ("rebuild", "writes/s", "p50 ms", "p99 ms", "most ms", "events/s rebuilt")
    report.add(f"Rebuild of {busy['events']:,} events beside writes, {kind}", columns, rows)
    report.target(
        f"rebuild beside {WRITES:,} writes/s, {kind}", rate, BUSY_RATE, digits=0, unit="events/s"
    )
    report.target(
        f"p99 of the writes, during to before, {kind}",
        busy["during"]["p99"] / busy["before"]["p99"],
        SLOWER_TIMES,
        at_least=False,
        digits=1,
        unit="times",
    )
    if busy["before"]["rate"] < WRITES * KEPT_UP:
        report.notes.append(
            f"{kind} did not keep up with {WRITES:,} writes/s before the rebuild: here p99 is how "
            "long a growing queue was, and says nothing of the rebuild."
        )
    report.figures[f"busy_{kind}"] = busy
