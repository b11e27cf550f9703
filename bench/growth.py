"""Whether opening, answering and showing a case costs more in a long conversation, or with many cases in the log."""

import random
from contextlib import ExitStack
from typing import Any, NamedTuple

import api
from databases import SQLITE
from figures import Spread, ratios
from measuring import Bench
from processes import Asked, Failed, Server, ask, kanal, listening
from report import Report

SHORT = 10
"""Messages of a short conversation."""
SAMPLES_OF_EACH = 5
"""Conversations of each length."""
REQUESTS = 3000
"""Different cases that one load touches: most of them are not in memory."""
SEED = 1
NOISE = 1.5
"""What counts as no growth: two runs of the same thing differ by up to this on a busy machine."""


class Size(NamedTuple):
    long: int
    few: int
    many: int
    rounds: int
    seconds: float


class Side(NamedTuple):
    """One of two things that are measured in turn."""

    server: Server
    requests: list[dict[str, Any]]
    status: int


def measure(bench: Bench) -> Report:
    report = Report()
    size = Size(500, 100, 3000, 1, 0.5) if bench.quick else Size(10_000, 1_000, 200_000, 5, 1.5)
    kind = SQLITE
    with ExitStack() as stack:
        receiver = stack.enter_context(listening("receiver.py"))
        url = f"http://127.0.0.1:{receiver.port}/webhook"
        servers, logs = {}, {}
        for cases in (size.few, size.many):
            place = stack.enter_context(bench.databases.place(kind))
            long = [SHORT] * SAMPLES_OF_EACH + [size.long] * SAMPLES_OF_EACH
            job = {
                "cases": cases,
                "messages": 1,
                "long": long if cases == size.few else [],
                "webhook_url": url,
            }
            logs[cases] = ask("filling.py", place.job() | job)
            servers[cases] = stack.enter_context(kanal(place.variables, place.folder))
        lengths = logs[size.few]["long"]
        short, long_cases = lengths[:SAMPLES_OF_EACH], lengths[SAMPLES_OF_EACH:]
        _first_answers(report, servers[size.few], short, long_cases, size.long)
        rows = []
        for title, sides in (
            *_by_length(servers[size.few], short, long_cases),
            *_by_number(servers, logs, size),
        ):
            rows.append(_compared(report, title, sides, size))
    columns = ("call", "small p50 ms", "large p50 ms", "large to small", "small p99", "large p99")
    title = (
        f"Cost of one call, one at a time, {kind}: {SHORT} against {size.long:,} messages in the "
        f"case, {size.few:,} against {size.many:,} cases in the log"
    )
    report.add(title, columns, rows)
    return report


def _by_length(server: Server, short: list[int], long: list[int]) -> list[tuple[str, list[Side]]]:
    return [
        (
            "answer, by length of the case",
            [Side(server, api.staff_replies(cases), 201) for cases in (short, long)],
        ),
        (
            "show, by length of the case",
            [Side(server, _shown(cases), 200) for cases in (short, long)],
        ),
    ]


def _by_number(
    servers: dict[int, Server], logs: dict[int, Any], size: Size
) -> list[tuple[str, list[Side]]]:
    choose = random.Random(SEED)
    chosen = {
        cases: [
            choose.randint(len(logs[cases]["long"]) + 1, logs[cases]["cases"])
            for _ in range(REQUESTS)
        ]
        for cases in (size.few, size.many)
    }
    new = [
        {"path": "/api/cases.json", "body": api.new_case(1, f"newcomer-{at}")}
        for at in range(REQUESTS)
    ]
    few, many = servers[size.few], servers[size.many]
    return [
        ("open, by number of cases", [Side(few, new, 201), Side(many, new, 201)]),
        (
            "answer, by number of cases",
            [
                Side(servers[cases], api.staff_replies(chosen[cases]), 201)
                for cases in (size.few, size.many)
            ],
        ),
        (
            "show, by number of cases",
            [Side(servers[cases], _shown(chosen[cases]), 200) for cases in (size.few, size.many)],
        ),
    ]


def _shown(case_ids: list[int]) -> list[dict[str, Any]]:
    return [{"method": "GET", "path": f"/api/cases/{case_id}.json"} for case_id in case_ids]


def _compared(report: Report, title: str, sides: list[Side], size: Size) -> list[str]:
    results: list[list[Any]] = [[], []]
    for number in range(size.rounds):
        for at in (0, 1) if number % 2 else (1, 0):
            side = sides[at]
            job = api.load_job(
                side.server,
                side.requests,
                connections=1,
                seconds=size.seconds,
                warm_up=0.2,
                status=side.status,
            )
            result = Asked("load.py", job).result(timeout=60 + size.seconds)
            if result["errors"] or not result["answers"]:
                raise Failed(f"{title}: {result['errors']} {result['first_error']}")
            results[at].append(result)
    p50 = [[result["p50"] for result in side] for side in results]
    p99 = [Spread.of([result["p99"] for result in side]) for side in results]
    growth = ratios(p50[1], p50[0])
    report.target(f"growth: {title}", growth.median, NOISE, at_least=False, unit="times")
    report.figures[title] = results
    return [
        title,
        Spread.of(p50[0]).text(2),
        Spread.of(p50[1]).text(2),
        growth.text(2),
        p99[0].text(1),
        p99[1].text(1),
    ]


def _first_answers(
    report: Report, server: Server, short: list[int], long: list[int], messages: int
) -> None:
    """The first answer after a start: the case's state has to be loaded."""
    _answered_in(server, max(long) + 1)  # pays for what the process itself does only once
    took = {
        f"{length:,} messages": [_answered_in(server, case_id) for case_id in cases]
        for length, cases in ((SHORT, short), (messages, long))
    }
    rows = [[name, Spread.of(each).text(1)] for name, each in took.items()]
    report.add("First answer in a case after a start", ("case with", "ms"), rows)
    report.figures["first answers"] = took


def _answered_in(server: Server, case_id: int) -> float:
    """Milliseconds of one staff reply."""
    job = api.load_job(server, api.staff_replies([case_id]), connections=1, seconds=10, most=1)
    result = Asked("load.py", job).result(timeout=60)
    if result["errors"] or result["answers"] != 1:
        raise Failed(f"one reply: {result['errors']} {result['first_error']}")
    return float(result["p50"])
