"""How long figures of a year take with 200 cases a day, and what keeping them up costs for each event.

In this process, on the read model alone: a call over HTTP adds its usual milliseconds.
"""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from random import Random
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from databases import Place
from figures import percentile
from measuring import Bench
from report import Report
from sqlalchemy import Connection, create_engine

from kanal.domain.business_hours import BusinessHoursSet, Calendar, Span
from kanal.domain.case_events import (
    CaseAssigned,
    CaseOpened,
    CaseStatusChanged,
    MessageAdded,
    MessageKind,
)
from kanal.domain.event import Envelope, Event
from kanal.domain.stream import Recorded
from kanal.eventlog.projection import Changes
from kanal.projections import figures
from kanal.projections.figures import By, Period
from kanal.projections.read_model import Views
from kanal.projections.statistics import projection

ZONE = ZoneInfo("Europe/Berlin")
SECOND = 1_000_000
DAY = 24 * 3600 * SECOND
START = 1_735_686_000 * SECOND
"""2025-01-01 in that zone."""
CASES_A_DAY = 200
CHANNELS, GROUPS, STAFF_OF_A_GROUP = 4, 3, 5
FOLLOWED, REBUILT = 500, 5000
"""Events in one transaction, as the follower and a rebuild take them."""
BOUND_MS = 100.0
OFFICE = Calendar("Europe/Berlin", tuple(Span(day, 540, 1080) for day in range(5)), ("12-25",))


class Asked(NamedTuple):
    name: str
    since: int
    """Days since the first one; so is the next."""
    until: float
    by: By | None


GROUPINGS: tuple[By | None, ...] = (None, "channel", "group", "staff", "day")


def measure(bench: Bench) -> Report:
    report = Report()
    days = 30 if bench.quick else 365
    log = list(a_year(days))
    for kind in bench.databases.kinds:
        with bench.databases.place(kind) as place, _engine(place).connect() as connection:
            _measure(report, kind, connection, log, days, 3 if bench.quick else 15)
    return report


