"""Memory while very many deliveries wait behind a receiver that is down, and how many attempts they cost."""

import time

import api
from measuring import Bench
from processes import Asked, Failed, Server, kanal, listening
from report import Report

FEW = 1_000
MANY = 100_000
CASES = 2_000
CONNECTIONS = 64
FILL_SECONDS = 900
LOOKS = 20
LOOK_SECONDS = 0.25
LARGEST_RATIO = 1.25
"""Of resident memory with many to that with few, both after a start: the sender keeps some dozens of heads of each channel."""
MOST_ATTEMPTS = 200
"""Two at the beginning and two with each probe, at 1, 3, 10, 30 s, 2 min, ...; each start probes again."""


def measure(bench: Bench) -> Report:
    report = Report()
    few, many, number = (100, 1_000, 50) if bench.quick else (FEW, MANY, CASES)
    for kind in bench.databases.kinds:
        memory = {}
        with bench.databases.place(kind) as place, listening("receiver.py") as receiver:
            with kanal(place.variables, place.folder) as server:
                calls = api.Api(server)
                channel = calls.create_channel(f"http://127.0.0.1:{receiver.port}/down")
                cases = [case.case_id for case in calls.open_cases(channel, number)]
                _write(server, cases, few)
            for count in (few, many):
                with kanal(place.variables, place.folder) as server:
                    _write(server, cases, count - api.Api(server).waiting())
                with kanal(place.variables, place.folder) as server:
                    memory[count] = _settled(server)
                    waiting = api.Api(server).waiting()
                    if waiting < count:
                        raise Failed(f"{waiting} of {count} deliveries wait")
            attempts = receiver.get("/count")[1]
        rows = [
            [f"{count:,}", f"{mebibytes:.0f}", f"{mebibytes / memory[few]:.2f}"]
            for count, mebibytes in memory.items()
        ]
        columns = ("deliveries that wait", "resident MiB", "to few")
        report.add(f"Memory behind a dead endpoint, {kind}", columns, rows)
        report.figures[kind] = {"memory": memory, "attempts": attempts}
        report.target(
            f"memory with {many:,} waiting to {few:,}, {kind}",
            memory[many] / memory[few],
            LARGEST_RATIO,
            at_least=False,
        )
        report.target(f"attempts in all, {kind}", attempts, MOST_ATTEMPTS, at_least=False, digits=0)
    return report


def _write(server: Server, cases: list[int], number: int) -> None:
    if number <= 0:
        return
    job = api.load_job(
        server,
        api.staff_replies(cases),
        connections=CONNECTIONS,
        seconds=FILL_SECONDS,
        most=number,
    )
    result = Asked("load.py", job).result(timeout=60 + FILL_SECONDS)
    if result["errors"]:
        raise Failed(f"staff replies: {result['errors']} {result['first_error']}")


def _settled(server: Server) -> float:
    """The most of some looks, while the sender probes."""
    looks = []
    for _ in range(LOOKS):
        server.get("/readyz")
        looks.append(server.memory_mib())
        time.sleep(LOOK_SECONDS)
    return max(looks)
