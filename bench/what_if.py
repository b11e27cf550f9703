"""How long a what-if takes over a large log: several drafts, each in the child process that a call would start."""

import resource
import subprocess
import sys
import time
from contextlib import closing
from typing import Any

import msgspec
from databases import SQLITE
from figures import Spread
from measuring import Bench
from processes import Failed
from report import Report

from kanal.automation import what_if
from kanal.automation.what_if import Findings, Job, opened_to_read
from kanal.bootstrap import DATABASE_FILE
from kanal.domain.actions import Action
from kanal.domain.conditions import ALWAYS, Condition
from kanal.domain.rules import Rule

EVENTS = 1_000_000
SECONDS = 60
LONGEST_SECONDS = 600
LIMIT = 100
REPLY = Action("email_to_user", "We look into it, [user_name]: [last_message]")
TEXT = Condition(field="text", operator="matches", value="(?i)refund|parcel")
OPEN = Condition(field="status", operator="is", value=["open"])
DRAFTS = {
    "a pattern in what users write, a reply": Rule(
        kind="incoming", conditions=Condition(all=(TEXT, OPEN)), actions=(REPLY,), active=True
    ),
    "every change, a note": Rule(
        kind="changed",
        conditions=ALWAYS,
        actions=(Action("add_note", content="[user_name]"),),
        active=True,
    ),
    "a minute without an answer": Rule(
        kind="timed", since="unanswered", minutes=1, actions=(REPLY,), active=True
    ),
}


def measure(bench: Bench) -> Report:
    report = Report()
    events = 20_000 if bench.quick else EVENTS
    rows = []
    for kind in bench.databases.kinds:
        filled = bench.filled(kind, events)
        place = filled.place
        address = str(place.folder / DATABASE_FILE) if kind == SQLITE else place.url
        with closing(opened_to_read(address)) as database, database.reading() as connection:
            upto = database.head(connection)
        for title, draft in DRAFTS.items():
            job = Job(address, draft, draft, (), 366, upto, LIMIT)
            taken = [_asked(job) for _ in range(2 if bench.quick else 1)]
            if len({each["answer"] for each in taken}) > 1:
                raise Failed(f"{title}: two answers to the same question")
            found, seconds = taken[0]["found"], Spread.of([each["seconds"] for each in taken])
            rows.append(
                [
                    kind,
                    title,
                    f"{found.runs:,}",
                    seconds.text(1),
                    f"{upto / seconds.median:,.0f}",
                    f"{taken[-1]['memory']:.0f}",
                ]
            )
            limit = SECONDS * events / EVENTS
            what = f"{events:,} events, {kind}: {title}"
            report.target(what, seconds.median, limit, at_least=False, digits=1, unit="s")
            report.figures[f"{kind}: {title}"] = seconds.median
    columns = ("database", "draft", "runs", "seconds", "events/s", "memory MiB")
    report.add(f"What-if over {events:,} events, beside its live version", columns, rows)
    return report


def _asked(job: Job) -> dict[str, Any]:
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", what_if.__name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        # Its input stays open for as long as the answer is wanted.
        process.stdin.write(msgspec.json.encode(job) + b"\n")
        process.stdin.flush()
        answer = process.stdout.read()
        if process.wait(LONGEST_SECONDS):
            raise Failed(f"the child ended with status {process.returncode}")
    seconds = time.monotonic() - began
    # The most that any child has had by now.
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    found = msgspec.json.decode(answer, type=Findings)
    return {"answer": answer, "found": found, "seconds": seconds, "memory": memory}
