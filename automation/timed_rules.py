"""Duty: timed rules, for cases of which something has been so for long enough.

Nothing is scheduled: for each rule there is a mark, the time and case up to which cases have been asked. Whatever begins anew
begins later than any mark, so each beginning is asked about once, when it is due; a changed rule goes on from its mark.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple

import structlog
from sqlalchemy import Connection, delete, insert, select

from kanal.automation.patterns import matches
from kanal.automation.rules import submit_for
from kanal.automation.states import LogStates
from kanal.domain.cases import CASES
from kanal.domain.conditions import Cause, Facts, asks_times, holds
from kanal.domain.firings import fire_rule, runs_for
from kanal.domain.rules import RULES, Rule
from kanal.domain.variables import Values
from kanal.eventlog.database import Database
from kanal.eventlog.projection import Projection
from kanal.eventlog.stream_ids import StreamIds
from kanal.eventlog.tables import installation
from kanal.eventlog.writer import LogUnavailable, Writer
from kanal.projections import case_times, runner
from kanal.projections import rules as read
from kanal.projections.case_times import CaseTime
from kanal.projections.read_model import Views
from kanal.projections.rules import RuleRow
from kanal.projections.variables import values_for

MARK: Final = "rule_mark_"
"""With the rule's id: the fact in the table of the installation, `time/case`."""
BATCH: Final = 50
"""Cases of one rule in one turn; the next one comes half a second later."""
MINUTE: Final = 60 * 1_000_000

log = structlog.get_logger(__name__)


class Batch(NamedTuple):
    rule_id: int
    times: tuple[CaseTime, ...]


class Ready(NamedTuple):
    """A rule whose conditions hold for a case that is due."""

    rule: Rule
    cause: Cause
    values: Values
    times: dict[int, int]


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

    def due(self, connection: Connection, views: Views, now: int) -> Sequence[Batch]:
        """One read of an index for each timed rule."""
        found = []
        for rule in read.timed(connection, views):
            times = _due(connection, views, rule, now)
            if times:
                found.append(Batch(rule.rule_id, tuple(times)))
        return found

    async def act(self, item: Batch) -> None:
        """Raises LogUnavailable; then the batch is asked again, and what was done is not done again."""
        ready = await self._database.in_thread(lambda: list(self._holding(item)))
        for ready_one in ready:
            await self._fire(ready_one)
        last = item.times[-1]
        await self._writer.run(partial(_keep, rule_id=item.rule_id, mark=(last.at, last.case_id)))

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
                facts = Facts(states, case, cause, self._writer.clock(), times.get)
                if holds(rule.conditions, facts, matches):
                    values = values_for(connection, views, time.case_id, case.staff_id)
                    if values is not None:
                        yield Ready(rule, cause, values, times)

    async def _fire(self, ready: Ready) -> None:
        rule, cause = ready.rule, ready.cause
        command = partial(
            fire_rule,
            rule_id=rule.rule_id,
            cause=cause,
            matches=matches,
            values=ready.values,
            times=ready.times,
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
    stored = connection.scalar(
        select(installation.c.value).where(installation.c.name == f"{MARK}{rule.rule_id}")
    )
    at, case_id = map(int, stored.split("/")) if stored else (0, 0)
    mark = max((at, case_id), (rule.enabled_at - wait, 0))
    return case_times.until(connection, views, rule.since, now - wait, after=mark, limit=BATCH)


def _keep(connection: Connection, *, rule_id: int, mark: tuple[int, int]) -> None:
    name = f"{MARK}{rule_id}"
    connection.execute(delete(installation).where(installation.c.name == name))
    value = "/".join(map(str, mark))
    connection.execute(insert(installation).values(name=name, value=value))
