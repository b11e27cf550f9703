"""Rules: follows the log, and runs the rules for what happens to cases.

Conditions are asked here, beside the writer. Only a rule whose conditions hold becomes a command, which asks them again and
records `rule.fired.1` with its effects, so whatever is done twice after a crash comes to nothing the second time.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import structlog
from sqlalchemy import Connection, insert, select, update

from kanal.automation.patterns import matches
from kanal.automation.states import LogStates
from kanal.domain.actions import SAYING
from kanal.domain.case_events import MessageAdded
from kanal.domain.cases import CASES
from kanal.domain.causes import CHANGES, cause_of
from kanal.domain.conditions import Asked, Cause, Facts, asked, asks_targets, asks_times
from kanal.domain.event import Event
from kanal.domain.firings import (
    FIRINGS,
    LoopReason,
    Outcome,
    fire_rule,
    firing_key,
    report_loop,
    runs_for,
)
from kanal.domain.response_targets import Deadlines
from kanal.domain.rules import OF_RULES, RULE_ORDER, RULES, Rule, RulesOrdered
from kanal.domain.stream import Recorded
from kanal.domain.variables import Values
from kanal.domain.work import Work
from kanal.eventlog.database import Database
from kanal.eventlog.projection import Projection
from kanal.eventlog.stream_ids import StreamIds
from kanal.eventlog.tables import installation
from kanal.eventlog.writer import Done, LogUnavailable, Writer
from kanal.projections import rules as read
from kanal.projections import runner
from kanal.projections.variables import values_for

POSITION: Final = "rules_position"
"""The fact in the table of the installation: up to where rules have run."""
CHUNK: Final = 500
"""Events read at once."""
STORED_EVERY_SECONDS: Final = 1.0
"""So long a crash may set the position back; what is looked at again is not done again."""
MAX_DEPTH: Final = 5
"""Rules that set each other off, one after the other."""
MAX_MESSAGES: Final = 10
RATE_MICROSECONDS: Final = 10 * 60 * 1_000_000
"""A rule that writes to one case oftener than this talks with a machine: two autoresponders would go on for ever."""

ORIGIN: Final = "rule"

log = structlog.get_logger(__name__)


class _Match(NamedTuple):
    """A rule whose conditions hold for a cause."""

    rule: Rule
    cause: Cause
    values: Values
    times: dict[int, int]
    deadlines: Deadlines
    loop: LoopReason | None


class RuleSet:
    """The rules as of the place of the log that was come to: none runs for what was before it."""

    def __init__(self) -> None:
        self._rules: dict[int, Rule] = {}
        self._order: tuple[int, ...] = ()
        self.active: list[tuple[Rule, Asked]] = []
        """In the order in which they run, with their conditions."""

    def take(self, event: Event) -> None:
        if isinstance(event, RulesOrdered):
            self._order = event.rule_ids
        else:
            rule_id: int = event.rule_id  # type: ignore[attr-defined]
            self._rules[rule_id] = RULES.evolve(self._rules.get(rule_id, Rule()), event)
        rules = (self._rules.get(rule_id, Rule()) for rule_id in self._order)
        self.active = [(rule, asked(rule.conditions)) for rule in rules if rule.active]


CONCERNING: Final[tuple[type[Event], ...]] = (*OF_RULES, MessageAdded, *CHANGES)


class RuleRunner:
    """A reaction of the agenda. `begin` before anything can happen, then `follow` whenever something may have."""

    name = "rules"

    def __init__(
        self,
        database: Database,
        stream_ids: StreamIds,
        writer: Writer,
        models: Sequence[Projection],
        *,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        """`clock`: microseconds since the epoch."""
        self._database = database
        self._stream_ids = stream_ids
        self._writer = writer
        self._models = models
        self._clock = clock
        self._states = LogStates(database, stream_ids)
        self._rules = RuleSet()
        self._waiting: deque[Recorded] = deque()
        """Read and not run for yet."""
        self._next = 0
        """Among the active rules: the one that is asked next for the first that waits."""
        self._done = -1
        """Position up to which rules have run; -1 before the first look."""
        self._read_to = 0
        self._ran: dict[tuple[int, int], bool] = {}
        """What ran already behind the stored position, by rule and cause, and whether it stopped the rules behind it."""
        self._stored = 0
        self._stored_at = 0.0

    async def begin(self) -> None:
        """On a new installation rules run for what comes from now on."""

        def keep(connection: Connection) -> None:
            if _stored_position(connection) is None:
                head = self._database.head(connection)
                row = {"name": POSITION, "value": str(head)}
                connection.execute(insert(installation).values(row))

        await self._writer.run(keep)

    async def follow(self) -> None:
        """Run rules for all that is in the log. Raises LogUnavailable; then the next call goes on where this one ended."""
        while match := await self._database.in_thread(self._next_match):
            await self._run(match)
            await self._store()
        await self._store()

    async def rest(self) -> None:
        """Whoever leads next begins where this one ended; this one too, if it does."""
        self._stored_at = 0.0
        try:
            await self._store()
        finally:
            self._done = -1

    # -- looking, on a reader's thread ---------------------------------------------------------------

    def _next_match(self) -> _Match | None:
        """None: rules have run for all that there is."""
        with self._states.reading() as connection:
            self._resume(connection)
            while self._waiting or self._read_on(connection):
                recorded = self._waiting[0]
                if isinstance(recorded.event, OF_RULES):
                    self._rules.take(recorded.event)
                elif match := self._first_match(connection, recorded):
                    return match
                self._advance()
        return None

    def _resume(self, connection: Connection) -> None:
        """At the stored position, at first and when another process has come further."""
        stored = int(_stored_position(connection) or 0)
        if stored <= self._done:
            return
        self._states.forget()
        self._rules = RuleSet()
        self._waiting.clear()
        self._next = 0
        self._done = self._read_to = self._stored = stored
        views = runner.views(connection, self._models)
        ran = read.fired_behind(connection, views, stored)
        self._ran = {(row.rule_id, row.cause): row.stopped for row in ran}
        for event in self._rules_until(connection, stored):
            self._rules.take(event)

    def _rules_until(self, connection: Connection, position: int) -> Iterator[Event]:
        order = self._stream_ids.of(RULE_ORDER, "all")
        ordered = self._database.streams(connection, [order], upto=position)
        rule_ids = {each for one in ordered for each in one.event.rule_ids}  # type: ignore[attr-defined]
        streams = [self._stream_ids.of(RULES, str(rule_id)) for rule_id in rule_ids]
        for recorded in (*self._database.streams(connection, streams, upto=position), *ordered):
            yield recorded.event

    def _read_on(self, connection: Connection) -> bool:
        """Whether there is more that rules may run for. At the moment of that connection, on which states and values are
        read too: of a newer event the case might not be there yet, and no rule would ever run for it.
        """
        while not self._waiting:
            events = self._database.events_at(connection, self._read_to, limit=CHUNK)
            if not events:
                return False
            self._states.follow(events)
            self._waiting.extend(each for each in events if isinstance(each.event, CONCERNING))
            self._read_to = events[-1].position
            if not self._waiting:
                self._done = self._read_to
        return True

    def _advance(self) -> None:
        done = self._waiting.popleft()
        self._next = 0
        self._done = done.position if self._waiting else self._read_to

    def _first_match(self, connection: Connection, recorded: Recorded) -> _Match | None:
        """Of the rules that were not asked yet."""
        active = self._rules.active
        cause = cause_of(recorded) if self._next < len(active) else None
        if cause is None:
            return None
        case = self._states.load(CASES, cause.case_id)
        time_of = partial(self._states.time_of, cause.case_id)
        facts = Facts(
            self._states,
            case,
            cause,
            self._clock(),
            time_of,
            partial(self._states.deadlines_of, cause.case_id),
        )
        while self._next < len(active):
            rule, holds = active[self._next]
            self._next += 1
            if not runs_for(rule, case, cause):
                continue
            if (ran := self._ran.get((rule.rule_id, cause.position))) is not None:
                if ran:
                    return None
                continue
            if holds(facts, matches) and not self._ran_for_case(rule, cause):
                loop = self._loop(connection, rule, recorded)
                views = runner.views(connection, self._models)
                values = values_for(connection, views, cause.case_id, case.staff_id)
                if values is not None:
                    times = self._states.times_of(case) if asks_times(rule.conditions) else {}
                    targets = asks_targets(rule.conditions)
                    deadlines = self._states.deadlines_of(cause.case_id) if targets else {}
                    return _Match(rule, cause, values, times, deadlines, loop)
        return None

    def _ran_for_case(self, rule: Rule, cause: Cause) -> bool:
        if not rule.once_per_case:
            return False
        return bool(self._states.load(FIRINGS, firing_key(rule, cause)).cause)

    def _loop(self, connection: Connection, rule: Rule, recorded: Recorded) -> LoopReason | None:
        chain = list(self._chain(connection, recorded))
        if f"rule:{rule.rule_id}" in chain:
            return "repeat"
        if len(chain) >= MAX_DEPTH:
            return "depth"
        if any(action.type in SAYING for action in rule.actions):
            since = self._clock() - RATE_MICROSECONDS
            views = runner.views(connection, self._models)
            case_id: int = recorded.event.case_id  # type: ignore[attr-defined]
            if read.times_fired(connection, views, rule.rule_id, case_id, since) >= MAX_MESSAGES:
                return "rate"
        return None

    def _chain(self, connection: Connection, recorded: Recorded) -> Iterator[str]:
        """The rules that led to this event, the last one first, as envelopes write them."""
        events = self._database.events
        envelope = recorded.envelope
        for _ in range(MAX_DEPTH):
            if envelope.origin != ORIGIN or envelope.cause is None:
                return
            yield envelope.who
            query = select(events).where(events.c.position == envelope.cause)
            [before] = self._database.decoded(connection, query)
            envelope = before.envelope

    # -- running -------------------------------------------------------------------------------------

    async def _run(self, match: _Match) -> None:
        """A rule that fails is left behind; raises LogUnavailable alone."""
        rule, cause = match.rule, match.cause
        command = partial(
            fire_rule,
            rule_id=rule.rule_id,
            cause=cause,
            matches=matches,
            values=match.values,
            times=match.times,
            deadlines=match.deadlines,
        )
        if match.loop:
            command = partial(
                _cut, rule_id=rule.rule_id, version=rule.version, cause=cause, reason=match.loop
            )
        try:
            done = await submit_for(self._writer, rule, cause, command)
        except LogUnavailable:
            self._next -= 1
            raise
        except Exception as error:  # noqa: BLE001 one rule's trouble is not the others'
            log.error("rule_failed", rule=rule.rule_id, case=cause.case_id, error=repr(error))
            return
        if match.loop and done.events:
            log.warning("rule_loop_cut", rule=rule.rule_id, case=cause.case_id, reason=match.loop)
        self._states.follow(done.events)
        if done.result.stopped:
            self._next = len(self._rules.active)

    async def _store(self) -> None:
        now = time.monotonic()
        if self._done <= self._stored or now < self._stored_at + STORED_EVERY_SECONDS:
            return
        done = self._done

        def store(connection: Connection) -> None:
            if done > int(_stored_position(connection) or 0):
                mine = installation.c.name == POSITION
                connection.execute(update(installation).where(mine).values(value=str(done)))

        await self._writer.run(store)
        self._stored, self._stored_at = done, now


async def submit_for(
    writer: Writer, rule: Rule, cause: Cause, command: Callable[[Work], Outcome]
) -> Done[Outcome]:
    """In the rule's name, because of that event. Raises what the command raises, LogUnavailable."""
    return await writer.submit(
        command,
        who=f"rule:{rule.rule_id}",
        origin=ORIGIN,
        request=f"rule-{rule.rule_id}.{rule.version}",
        cause=cause.position,
    )


def _cut(work: Work, **loop: Any) -> Outcome:
    report_loop(work, **loop)
    return Outcome()


_STORED_POSITION: Final = select(installation.c.value).where(installation.c.name == POSITION)


def _stored_position(connection: Connection) -> str | None:
    return connection.scalar(_STORED_POSITION)