def _measure(
    report: Report,
    kind: str,
    connection: Connection,
    log: Sequence[Recorded],
    days: int,
    repeats: int,
) -> None:
    model = projection(str(ZONE))
    views = Views({"statistics": model.tables(1)})
    rows = []
    for name, size, part in (
        ("as the follower folds them", FOLLOWED, log[: len(log) // 10]),
        ("as a rebuild folds them", REBUILT, log),
    ):
        for table in model.tables(1).values():
            table.drop(connection, checkfirst=True)
            table.create(connection)
        connection.commit()
        began, used = time.perf_counter(), time.process_time()
        for first in range(0, len(part), size):
            changes = Changes()
            for recorded in part[first : first + size]:
                model.handles[type(recorded.event)](changes, model.tables(1), recorded)
            changes.flush(connection, bulk=size == REBUILT)
            connection.commit()
        seconds, cpu = time.perf_counter() - began, time.process_time() - used
        rate, each = len(part) / seconds, cpu / len(part) * 1_000_000
        report.figures[f"{kind}: {name}, events/s"] = [rate]
        rows.append([name, f"{size:,}", f"{rate:,.0f}", f"{each:.0f}"])
    title = f"Keeping figures up, {kind}: {len(log):,} events"
    report.add(title, ("", "in one transaction", "events/s", "processor µs an event"), rows)
    asked = [Asked(f"{days} days", 0, days, by) for by in GROUPINGS]
    asked += [Asked("all but some hours", 0, days - 0.3, by) for by in GROUPINGS[:2]]
    asked += [Asked("a month in the middle", days // 2, days // 2 + 30, by) for by in GROUPINGS]
    asked += [Asked("the last day by the hour", days - 1, days, "hour")]
    shown = [_row(report, kind, connection, views, each, repeats) for each in asked]
    cases = days * CASES_A_DAY
    title = f"Figures, {kind}: {cases:,} cases in {days} days, with median and p90 of three times"
    columns = ("period", "by", "rows", "p50 ms", "p95 ms", "processor p50 ms")
    report.add(title, columns, shown)


def _row(
    report: Report, kind: str, connection: Connection, views: Views, asked: Asked, repeats: int
) -> list[str]:
    period = Period.of(START + asked.since * DAY, int(START + asked.until * DAY))
    took, used, rows = [], [], 0
    for _ in range(repeats):
        began, cpu = time.perf_counter(), time.process_time()
        sums = figures.summed(connection, views, ZONE, period, asked.by, quantiles="business")
        for each in sums.values():
            for name in ("first_response", "response", "resolution"):
                each.quantile(name, 0.5, "business")  # type: ignore[arg-type]
                each.quantile(name, 0.9, "business")  # type: ignore[arg-type]
        took.append((time.perf_counter() - began) * 1000)
        used.append((time.process_time() - cpu) * 1000)
        rows = len(sums)
    name = f"{asked.name}, by {asked.by or 'nothing'}"
    report.figures[f"{kind}: {name}"] = took
    p95 = percentile(took, 95)
    report.target(f"{kind}: {name}, p95", p95, BOUND_MS, at_least=False, digits=0, unit="ms")
    figures_shown = (f"{percentile(took, 50):.0f}", f"{p95:.0f}", f"{percentile(used, 50):.0f}")
    return [asked.name, asked.by or "", str(rows), *figures_shown]


def _engine(place: Place) -> Any:
    if place.url:
        return create_engine(place.url.replace("postgresql://", "postgresql+psycopg://"))
    return create_engine(f"sqlite:///{place.folder / 'stats.db'}")


def a_year(days: int) -> Iterator[Recorded]:
    """Cases come around midday; replies take half an hour, users an hour and a half, closing two and a half, most of them."""
    hours = BusinessHoursSet(business_hours_id=1, title="", calendar=OFFICE, groups=())
    happened: list[tuple[int, Event]] = [(START, hours)]
    random = Random(1)
    for case_id in range(1, days * CASES_A_DAY + 1):
        day = START + (case_id - 1) // CASES_A_DAY * DAY
        hour = min(max(random.gauss(13, 3), 0), 23.9)
        happened += _conversation(random, case_id, day + int(hour * 3600 * SECOND))
    happened.sort(key=lambda each: each[0])
    for position, (at, event) in enumerate(happened, start=1):
        envelope = Envelope(at, "staff:1", "import", str(position))
        yield Recorded(position, "", 1, event, envelope)


def _conversation(random: Random, case_id: int, at: int) -> Iterator[tuple[int, Event]]:
    channel_id, group_id = random.randint(1, CHANNELS), random.randint(1, GROUPS)
    staff_id = group_id * STAFF_OF_A_GROUP + random.randrange(STAFF_OF_A_GROUP)
    whose = {"case_id": case_id, "user_id": case_id, "channel_id": channel_id}
    said = partial(_said, whose)
    yield (
        at,
        CaseOpened(
            **whose,
            channel=f"cch{channel_id}",
            staff_id=0,
            group_id=group_id,
            status="open",
            priority="normal",
            subject="",
            recipient="",
            language_id=0,
            opened_by="user",
        ),
    )
    yield at, said("user_message")
    yield at, CaseAssigned(**whose, old=0, new=staff_id)
    for _ in range(random.choice((1, 2, 2, 3, 4))):
        at += _some(random, 7.5)
        yield at, said("staff_reply", staff_id)
        yield at, CaseStatusChanged(**whose, old="open", new="waiting")
        if random.random() < 0.6:
            at += _some(random, 8.5)
            yield at, said("user_message")
            yield at, CaseStatusChanged(**whose, old="waiting", new="open")
    if case_id % 4 == 0:
        yield at, said("note", staff_id)
    if random.random() < 0.95:
        at += _some(random, 9)
        yield at, CaseStatusChanged(**whose, old="waiting", new="closed")


def _some(random: Random, mean: float) -> int:
    return int(random.lognormvariate(mean, 1.2) * SECOND)


def _said(whose: dict[str, int], kind: MessageKind, staff_id: int = 0) -> MessageAdded:
    return MessageAdded(
        message_id=0,
        case_id=whose["case_id"],
        kind=kind,
        user_id=0 if staff_id else whose["user_id"],
        staff_id=staff_id,
        rule_id=0,
        content="",
        content_html="",
        channel_id=whose["channel_id"],
        case_user_id=whose["user_id"],
        custom_user_id="",
        outgoing=0,
    )
