"""A backlog sent by one worker process and by two, on one PostgreSQL."""

import os
import time
from contextlib import ExitStack

import api
from databases import POSTGRES, Place
from figures import Spread, ratios
from measuring import Bench
from processes import Asked, Failed, Server, kanal, listening, starting_kanal, wait_until
from report import Report

CHANNELS = 400
"""Workers take channels, 64 at a time: enough that each gets its share."""
CASES_OF_A_CHANNEL = 2
CONNECTIONS = 64
DRAIN_SECONDS = 180
LEAST = 1.6
"""Of two workers to one."""
CORES = 5
"""Two workers, the API, PostgreSQL and the receiver; with fewer they share the processors, and the ratio says nothing."""


def measure(bench: Bench) -> Report:
    report = Report()
    if POSTGRES not in bench.databases.kinds:
        report.notes.append("There is no PostgreSQL here.")
        return report
    rounds, backlog, number = (1, 400, 32) if bench.quick else (3, 12_000, CHANNELS)
    rates: dict[int, list[float]] = {1: [], 2: []}
    with (
        bench.databases.place(POSTGRES) as place,
        listening("receiver.py") as receiver,
        kanal(place.variables, place.folder, role="api") as server,
    ):
        calls = api.Api(server)
        url = f"http://127.0.0.1:{receiver.port}/webhook"
        channels = [calls.create_channel(url) for _ in range(number)]
        opened = [calls.open_cases(each, CASES_OF_A_CHANNEL) for each in channels]
        cases = [case.case_id for row in zip(*opened, strict=True) for case in row]
        for at in range(rounds):
            for workers in (1, 2) if at % 2 else (2, 1):
                _write(server, cases, backlog)
                rates[workers].append(_drained(place, calls, receiver, workers, backlog))
    one = rates[1]
    rows = [
        [
            f"{workers} worker{'s' * (workers > 1)}",
            Spread.of(each).text(),
            ratios(each, one).text(2),
        ]
        for workers, each in rates.items()
    ]
    report.add("Backlog on PostgreSQL", ("processes", "webhooks/s", "to one"), rows)
    report.figures["rates"] = rates
    cores = len(os.sched_getaffinity(0))
    if cores >= CORES:
        each = [both / alone for alone, both in zip(rates[1], rates[2], strict=True)]
        report.target("two workers to one", Spread.of(each).median, LEAST)
    else:
        report.notes.append(
            f"At least {LEAST} times is wanted where there are {CORES} cores; here are {cores}, so the ratio is no verdict."
        )
    return report


def _write(server: Server, cases: list[int], backlog: int) -> None:
    job = api.load_job(
        server,
        api.staff_replies(cases),
        connections=CONNECTIONS,
        seconds=DRAIN_SECONDS,
        most=backlog,
    )
    result = Asked("load.py", job).result(timeout=60 + DRAIN_SECONDS)
    if result["errors"]:
        raise Failed(f"staff replies: {result['errors']} {result['first_error']}")


def _drained(place: Place, calls: api.Api, receiver: Server, workers: int, backlog: int) -> float:
    """Webhooks a second, from the first arrival to the last; the workers start together."""
    receiver.get("/arrivals")
    with ExitStack() as stack:
        starting = []
        for number in range(workers):
            folder = place.folder / f"worker-{number}"
            folder.mkdir(exist_ok=True)
            variables = place.variables | {"KANAL_DATA_DIR": str(folder)}
            starting.append(stack.enter_context(starting_kanal(variables, folder, role="worker")))
        for ready in starting:
            ready()

        def arrived() -> bool:
            # Asked for seldom: each question costs the receiver some of what is measured.
            time.sleep(0.1)
            return bool(receiver.get("/count")[1] >= backlog)

        wait_until(f"{backlog} webhooks arrive", arrived, DRAIN_SECONDS)
        wait_until("all are recorded", lambda: not calls.waiting(), DRAIN_SECONDS)
    times = sorted(at for _, at in receiver.get("/arrivals")[1])
    return (len(times) - 1) / ((times[-1] - times[0]) / 1e9)
