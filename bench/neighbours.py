"""What channels whose receivers hang cost the others: from a reply to the arrival of its webhook, while ever more of them hang."""

import math
from typing import Any

import api
from figures import percentile
from measuring import Bench
from processes import Asked, Failed, Server, kanal, listening, wait_until
from report import Report

CHANNELS = 200
"""Half of them never hang, and are measured."""
CASES_OF_A_CHANNEL = 2
RATE = 200
"""Replies a second, over all channels."""
CONNECTIONS = 16
ARRIVAL_SECONDS = 60
ONE = "one channel in 200 hangs"
HANGING = {"none hangs": 0.0, ONE: 0.005, "1 % hang": 0.01, "10 % hang": 0.1, "50 % hang": 0.5}
"""Shares of all channels."""
SLOWEST_P95_MS = 50
SLOWEST_P99_RATIO = 2.0


def measure(bench: Bench) -> Report:
    report = Report()
    seconds, number, rate = (2.0, 20, 40) if bench.quick else (20.0, CHANNELS, RATE)
    for kind in bench.databases.kinds:
        with (
            bench.databases.place(kind) as place,
            listening("receiver.py") as receiver,
            kanal(place.variables, place.folder) as server,
        ):
            calls = api.Api(server)
            url = f"http://127.0.0.1:{receiver.port}/webhook"
            channels = [calls.create_channel(url) for _ in range(number)]
            cases = {each: calls.open_cases(each, CASES_OF_A_CHANNEL) for each in channels}
            measured, others = channels[::2], channels[1::2]
            loads = [
                api.staff_replies([case.case_id for each in half for case in cases[each]])
                for half in (measured, others)
            ]
            # The sender meets every channel once before anything hangs.
            _both(server, loads, receiver, min(seconds, 5.0), rate)
            results = {}
            for title, share in HANGING.items():
                for channel in others[: math.ceil(share * number)]:
                    calls.move_channel(channel, url.replace("/webhook", "/hang"))
                results[title] = _both(server, loads, receiver, seconds, rate)
        _show(report, kind, results)
    report.notes.append(
        f"{rate} replies/s over {number} channels, half of which go on answering and are measured: from the moment that a "
        "reply's request was due to the arrival of its webhook, the time of its own commit included."
    )
    return report


def _both(
    server: Server, loads: list[Any], receiver: Server, seconds: float, rate: int
) -> dict[str, float]:
    """The measured half beside the other one."""
    receiver.get("/arrivals")
    jobs = [
        api.load_job(
            server, each, connections=CONNECTIONS, seconds=seconds, rate=rate / 2, keep=True
        )
        for each in loads
    ]
    asked = [Asked("load.py", job) for job in jobs]
    result, other = [each.result(timeout=60 + seconds) for each in asked]
    for each in (result, other):
        if each["errors"] or not each["answers"]:
            raise Failed(f"staff replies: {each['errors']} {each['first_error']}")
    due = {message: at for message, at, _ in result["kept"]}
    arrived: dict[int, int] = {}

    def all_arrived() -> bool:
        for message_id, at in receiver.get("/arrivals")[1]:
            arrived.setdefault(message_id, at)
        return due.keys() <= arrived.keys()

    wait_until("every webhook of the measured half arrives", all_arrived, ARRIVAL_SECONDS)
    took = [(arrived[message] - at) / 1e6 for message, at in due.items()]
    shares = {f"p{percent}": percentile(took, percent) for percent in (50, 95, 99)}
    return {"rate": result["rate"], "webhooks": len(took), "most": max(took), **shares}


def _show(report: Report, kind: str, results: dict[str, dict[str, float]]) -> None:
    calm = results["none hangs"]
    rows = [
        [
            title,
            f"{each['webhooks']:,.0f}",
            *(f"{each[name]:.1f}" for name in ("p50", "p95", "p99", "most")),
            f"{each['p99'] / calm['p99']:.2f}",
        ]
        for title, each in results.items()
    ]
    columns = ("others", "webhooks", "p50 ms", "p95 ms", "p99 ms", "most ms", "p99 to none hangs")
    report.add(
        f"From a reply to its webhook's arrival beside channels that hang, {kind}", columns, rows
    )
    report.figures[kind] = results
    report.target(
        f"reply to arrival, p95, {ONE}, {kind}",
        results[ONE]["p95"],
        SLOWEST_P95_MS,
        at_least=False,
        digits=1,
        unit="ms",
    )
    for title, each in results.items():
        if title.endswith("% hang"):
            report.target(
                f"p99 while {title} to none, {kind}",
                each["p99"] / calm["p99"],
                SLOWEST_P99_RATIO,
                at_least=False,
            )
