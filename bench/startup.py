"""Time to the first good `/readyz` and memory then, with a short log and with a long one."""

import time
from http.client import HTTPException
from typing import Any

from databases import Place
from figures import Spread
from measuring import Bench
from processes import START_SECONDS, listening, starting_kanal, wait_until
from report import Report

SLOWEST_SECONDS = 2
BARE = "bare aiohttp"


def measure(bench: Bench) -> Report:
    report = Report()
    sizes, rounds = ((20_000,), 1) if bench.quick else ((10_000, 1_000_000), 5)
    for kind in bench.databases.kinds:
        logs = {events: bench.filled(kind, events) for events in sizes}
        results: dict[str, Any] = {BARE: []}
        results |= {f"Kanal, {logs[events].made['events']:,} events": [] for events in sizes}
        for number in range(rounds + 1):
            taken = [_bare(), *(_kanal(filled.place) for filled in logs.values())]
            # The first start fills the system's cache.
            if number:
                for name, figures in zip(results, taken, strict=True):
                    results[name].append(figures)
        _show(report, kind, results)
    return report


def _bare() -> tuple[float, float, float]:
    began = time.perf_counter()
    with listening("bare_server.py", 500) as server:

        def answers() -> bool:
            try:
                server.get("/")
            except HTTPException:
                return False
            except ValueError:  # "404: Not Found" is no JSON, but an answer
                pass
            return True

        wait_until("the bare server answers", answers, START_SECONDS)
        return time.perf_counter() - began, server.cpu_seconds(), server.memory_mib()


def _kanal(place: Place) -> tuple[float, float, float]:
    began = time.perf_counter()
    with starting_kanal(place.variables, place.folder) as ready:
        server = ready()
        return time.perf_counter() - began, server.cpu_seconds(), server.memory_mib()


def _show(report: Report, kind: str, results: dict[str, list[tuple[float, float, float]]]) -> None:
    bare = Spread.of([seconds for seconds, *_ in results[BARE]]).median
    rows = []
    for name, taken in results.items():
        seconds, cpu, memory = (Spread.of(each) for each in zip(*taken, strict=True))
        times = f"{seconds.median / bare:.1f}"
        rows.append([name, seconds.text(2), times, cpu.text(2), memory.text()])
    columns = ("process", "seconds to ready", "times bare", "CPU s", "resident MiB")
    report.add(f"Start, {kind}", columns, rows)
    largest = list(results)[-1]
    report.target(
        f"start of {largest}, {kind}",
        Spread.of([seconds for seconds, *_ in results[largest]]).median,
        SLOWEST_SECONDS,
        at_least=False,
        unit="s",
    )
    report.figures[kind] = results
