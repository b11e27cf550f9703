"""Durable `POST /api/cases/[id]/messages.json` per second, beside a bare aiohttp handler; and group commit by itself."""

import json
from contextlib import ExitStack
from typing import Any, NamedTuple

import api
from databases import POSTGRES, SQLITE
from figures import Spread, ratios
from measuring import Bench
from processes import Asked, Failed, Server, ask, kanal, listening
from report import Report

CONNECTIONS = (1, 16, 64, 256)
JUDGED = 64
"""Connections at which the targets are meant."""
CASES = 256
"""One for each connection at the most, so that no two write to one case at once."""
CLIENTS = 64
BARE = "bare aiohttp"
BOUNDS = {SQLITE: (0.25, 0.35), POSTGRES: (0.17, 0.25)}
"""Ratio to the bare handler at 64 connections: at least, and what is aimed at."""
SLOWEST_MS = 40
GROUPED = 15


class Size(NamedTuple):
    rounds: int
    seconds: float
    warm_up: float


def measure(bench: Bench) -> Report:
    report = Report()
    size = Size(2, 0.5, 0.2) if bench.quick else Size(5, 2, 0.5)
    with ExitStack() as stack:
        servers: dict[str, Server] = {}
        requests = {}
        for kind in bench.databases.kinds:
            place = stack.enter_context(bench.databases.place(kind))
            servers[kind] = stack.enter_context(kanal(place.variables, place.folder))
            calls = api.Api(servers[kind])
            channel_id = calls.create_channel("https://receiver.example/webhook")
            requests[kind] = api.user_messages(calls.open_cases(channel_id, CASES))
        answer = calls.call("POST", **_as_call(requests[kind][0]))
        length = len(json.dumps(answer, indent=4, ensure_ascii=False).encode())
        servers[BARE] = stack.enter_context(listening("bare_server.py", length))
        requests[BARE] = requests[kind]
        figures = {
            connections: _rounds(servers, requests, connections, size)
            for connections in CONNECTIONS
        }
    _show(report, bench.databases.kinds, figures)
    for kind in bench.databases.kinds:
        with bench.databases.place(kind) as place:
            job = place.job() | {"clients": CLIENTS, "rounds": size.rounds, "seconds": size.seconds}
            _show_group_commit(report, kind, ask("group_commit.py", job))
    report.figures["messages"] = figures
    return report


def _as_call(request: dict[str, Any]) -> dict[str, Any]:
    return {"path": request["path"], "data": request["body"], "status": 201}


def _rounds(
    servers: dict[str, Server], requests: dict[str, Any], connections: int, size: Size
) -> dict[str, list[dict[str, Any]]]:
    """Every server in each round, another one first each time, so that a slow moment hits all alike."""
    names = list(servers)
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for number in range(size.rounds):
        start = number % len(names)
        for name in names[start:] + names[:start]:
            server = servers[name]
            job = api.load_job(
                server,
                requests[name],
                connections=connections,
                seconds=size.seconds,
                warm_up=size.warm_up,
            )
            used = server.cpu_seconds()
            result = Asked("load.py", job).result(timeout=60 + size.seconds)
            used = server.cpu_seconds() - used
            if result["errors"] or not result["answers"]:
                raise Failed(f"{name}: {result['errors']} {result['first_error']}")
            # The warm-up's requests used the processor too.
            handled = result["answers"] * (1 + size.warm_up / size.seconds)
            results[name].append(result | {"server_cpu_us": used / handled * 1e6})
    return results


def _show(
    report: Report, kinds: list[str], figures: dict[int, dict[str, list[dict[str, Any]]]]
) -> None:
    rows = []
    for connections, results in figures.items():
        bare = [result["rate"] for result in results[BARE]]
        for name in [BARE, *kinds]:
            taken = {
                figure: [result[figure] for result in results[name]]
                for figure in ("rate", "p50", "p99", "server_cpu_us")
            }
            ratio = ratios(taken["rate"], bare)
            p99 = Spread.of(taken["p99"])
            rows.append(
                [
                    str(connections),
                    name,
                    Spread.of(taken["rate"]).text(),
                    "1" if name == BARE else ratio.text(2),
                    Spread.of(taken["p50"]).text(1),
                    p99.text(1),
                    f"{Spread.of(taken['server_cpu_us']).median:.0f}",
                ]
            )
            if connections == JUDGED and name != BARE:
                bound, aim = BOUNDS[name]
                report.target(
                    f"rate to bare, {JUDGED} connections, {name}",
                    ratio.median,
                    bound,
                    aim=aim,
                    digits=3,
                )
                report.target(
                    f"p99, {JUDGED} connections, {name}",
                    p99.median,
                    SLOWEST_MS,
                    at_least=False,
                    digits=1,
                    unit="ms",
                )
    columns = ("connections", "server", "answers/s", "to bare", "p50 ms", "p99 ms", "CPU µs")
    report.add("Durable POST messages, median (least..most) of the rounds", columns, rows)


def _show_group_commit(report: Report, kind: str, figures: dict[str, Any]) -> None:
    group, single = figures["group"], figures["single"]
    times = ratios(group["rates"], single["rates"])
    rows = [
        [
            name,
            Spread.of(taken["rates"]).text(),
            text,
            Spread.of(taken["p99"]).text(1),
        ]
        for name, taken, text in (
            ("one transaction for each command", single, "1"),
            ("group commit", group, times.text(1)),
        )
    ]
    columns = ("writer", "commands/s", "times", "p99 ms")
    report.add(f"Group commit at {CLIENTS} clients, without HTTP, {kind}", columns, rows)
    report.target(
        f"group commit to one by one, {kind}", times.median, GROUPED, digits=1, unit="times"
    )
    report.figures[f"group_commit_{kind}"] = figures
