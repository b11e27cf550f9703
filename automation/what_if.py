"""What-if: what a rule would have done in the last days of the log, found out without doing anything.

A process of its own reads one job as JSON from standard input and writes to standard output, line by line, how far it has come,
and in the end what it found. Nothing but the
log's events counts, each state as it was when the cause's command had ended, so the same log and the same job have the same
answer.
"""

import heapq
import os
import sys
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, select

from kanal.automation.patterns import matches
from kanal.automation.rules import MAX_DEPTH, MAX_MESSAGES, ORIGIN, RATE_MICROSECONDS
from kanal.automation.states import PastStates
from kanal.automation.timed_rules import MINUTE, is_due
from kanal.domain.actions import SAYING, Action, ActionType, said
from kanal.domain.cases import CASES, Case
from kanal.domain.causes import cause_of
from kanal.domain.conditions import Cause, Facts, asked, asks_targets
from kanal.domain.errors import WebhookBodyTooLong
from kanal.domain.event import EVENTS
from kanal.domain.firings import FIRINGS, KINDS, RuleFired, firing_key, runs_for
from kanal.domain.groups import GROUPS
from kanal.domain.message_events import MESSAGES
from kanal.domain.rule_webhooks import body_of, filled_url, url_values_of, webhook_in
from kanal.domain.rules import ANCHORS, TARGETS, Rule
from kanal.domain.staff import STAFF
from kanal.domain.stream import Recorded
from kanal.domain.users import USERS
from kanal.domain.variables import Values
from kanal.eventlog.database import Database
from kanal.eventlog.migrate import migrate
from kanal.eventlog.postgres import PostgresDatabase
from kanal.eventlog.sqlite import SqliteDatabase
from kanal.eventlog.stream_ids import StreamIds
from kanal.projections import (
    as_of,
    cases,
    companies,
    custom_fields,
    files,
    groups,
    labels,
    links,
    messages,
    runner,
    staff,
    users,
)
from kanal.projections.registry import CORE
from kanal.projections.variables import values_for

TOLD: Final[frozenset[ActionType]] = SAYING | {"webhook"}
DAY: Final = 24 * 60 * MINUTE
REACH: Final = 92 * DAY
"""So long before the asked time a wait may have begun whose deadline comes due in it: hours and holidays stretch a target."""
PAGE: Final = 5_000
"""Events read at once."""
NICENESS: Final = 10
"""Who answers requests goes first."""
IRRELEVANT: Final = ("delivery", "deliveries", "receipt", "notice", "file", "filter", "macro")
"""What the names of events begin with that no condition asks about."""
WANTED: Final = [name for name in EVENTS if name.partition(".")[0] not in IRRELEVANT]
MODELS: Final = (
    cases.PROJECTION,
    messages.PROJECTION,
    files.PROJECTION,
    labels.PROJECTION,
    custom_fields.PROJECTION,
    users.PROJECTION,
    links.PROJECTION,
    companies.PROJECTION,
    staff.PROJECTION,
    groups.PROJECTION,
)
"""What variables are asked of."""


class Job(Struct):
    database: str
    """The file of SQLite, or the address of PostgreSQL."""
    draft: Rule
    live: Rule | None
    """The rule as it is, of which the draft is a change."""
    before: tuple[int, ...]
    """The rules that run before it."""
    days: int
    upto: int
    """Position: the log's end as the asker saw it."""
    limit: int
    """Of the runs that are told one by one."""


class Text(Struct):
    """What the user or staff would have read, or a webhook would have got."""

    action_type: ActionType
    content: str
    url: str = ""
    """Of a webhook, with its method before it."""


class Run(Struct):
    """One time that a rule would have run."""

    case_id: int
    cause: int
    """Position of the event."""
    at: int
    live: bool = False
    """So would the rule as it is."""
    ran: bool = False
    """It did in fact, in whichever version."""
    texts: list[Text] = []


class Findings(Struct):
    since: int
    until: int
    """Times."""
    after: int
    upto: int
    """Positions."""
    runs: int
    cases: int
    """Different ones."""
    texts: dict[ActionType, int]
    """How many messages, notes and calls."""
    live_runs: int
    only_draft: int
    only_live: int
    ran: int
    loops_cut: int
    items: list[Run]
    """The first ones."""
    live_items: list[Run]
    """The first ones of those that the rule as it is would have run for, and the draft not."""


