"""Duty: timed rules, for cases of which something has been so for long enough.

Nothing is scheduled: for each rule there is a mark, the time and case up to which cases have been asked. Whatever begins anew
begins later than any mark, so each beginning is asked about once, when it is due; a changed rule goes on from its mark.

A deadline of a response target may be set behind a mark: a case gets another group, and is late by that one's target. So a mark of
these says besides up to which event deadlines had been set when it was asked, and what was set since is asked about too.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple

import msgspec
import structlog
from msgspec import Struct
from sqlalchemy import Connection, delete, insert, select

from kanal.automation.patterns import matches
from kanal.automation.rules import submit_for
from kanal.automation.states import LogStates
from kanal.domain.cases import CASES
from kanal.domain.conditions import Cause, Facts, asks_targets, asks_times, holds
from kanal.domain.firings import fire_rule, runs_for
from kanal.domain.response_targets import Deadlines
from kanal.domain.rules import RULES, TARGETS, Rule
from kanal.domain.variables import Values
from kanal.eventlog.database import Database
from kanal.eventlog.projection import Projection
from kanal.eventlog.stream_ids import StreamIds
from kanal.eventlog.tables import installation
from kanal.eventlog.writer import LogUnavailable, Writer
from kanal.projections import case_times, deadlines, runner
from kanal.projections import rules as read
from kanal.projections.case_times import CaseTime
from kanal.projections.deadlines import DeadlineRow, Mark
from kanal.projections.read_model import Views
from kanal.projections.rules import RuleRow
from kanal.projections.variables import values_for

MARK: Final = "rule_mark_"
"""With the rule's id: the fact in the table of the installation, `time/case`."""
TARGET_MARK: Final = "rule_target_mark_"
"""Likewise, of rules that count from deadlines: a `Pass` as JSON."""
DONE: Final = (0, 0)
"""In place of the deadline and case behind which to go on."""
BATCH: Final = 50
"""Cases of one rule in one turn; the next one comes half a second later."""
MINUTE: Final = 60 * 1_000_000

log = structlog.get_logger(__name__)


class Batch(NamedTuple):
    rule_id: int
    times: tuple[CaseTime | DeadlineRow, ...]
    mark: str
    """To be kept when they have been asked."""
    now: int
    """When they were due."""


class Pass(Struct):
    """Going from one mark to the next, in several batches where much has come due at once."""

    since: Mark
    until: Mark
    after: tuple[int, int] = (-1, 0)
    """Deadline and case behind which to go on."""


class Ready(NamedTuple):
    """A rule whose conditions hold for a case that is due."""

    rule: Rule
    cause: Cause
    values: Values
    times: dict[int, int]
    deadlines: Deadlines


