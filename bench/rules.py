"""What rules cost who writes: messages per second with none, with some and with many, none of which holds for them."""

from contextlib import ExitStack
from typing import Any

import api
from databases import SQLITE
from figures import Spread, ratios
from measuring import Bench
from processes import Asked, Failed, Server, kanal
from report import Report

NUMBERS = (0, 20, 100)
CONNECTIONS = 16
CASES = 64
KEPT = 0.5
"""Of the rate without rules, with a hundred of them."""


def measure(bench: Bench) -> Report:
    report = Report()
    rounds, seconds = (2, 0.5) if bench.quick else (5, 2.0)
    for kind in bench.databases.kinds if not bench.quick else [SQLITE]:
        with ExitStack() as stack:
            sides = {}
            for number in NUMBERS:
                place = stack.enter_context(bench.databases.place(kind))
                server = stack.enter_context(kanal(place.variables, place.folder))
                sides[number] = server, _prepared(server, number)
            results: dict[int, list[dict[str, Any]]] = {number: [] for number in NUMBERS}
            for turn in range(rounds):
                start = turn % len(NUMBERS)
                for number in NUMBERS[start:] + NUMBERS[:start]:
                    results[number].append(_written(*sides[number], seconds))
        _show(report, kind, results)
    return report


def _prepared(server: Server, number: int) -> list[dict[str, Any]]:
    """Rules as people have them: by text, channel and status; the text holds for none."""
    calls = api.Api(server)
    channel_id = calls.create_channel("https://receiver.example/webhook")
    for at in range(number):
        text = {"operator": "matches", "value": f"(?i)refund {at}|chargeback {at}"}
        if at % 2:
            text = {"operator": "contains", "value": f"refund {at}"}
        conditions = [
            {"field": "channel", "operator": "is", "value": [f"cch{channel_id}"]},
            {"field": "status", "operator": "is", "value": ["open"]},
            {"field": "text", **text},
        ]
        rule = {
            "kind": "incoming",
            "title": f"Rule {at}",
            "conditions": {"all": conditions},
            "actions": [{"action_type": "priority", "action_destination": "high"}],
        }
        calls.call("POST", "/api/rules.json", {"rule": rule}, status=201)
    return api.user_messages(calls.open_cases(channel_id, CASES))


def _written(server: Server, requests: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
    job = api.load_job(server, requests, connections=CONNECTIONS, seconds=seconds, warm_up=0.5)
    result: dict[str, Any] = Asked("load.py", job).result(timeout=60 + seconds)
    if result["errors"] or not result["answers"]:
        raise Failed(f"{result['errors']} {result['first_error']}")
    return result


def _show(report: Report, kind: str, results: dict[int, list[dict[str, Any]]]) -> None:
    rates = {number: [each["rate"] for each in taken] for number, taken in results.items()}
    rows = []
    for number in NUMBERS:
        ratio = ratios(rates[number], rates[0])
        p99 = Spread.of([each["p99"] for each in results[number]])
        rate = Spread.of(rates[number])
        rows.append([str(number), rate.text(), ratio.text(2), p99.text(1)])
        if number == NUMBERS[-1]:
            report.target(f"rate with {number} rules to none, {kind}", ratio.median, KEPT)
    title = f"POST messages of users, {CONNECTIONS} connections, {kind}"
    report.add(title, ("rules", "messages/s", "to none", "p99 ms"), rows)
    report.figures[kind] = rates
