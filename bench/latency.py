"""From the answer to a staff reply to the arrival of its webhook, by one clock that all processes share."""

from functools import partial
from typing import Any

import api
from databases import SQLITE
from figures import percentile
from measuring import Bench
from processes import Asked, Failed, Server, kanal, listening, wait_until
from report import Report

CALM = 50
"""Replies a second at which the targets are meant."""
CALM_CONNECTIONS = 8
CONNECTIONS = 64
CASES = 512
DRAIN_SECONDS = 120
FASTEST_P50_MS = 6
SLOWEST_P99_MS = 50


def measure(bench: Bench) -> Report:
    report = Report()
    seconds = 2.0 if bench.quick else 20.0
    for kind in bench.databases.kinds:
        with (
            bench.databases.place(kind) as place,
            listening("receiver.py") as receiver,
            kanal(place.variables, place.folder) as server,
        ):
            calls = api.Api(server)
            channel_id = calls.create_channel(f"http://127.0.0.1:{receiver.port}/webhook")
            cases = calls.open_cases(channel_id, CASES)
            requests = api.staff_replies([case.case_id for case in cases])

            job = partial(api.load_job, server, requests, warm_up=1, keep=True)
            calm = _run(job(connections=CALM_CONNECTIONS, seconds=seconds, rate=CALM), receiver)
            most = _run(job(connections=CONNECTIONS, seconds=seconds / 2), receiver)
            rate = most["rate"] / 2
            half = _run(job(connections=CONNECTIONS, seconds=seconds, rate=rate), receiver)
            _show(report, kind, calm, most, half)
    report.notes.append(
        "From the answer to the arrival; a webhook that is faster than the answer counts as 0. "
        "Arrived/s: while the replies came. Where it is less than answered/s a queue was growing, "
        f"and the times are its length. Highest rate: {CONNECTIONS} connections without a pause."
    )
    return report


def _run(job: dict[str, Any], receiver: Server) -> dict[str, Any]:
    receiver.get("/arrivals")
    result = Asked("load.py", job).result(timeout=60 + job["seconds"])
    if result["errors"] or not result["answers"]:
        raise Failed(f"staff replies: {result['errors']} {result['first_error']}")
    sent = {message: at for message, at, _ in result["kept"]}
    answered = {message: at for message, _, at in result["kept"]}
    arrived: dict[int, int] = {}
    duplicates = 0

    def all_arrived() -> bool:
        nonlocal duplicates
        for message_id, at in receiver.get("/arrivals")[1]:
            duplicates += message_id in arrived
            arrived.setdefault(message_id, at)
        return answered.keys() <= arrived.keys()

    wait_until("every webhook arrives", all_arrived, DRAIN_SECONDS)
    ended = max(answered.values())
    began = min(answered.values())
    within = sum(began <= at <= ended for at in arrived.values())
    in_all = [(arrived[message] - at) / 1e6 for message, at in sent.items()]
    took = [max(0, arrived[message] - at) / 1e6 for message, at in answered.items()]
    return {
        "rate": result["rate"],
        "arrived": within / ((ended - began) / 1e9),
        "answer_p50": result["p50"],
        "answer_p99": result["p99"],
        "p50": percentile(took, 50),
        "p99": percentile(took, 99),
        "most": max(took),
        "in_all_p50": percentile(in_all, 50),
        "in_all_p99": percentile(in_all, 99),
        "webhooks": len(took),
        "duplicates": duplicates,
    }


def _show(report: Report, kind: str, calm: Any, most: Any, half: Any) -> None:
    rows = [
        [
            title,
            f"{figures['rate']:,.0f}",
            f"{figures['arrived']:,.0f}",
            f"{figures['webhooks']:,}",
            f"{figures['answer_p50']:.1f}",
            f"{figures['answer_p99']:.1f}",
            f"{figures['p50']:.1f}",
            f"{figures['p99']:.1f}",
            f"{figures['most']:.1f}",
            f"{figures['in_all_p50']:.1f}",
            f"{figures['in_all_p99']:.1f}",
        ]
        for title, figures in (
            (f"{CALM}/s", calm),
            ("half of the highest rate", half),
            ("highest rate", most),
        )
    ]
    columns = (
        *("replies", "answered/s", "arrived/s", "webhooks", "answer p50 ms", "p99 ms"),
        *("answer to arrival p50 ms", "p99 ms", "most ms", "request to arrival p50 ms", "p99 ms"),
    )
    report.add(f"From the answer to a reply to its webhook's arrival, {kind}", columns, rows)
    report.figures[kind] = {"calm": calm, "half": half, "most": most}
    if kind == SQLITE:
        for percent, bound in ((50, FASTEST_P50_MS), (99, SLOWEST_P99_MS)):
            report.target(
                f"reply to arrival, p{percent} at {CALM}/s, {kind}",
                calm[f"p{percent}"],
                bound,
                at_least=False,
                digits=1,
                unit="ms",
            )