class _Begun(Struct, order=True):
    """Something has been so of a case since then."""

    due: int
    case_id: int
    position: int
    version: int


class _Side:
    """One of the two that are compared."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.holds = asked(rule.conditions)
        self.writes = any(action.type in SAYING for action in rule.actions)
        self.tells = any(action.type in TOLD for action in rule.actions)
        self.wait = rule.minutes * MINUTE
        self.runs: dict[tuple[int, int], Run] = {}
        """By case and cause."""
        self.cases: set[int] = set()
        self.loops_cut = 0
        self.waiting: list[_Begun] = []
        """A heap."""
        self.set: dict[int, int] = {}
        """Of a rule for deadlines, by the case: the one that is waited for."""
        self._written: defaultdict[int, deque[int]] = defaultdict(deque)
        """Times, by case."""

    def writes_too_often(self, case_id: int, at: int) -> bool:
        if not self.writes:
            return False
        times = self._written[case_id]
        while times and times[0] < at - RATE_MICROSECONDS:
            times.popleft()
        if len(times) >= MAX_MESSAGES:
            return True
        times.append(at)
        return False

    def keep(self, run: Run) -> None:
        self.runs[run.case_id, run.cause] = run
        self.cases.add(run.case_id)

    def withdraw(self, case_id: int, cause: int) -> None:
        """A rule before it stopped it."""
        if self.runs.pop((case_id, cause), None) and self.rule.once_per_case:
            self.cases.discard(case_id)


class WhatIf:
    """Goes once through the log."""

    def __init__(self, database: Database, stream_ids: StreamIds, job: Job) -> None:
        self._database = database
        self._job = job
        self._draft = _Side(job.draft)
        self._sides = [self._draft, *([_Side(job.live)] if job.live else [])]
        self._timed = [side for side in self._sides if side.rule.since]
        self._kind = job.draft.kind
        with database.reading() as connection:
            self._upto = min(job.upto, database.head(connection))
            self._until = self._time_of(connection, self._upto)
            self._since = self._until - job.days * DAY
            self._after = database.position_at(connection, self._since - 1)
            longest = max(
                REACH if side.rule.since in TARGETS else side.wait for side in self._sides
            )
            begin = database.position_at(connection, self._since - longest - 1)
        measuring = any(
            side.rule.since in TARGETS or asks_targets(side.rule.conditions) for side in self._sides
        )
        self._states = PastStates(database, stream_ids, after=begin, measuring=measuring)
        self._memory = as_of.Memory(MODELS)
        self._command: tuple[object, ...] = ()
        """What the events of one command have in common."""
        self._causes: list[tuple[Cause, int]] = []
        """Of that command, with their times."""
        self._ran: set[tuple[int, int]] = set()
        self._chains: dict[int, tuple[str, ...]] = {}
        """Of what rules did in the log: the rules that led to it, the last one first."""

    def find(self, told: Callable[[float], None] = lambda _: None) -> Findings:
        """`told`: is called with the share of the log that was gone through."""
        with closing(self._memory):
            self._go_through(told)
        return self._findings()

    def _go_through(self, told: Callable[[float], None]) -> None:
        begin = self._states.position
        while events := self._read():
            with self._states.reading() as connection:
                for recorded in events:
                    self._take(connection, recorded)
            told((self._states.position - begin) / (self._upto - begin))
        with self._states.reading() as connection:
            self._ask_all(connection)
            self._come_due(connection, self._until + 1)

    def _read(self) -> Sequence[Recorded]:
        events = self._database.events
        query = select(events).where(
            events.c.position > self._states.position,
            events.c.position <= self._upto,
            events.c.name.in_(WANTED),
        )
        with self._database.reading() as connection:
            page = query.order_by(events.c.position).limit(PAGE)
            return self._database.decoded(connection, page)

    def _take(self, connection: Connection, recorded: Recorded) -> None:
        envelope = recorded.envelope
        command = (envelope.at, envelope.request, envelope.who, envelope.cause)
        if command != self._command:
            self._command = command
            self._ask_all(connection)
        self._come_due(connection, envelope.at)
        self._states.follow(recorded)
        if envelope.origin == ORIGIN and envelope.cause is not None:
            before = self._chains.get(envelope.cause, ())
            self._chains[recorded.position] = (envelope.who, *before)[:MAX_DEPTH]
        if isinstance(recorded.event, RuleFired):
            self._note_firing(recorded.event)
        self._note_beginning(recorded)
        if recorded.position > self._after and (cause := cause_of(recorded)):
            self._causes.append((cause, envelope.at))

    def _ask_all(self, connection: Connection) -> None:
        """As live rules do, which come after the whole command."""
        for cause, at in self._causes:
            kind = KINDS.get(cause.change, "changed")
            if kind == self._kind:
                facts = self._facts(cause, at)
                for side in self._sides:
                    self._ask(connection, side, facts)
        self._causes.clear()

    def _note_firing(self, fired: RuleFired) -> None:
        if fired.rule_id == self._draft.rule.rule_id:
            self._ran.add((fired.case_id, fired.cause))
        elif fired.stopped and fired.rule_id in self._job.before:
            for side in self._sides:
                if not side.rule.since:
                    side.withdraw(fired.case_id, fired.cause)

    def _note_beginning(self, recorded: Recorded) -> None:
        """What timed rules count from."""
        if not self._timed:
            return
        case_id: int = getattr(recorded.event, "case_id", 0)
        for side in self._timed:
            since = side.rule.since
            if not since or not case_id:
                continue
            if since in TARGETS:
                self._note_deadline(side, case_id, recorded.envelope.at)
                continue
            stream_id = self._states.id_of(CASES, str(case_id)).hex
            if stream_id != recorded.stream_id:
                continue
            if ANCHORS[since](self._states.load(CASES, case_id)) == recorded.version:
                due = recorded.envelope.at + side.wait
                begun = _Begun(due, case_id, recorded.position, recorded.version)
                heapq.heappush(side.waiting, begun)

    def _note_deadline(self, side: _Side, case_id: int, at: int) -> None:
        """One that is set anew comes due again; what it finds done is not done twice."""
        deadline = self._states.deadlines_of(case_id).get(TARGETS[side.rule.since])  # type: ignore[index]
        if deadline is None:
            side.set.pop(case_id, None)
        elif side.set.get(case_id) != deadline.at:
            side.set[case_id] = deadline.at
            due = max(deadline.at + side.wait, at)
            begun = _Begun(due, case_id, deadline.position, deadline.version)
            heapq.heappush(side.waiting, begun)

    def _come_due(self, connection: Connection, before: int) -> None:
        """What is due before that time, on states as they were then."""
        for side in self._timed:
            while side.waiting and side.waiting[0].due < before:
                begun = heapq.heappop(side.waiting)
                cause = Cause(begun.position, begun.case_id, "time", begun.version, "system")
                if begun.due >= self._since and self._still_waits(side, cause, begun.due):
                    self._ask(connection, side, self._facts(cause, begun.due))

    def _still_waits(self, side: _Side, cause: Cause, due: int) -> bool:
        if side.rule.since not in TARGETS:
            return True
        if (cause.case_id, cause.position) in side.runs:
            return False
        return is_due(side.rule, cause, self._states.deadlines_of(cause.case_id), due)

    def _facts(self, cause: Cause, at: int) -> Facts:
        case = self._states.load(CASES, cause.case_id)
        return Facts(
            self._states,
            case,
            cause,
            at,
            partial(self._states.time_of, cause.case_id),
            partial(self._states.deadlines_of, cause.case_id),
        )

    def _ask(self, connection: Connection, side: _Side, facts: Facts) -> None:
        rule, case, cause, at = side.rule, facts.case, facts.cause, facts.now
        if not runs_for(rule, case, cause) or self._is_over(connection, side, cause):
            return
        if not side.holds(facts, matches):
            return
        chain = self._chains.get(cause.position, ()) if cause.change != "time" else ()
        looping = (rule.rule_id and f"rule:{rule.rule_id}" in chain) or len(chain) >= MAX_DEPTH
        if looping or (cause.change != "time" and side.writes_too_often(cause.case_id, at)):
            side.loops_cut += 1
            return
        run = Run(cause.case_id, cause.position, at)
        if side is self._draft and side.tells and len(side.runs) < self._job.limit:
            run.texts = self._texts(connection, rule, case)
        side.keep(run)

    def _is_over(self, connection: Connection, side: _Side, cause: Cause) -> bool:
        """Whether a rule that runs once per case has run for this one."""
        if not side.rule.once_per_case:
            return False
        if cause.case_id in side.cases:
            return True
        if not side.rule.rule_id:
            return False
        stream_id = self._states.id_of(FIRINGS, firing_key(side.rule, cause))
        fired = self._database.streams(connection, [stream_id], upto=self._after)
        return any(isinstance(recorded.event, RuleFired) for recorded in fired)

    def _texts(self, connection: Connection, rule: Rule, case: Case) -> list[Text]:
        values = self._values(connection, case)
        return [_text(action, case, values) for action in rule.actions if action.type in TOLD]

    def _values(self, connection: Connection, case: Case) -> Values:
        """As they were at this place of the log."""
        now = runner.views(connection, CORE)
        revised = messages.revised(connection, now, case.case_id)
        streams = [
            self._states.id_of(CASES, str(case.case_id)),
            self._states.id_of(USERS, str(case.user_id)),
            self._states.id_of(STAFF, str(case.staff_id)),
            self._states.id_of(GROUPS, str(case.group_id)),
            *(self._states.id_of(MESSAGES, str(message_id)) for message_id in revised),
        ]
        events = self._database.streams(connection, streams, upto=self._states.position)
        with self._memory.folded(events) as (memory, views):
            return values_for(memory, views, case.case_id, case.staff_id) or {}

    def _time_of(self, connection: Connection, position: int) -> int:
        events = self._database.events
        query = select(events).where(events.c.position == position)
        found = self._database.decoded(connection, query)
        return found[0].envelope.at if found else 0

    def _findings(self) -> Findings:
        runs = self._draft.runs
        live = self._sides[1].runs if len(self._sides) > 1 else {}
        for key, run in runs.items():
            run.live, run.ran = key in live, key in self._ran
        only_live = [run for key, run in live.items() if key not in runs]
        for run in only_live:
            run.live, run.ran = True, (run.case_id, run.cause) in self._ran
        says = [each.type for each in self._draft.rule.actions if each.type in TOLD]
        limit = self._job.limit
        return Findings(
            since=self._since,
            until=self._until,
            after=self._after,
            upto=self._upto,
            runs=len(runs),
            cases=len({run.case_id for run in runs.values()}),
            texts={kind: says.count(kind) * len(runs) for kind in sorted(TOLD)},
            live_runs=len(live),
            only_draft=sum(not run.live for run in runs.values()),
            only_live=len(only_live),
            ran=sum(run.ran for run in runs.values()),
            loops_cut=self._draft.loops_cut,
            items=list(islice(runs.values(), limit)),
            live_items=only_live[:limit],
        )


def _text(action: Action, case: Case, values: Values) -> Text:
    if action.type != "webhook":
        return Text(action.type, said(action, case.language_id, values))
    webhook = webhook_in(action)
    url = f"{webhook.method} {filled_url(webhook.url, url_values_of(webhook, values))}"
    try:
        return Text(action.type, body_of(webhook, values), url)
    except WebhookBodyTooLong as error:
        return Text(action.type, str(error), url)


def opened_to_read(address: str) -> Database:
    """Beside whoever writes there."""
    if "://" in address:
        return PostgresDatabase(address, read_only=True)
    return SqliteDatabase(Path(address), read_only=True)


def main() -> None:
    os.nice(NICENESS)
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=Job)
    threading.Thread(target=_end_with_the_asker, daemon=True).start()
    with closing(opened_to_read(job.database)) as database:
        findings = WhatIf(database, migrate(database), job).find(_tell)
    sys.stdout.buffer.write(msgspec.json.encode(findings))


def _tell(share: float) -> None:
    sys.stdout.buffer.write(f"{share:.3f}\n".encode())
    sys.stdout.buffer.flush()


def _end_with_the_asker() -> None:
    """Who asked keeps our standard input open for as long as he wants the answer."""
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
