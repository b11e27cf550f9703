"""How long lists and pages take with a large log: plain, filtered, searched, sorted by what they are not filtered by, deep in."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any
from urllib.parse import quote

from api import Api, Browser
from databases import Place
from figures import percentile
from measuring import Bench
from processes import Server, ask, kanal
from report import Report

FILLING_SECONDS = 1800
"""Two million events, decided and folded."""
DAYS = 365
"""Over which the cases came."""
BOUND_MS = 50.0
"""p95 of each list, over HTTP, one request at a time."""
BOUND_OF_PAGES_MS = 100.0

CASES: dict[str, str] = {
    "plain, the newest first": "cases.json",
    "plain, 500th page": "cases.json?page=500",
    "by last change, 500th page": "cases.json?sort=updated_at_desc&page=500",
    "by last response, 500th page": "cases.json?sort=response_asc&page=500",
    "by status, 500th page": "cases.json?sort=status_asc&page=500",
    "by priority, 500th page": "cases.json?sort=priority_desc&page=500",
    "open ones by last change": "cases.json?status=open&sort=updated_at_desc",
    "open ones by creation, the oldest first": "cases.json?status=open&sort=created_at_asc",
    "closed ones by last change, 500th page": "cases.json?status=closed&sort=updated_at_desc&page=500",
    "rare filters by last change": "cases.json?status=open&priority=critical&staff_id=1&sort=updated_at_desc",
    "half of all by creation, 400th page": "cases.json?staff_id=1&page=400",
    "of one user": "cases.json?user_custom_id=customer-5",
    "of a person's e-mail": "cases.json?user_email=customer-777@",
    "e-mail that a third of all users has": "cases.json?user_email=example.com",
    "e-mail that a third has, closed ones": "cases.json?user_email=example.com&status=closed",
    "subject, few": f"cases.json?subject={quote('слово4711')}",
    "subject, a thousand": f"cases.json?subject={quote('слово99 ')}",
    "subject, most of all": f"cases.json?subject={quote('слово1 ')}",
    "subject, most of all, closed ones": f"cases.json?subject={quote('слово1 ')}&status=closed",
    "subject, two characters": f"cases.json?subject={quote('ло')}",
    "changed in the last second of all": "cases.json?from_updated_time=4000000000",
}
OTHERS: dict[str, str] = {
    "users, plain": "users.json",
    "users, last page": "users.json?page=500",
    "users, part of an e-mail": "users.json?user_email=customer-77",
    "users, an e-mail that a third has": "users.json?user_email=example.com",
    "messages of a case": "cases/7/messages.json",
    "log, by case": "events.json?case_id=7",
    "changelog of a case": "cases/7/changelog.json",
    "deliveries": "deliveries.json",
}
PAGES: dict[str, str] = {
    "inbox": "/inbox",
    "inbox, one's own": "/inbox?view=mine",
    "inbox, closed": "/inbox?view=closed",
    "inbox, a word that few have": f"/inbox?q={quote('слово4711')}",
    "inbox, a word that most have": f"/inbox?q={quote('слово')}",
    "inbox, an e-mail": "/inbox?q=customer-777@",
    "conversation": "/cases/7",
    "a case as it was": "/cases/7/past",
    "statistics": "/statistics",
    "audit log": "/audit",
    "channels": "/channels",
    "a channel": "/channels/cch1",
    "staff": "/staff",
    "rules": "/rules",
    "settings": "/settings",
    "system": "/system",
}


def measure(bench: Bench) -> Report:
    report = Report()
    cases, repeats = (3_000, 5) if bench.quick else (200_000, 40)
    for kind in bench.databases.kinds:
        with ExitStack() as stack:
            place: Place = stack.enter_context(bench.databases.place(kind))
            # Chats that nobody answered would be offered to staff while the lists are timed.
            job = {"cases": cases, "messages": 5, "varied": True, "channel_type": "async"}
            made = ask("filling.py", place.job() | job | {"days": DAYS}, FILLING_SECONDS)
            server = stack.enter_context(kanal(place.variables, place.folder))
            rows = [_row(report, kind, server, *each, repeats) for each in _all()]
            browser = Browser(server)
            pages = [
                [name, *_timed(report, f"{kind}: {name}", repeats, BOUND_OF_PAGES_MS, get)]
                for name, path in PAGES.items()
                for get in [partial(browser.get, path)]
            ]
        made_of = f"{kind}: {made['cases']:,} cases, {made['events']:,} events"
        columns = ("first ms", "p50 ms", "p95 ms", "most ms")
        report.add(f"Lists, {made_of}, pages of 100", ("list", "found", *columns), rows)
        report.add(f"Pages, {made_of}", ("page", *columns), pages)
    report.notes.append(
        "Nothing is written meanwhile, so a total that takes long to count is counted the first time and known from then on."
    )
    return report


def _all() -> list[tuple[str, str]]:
    return [*CASES.items(), *OTHERS.items()]


def _row(
    report: Report, kind: str, server: Server, name: str, path: str, repeats: int
) -> list[str]:
    api = Api(server)
    total: list[Any] = []

    def get() -> None:
        total.append(api.call("GET", f"/api/{path}").get("total_count"))

    times = _timed(report, f"{kind}: {name}", repeats, BOUND_MS, get)
    return [name, "" if total[0] is None else f"{total[0]:,}", *times]


def _timed(
    report: Report, name: str, repeats: int, bound: float, get: Callable[[], None]
) -> list[str]:
    """The first time, which fills what is kept for later ones, p50, p95 and the longest."""
    took = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        get()
        took.append((time.perf_counter() - began) * 1000)
    first = took.pop(0)
    took.sort()
    report.figures[name] = took
    p95 = percentile(took, 95)
    report.target(f"{name}, p95", p95, bound, at_least=False, digits=1, unit="ms")
    return [f"{each:.1f}" for each in (first, percentile(took, 50), p95, took[-1])]