class TimedRules:
    name = "timed_rules"

    def __init__(
        self,
        database: Database,
        stream_ids: StreamIds,
        writer: Writer,
        models: Sequence[Projection],
    ) -> None:
        self._database = database
        self._stream_ids = stream_ids
        self._writer = writer
        self._models = models
        self._passed: dict[int, Mark] = {}
        """By rule: up to where deadlines were asked and nothing was due, which is not kept."""

    def due(self, connection: Connection, views: Views, now: int) -> Sequence[Batch]:
        """One read of an index for each timed rule."""
        found: list[Batch] = []
        for rule in read.timed(connection, views):
            if rule.since in TARGETS:
                found += self._due_targets(connection, views, rule, now)
            elif times := _due(connection, views, rule, now):
                mark = f"{times[-1].at}/{times[-1].case_id}"
                found.append(Batch(rule.rule_id, tuple(times), mark, now))
        return found

    def _due_targets(
        self, connection: Connection, views: Views, rule: RuleRow, now: int
    ) -> Iterator[Batch]:
        """Two reads of an index, of what has come near and of what was set meanwhile."""
        measure = TARGETS[rule.since]  # type: ignore[index]
        wait = rule.minutes * MINUTE
        stored = _stored(connection, TARGET_MARK, rule.rule_id)
        going = msgspec.json.decode(stored, type=Pass) if stored else None
        passed = self._passed.get(rule.rule_id)
        if passed or going is None or going.after == DONE:
            since = passed or (going.until if going else Mark(0, 0, 0))
            # What was due before the rule was made, enabled, or had deadlines to count from, is not for it.
            begun = rule.enabled_at if passed or going else rule.updated_at
            since = Mark(
                max(since.deadline, begun - wait), max(since.set_at, begun), since.set_position
            )
            going = Pass(since, Mark(now - wait, *deadlines.newest(connection, views, measure)))
        rows = deadlines.due(
            connection,
            views,
            measure,
            going.since,
            going.until,
            after=going.after,
            limit=BATCH,
        )
        if not rows:
            self._passed[rule.rule_id] = going.until
            return
        self._passed.pop(rule.rule_id, None)
        last = rows[-1]
        going.after = (last.deadline, last.case_id) if len(rows) == BATCH else DONE
        yield Batch(rule.rule_id, tuple(rows), msgspec.json.encode(going).decode(), now)

    async def act(self, item: Batch) -> None:
        """Raises LogUnavailable; then the batch is asked again, and what was done is not done again."""
        ready = await self._database.in_thread(lambda: list(self._holding(item)))
        for ready_one in ready:
            await self._fire(ready_one)
        await self._writer.run(partial(_keep, item=item))

    def _holding(self, item: Batch) -> Iterator[Ready]:
        states = LogStates(self._database, self._stream_ids)
        with states.reading() as connection:
            rule = states.load(RULES, item.rule_id)
            views = runner.views(connection, self._models)
            for time in item.times:
                case = states.load(CASES, time.case_id)
                cause = Cause(time.position, time.case_id, "time", time.version, "system")
                if not runs_for(rule, case, cause):
                    continue
                times = states.times_of(case) if asks_times(rule.conditions) else {}
                now, found = self._writer.clock(), self._deadlines(states, rule, time.case_id)
                if not is_due(rule, cause, found, item.now):
                    continue
                facts = Facts(states, case, cause, now, times.get, partial(_known, found))
                if holds(rule.conditions, facts, matches):
                    values = values_for(connection, views, time.case_id, case.staff_id)
                    if values is not None:
                        yield Ready(rule, cause, values, times, found)

    def _deadlines(self, states: LogStates, rule: Rule, case_id: int) -> Deadlines:
        if rule.since in TARGETS or asks_targets(rule.conditions):
            return states.deadlines_of(case_id)
        return {}

    async def _fire(self, ready: Ready) -> None:
        rule, cause = ready.rule, ready.cause
        command = partial(
            fire_rule,
            rule_id=rule.rule_id,
            cause=cause,
            matches=matches,
            values=ready.values,
            times=ready.times,
            deadlines=ready.deadlines,
        )
        try:
            await submit_for(self._writer, rule, cause, command)
        except LogUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 one case's trouble is not the others'
            log.error("rule_failed", rule=rule.rule_id, case=cause.case_id, error=repr(error))


def _due(connection: Connection, views: Views, rule: RuleRow, now: int) -> list[CaseTime]:
    """What was due before the rule was made or enabled is not for it."""
    if not rule.since:
        return []
    wait = rule.minutes * MINUTE
    stored = _stored(connection, MARK, rule.rule_id)
    at, case_id = map(int, stored.split("/")) if stored else (0, 0)
    mark = max((at, case_id), (rule.enabled_at - wait, 0))
    return case_times.until(connection, views, rule.since, now - wait, after=mark, limit=BATCH)


def is_due(rule: Rule, cause: Cause, found: Deadlines, now: int) -> bool:
    """Of a rule for deadlines: it may have been set anew since it was looked up."""
    if not rule.since or rule.since not in TARGETS:
        return True
    deadline = found.get(TARGETS[rule.since])
    return (
        deadline is not None
        and deadline.version == cause.version
        and deadline.at + rule.minutes * MINUTE <= now
    )


def _known(deadlines: Deadlines) -> Deadlines:
    return deadlines


def _stored(connection: Connection, mark: str, rule_id: int) -> str | None:
    query = select(installation.c.value).where(installation.c.name == f"{mark}{rule_id}")
    return connection.scalar(query)


def _keep(connection: Connection, *, item: Batch) -> None:
    of_targets = isinstance(item.times[0], DeadlineRow)
    name = f"{TARGET_MARK if of_targets else MARK}{item.rule_id}"
    connection.execute(delete(installation).where(installation.c.name == name))
    connection.execute(insert(installation).values(name=name, value=item.mark))
