"""Webhooks delivered per second, beside a bare aiohttp client that POSTs the same bytes to the same receiver."""

import time
from contextlib import ExitStack
from typing import Any

import api
from databases import POSTGRES, SQLITE
from figures import Spread, ratios
from measuring import Bench
from processes import Asked, Failed, Server, ask, kanal, listening, wait_until
from report import Report

CHANNELS = 4
PER_CHANNEL = 16
"""The default of KANAL_WEBHOOK_PER_CHANNEL."""
CONCURRENCY = CHANNELS * PER_CHANNEL
CASES_OF_A_CHANNEL = 128
"""Webhooks of one case go out one after the other, so there must be more cases than places."""
CONNECTIONS = 64
DRAIN_SECONDS = 120
WANTED = {SQLITE: (0.30, 0.45), POSTGRES: (0.20, 0.35)}
"""Of the bare client's rate, at least and as an aim."""


def measure(bench: Bench) -> Report:
    report = Report()
    rounds, backlog, seconds = (1, 800, 2.0) if bench.quick else (3, 8000, 8.0)
    for kind in bench.databases.kinds:
        figures: dict[str, list[float]] = {"bare": [], "backlog": [], "steady": [], "cpu": []}
        with ExitStack() as stack:
            place = stack.enter_context(bench.databases.place(kind))
            receiver = stack.enter_context(listening("receiver.py"))
            server = stack.enter_context(kanal(place.variables, place.folder))
            calls = api.Api(server)
            url = f"http://127.0.0.1:{receiver.port}/webhook"
            channels = [calls.create_channel(url) for _ in range(CHANNELS)]
            per_channel = [calls.open_cases(channel, CASES_OF_A_CHANNEL) for channel in channels]
            # One channel after the other, so that all of them are busy at any moment.
            cases = [case.case_id for row in zip(*per_channel, strict=True) for case in row]
            requests = api.staff_replies(cases)
            _replies(server, requests, seconds=60, most=CONNECTIONS)
            _wait_for(receiver, CONNECTIONS)
            job = {"url": url, "sample": receiver.get("/sample")[1], "concurrency": CONCURRENCY}
            for _ in range(rounds):
                bare = ask("bare_client.py", job | {"posts": backlog}, timeout=DRAIN_SECONDS)
                if bare["errors"]:
                    raise Failed(f"the bare client had {bare['errors']} errors")
                figures["bare"].append(bare["rate"])
                receiver.get("/arrivals")
                rate, used = _drained(server, calls, channels, requests, receiver, backlog)
                figures["backlog"].append(rate)
                figures["cpu"].append(used)
                figures["steady"].append(_steady(server, requests, receiver, seconds))
        _show(report, kind, figures)
    report.notes.append(
        f"{CONCURRENCY} in flight: {CHANNELS} channels with {PER_CHANNEL} each. Backlog: replies "
        "that wait for a disabled channel, from the first arrival after it is enabled to the last. "
        f"Steady: arrivals while {CONNECTIONS} connections reply as fast as they can."
    )
    return report


def _replies(server: Server, requests: Any, *, seconds: float, **more: Any) -> Any:
    job = api.load_job(server, requests, connections=CONNECTIONS, seconds=seconds, **more)
    result = Asked("load.py", job).result(timeout=60 + seconds)
    if result["errors"] or not result["answers"]:
        raise Failed(f"staff replies: {result['errors']} {result['first_error']}")
    return result


def _wait_for(receiver: Server, number: int) -> None:
    def arrived() -> bool:
        # Asked for seldom: each question costs the receiver some of what is measured.
        time.sleep(0.1)
        return bool(receiver.get("/count")[1] >= number)

    wait_until(f"{number} webhooks arrive", arrived, DRAIN_SECONDS)


def _drained(
    server: Server,
    calls: api.Api,
    channels: list[int],
    requests: Any,
    receiver: Server,
    backlog: int,
) -> tuple[float, float]:
    """Webhooks a second, and microseconds of the server's processor for each."""
    for channel in channels:
        calls.call("PUT", f"/api/custom_channels/{channel}/disable.json")
    written = _replies(server, requests, seconds=DRAIN_SECONDS, most=backlog)["answers"]
    used = server.cpu_seconds()
    for channel in channels:
        calls.call("PUT", f"/api/custom_channels/{channel}/enable.json")
    _wait_for(receiver, written)
    used = server.cpu_seconds() - used
    times = sorted(at for _, at in receiver.get("/arrivals")[1])
    return (written - 1) / ((times[-1] - times[0]) / 1e9), used / written * 1e6


def _steady(server: Server, requests: Any, receiver: Server, seconds: float) -> float:
    result = _replies(server, requests, seconds=seconds, warm_up=1, keep=True)
    answered: list[int] = [at for *_, at in result["kept"]]
    began, ended = min(answered), max(answered)
    _wait_for(receiver, len(answered))
    _quiet(receiver)
    within = sum(began <= at <= ended for _, at in receiver.get("/arrivals")[1])
    return float(within / (ended - began) * 1e9)


def _quiet(receiver: Server) -> None:
    """Until nothing has arrived for a moment: what is left belongs to this round, not to the next."""
    before = -1

    def quiet() -> bool:
        nonlocal before
        time.sleep(0.3)
        last, before = before, receiver.get("/count")[1]
        return bool(last == before)

    wait_until("the last webhook arrives", quiet, DRAIN_SECONDS)


def _show(report: Report, kind: str, figures: dict[str, list[float]]) -> None:
    bare = figures["bare"]
    cpu = f"{Spread.of(figures['cpu']).median:.0f}"
    rows = [["bare aiohttp client", Spread.of(bare).text(), "1", ""]]
    for name, title in (("backlog", "Kanal, backlog"), ("steady", "Kanal, beside new replies")):
        rates = figures[name]
        shown = cpu if name == "backlog" else ""
        rows.append([title, Spread.of(rates).text(), ratios(rates, bare).text(2), shown])
    columns = ("sender", "webhooks/s", "to bare", "CPU µs")
    report.add(f"Webhooks delivered, {kind}", columns, rows)
    report.figures[kind] = figures
    bound, aim = WANTED[kind]
    each = [kanal / alone for kanal, alone in zip(figures["backlog"], bare, strict=True)]
    report.target(f"backlog to bare, {kind}", Spread.of(each).median, bound, aim=aim)
