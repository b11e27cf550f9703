"""Firings: a rule does what it does, once for its cause."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from msgspec import Struct

from kanal.domain.actions import Actor, perform
from kanal.domain.cases import CASES, Case
from kanal.domain.conditions import Cause, Change, Facts, Matches, holds
from kanal.domain.errors import DomainError
from kanal.domain.event import Event
from kanal.domain.response_targets import Deadlines
from kanal.domain.rule_webhooks import call, webhook_in
from kanal.domain.rules import ANCHORS, RULES, Rule, RuleKind
from kanal.domain.stream import Aggregate
from kanal.domain.variables import Values
from kanal.domain.work import Work

LoopReason = Literal["repeat", "depth", "rate"]
"""It would set itself off; too many rules set each other off; it sends too much to one case."""


KINDS: dict[Change, RuleKind] = {"user_message": "incoming", "time": "timed"}
"""Which rules run for a cause; for all others it is those for changes."""


LAYING_ASIDE: frozenset[Change] = frozenset({"trash", "spam"})
"""What makes a case one for which no other rule runs."""


class SkippedAction(Struct, frozen=True):
    """What could not be done any more, such as assigning to somebody who left."""

    place: int
    """In the rule's actions, from 0."""
    reason: str


class RuleFired(Event, frozen=True):
    """Committed with its effects, whose cause is the same event."""

    NAME = "rule.fired.1"
    ABOUT = ("user_id",)
    rule_id: int
    version: int
    title: str
    case_id: int
    user_id: int
    """The case's user."""
    channel_id: int
    cause: int
    """Position of the event for which it ran."""
    stopped: bool
    """No further rules run for that event."""
    skipped: tuple[SkippedAction, ...]


class RuleLoopCut(Event, frozen=True):
    """The rule was not run. Recorded once for each version and reason."""

    NAME = "rule.loop_cut.1"
    rule_id: int
    version: int
    case_id: int
    cause: int
    reason: LoopReason


class Firing(Struct, frozen=True):
    cause: int = 0
    """0: the rule has not run."""
    stopped: bool = False


def evolve(firing: Firing, event: Event) -> Firing:
    return Firing(event.cause, event.stopped) if isinstance(event, RuleFired) else firing


FIRINGS = Aggregate("rule_firing", Firing(), evolve)
"""Key: `firing_key`."""


def evolve_loop(cut: bool, event: Event) -> bool:
    return cut or isinstance(event, RuleLoopCut)


LOOPS: Aggregate[bool] = Aggregate("rule_loop", False, evolve_loop)
"""Rule, version and reason -> whether it was reported."""


class Outcome(Struct, frozen=True):
    fired: bool = False
    """Now or before."""
    stopped: bool = False


def firing_key(rule: Rule, cause: Cause) -> str:
    """What a rule runs for once: the event; of those that run once per case, the case. Another version of the rule does
    not run for the same event again.
    """
    if rule.once_per_case:
        return f"{rule.rule_id}/{cause.case_id}"
    return f"{rule.rule_id}/{cause.case_id}/{cause.position}"


def runs_for(rule: Rule, case: Case, cause: Cause) -> bool:
    """Before conditions are asked. Of what is spam or in the trash rules run for its coming there alone, of what is deleted
    or merged into another case for nothing.
    """
    if not case.case_id or case.deleted or case.parent_case_id:
        return False
    if (case.trashed or case.spam) and cause.change not in LAYING_ASIDE:
        return False
    if not rule.active or KINDS.get(cause.change, "changed") != rule.kind:
        return False
    if rule.since and ANCHORS[rule.since](case) != cause.version:
        return False  # something has happened meanwhile
    return not rule.channels or case.channel in rule.channels


def fire_rule(
    work: Work,
    *,
    rule_id: int,
    cause: Cause,
    matches: Matches,
    values: Values,
    times: Mapping[int, int] = MappingProxyType({}),
    deadlines: Deadlines = MappingProxyType({}),
) -> Outcome:
    """Run the rule if it still should: it is asked anew at this place of the log, and never runs twice for its cause.

    `values`: what the variables in its texts stand for. `times`: of the case's events by their versions, where conditions
    ask for them. `deadlines`: likewise, of what was awaited when they were read; a wait that has ended since has none.
    """
    rule = work.load(RULES, rule_id)
    case = work.load(CASES, cause.case_id)
    before = work.load(FIRINGS, firing_key(rule, cause))
    if before.cause:
        return Outcome(True, before.stopped and before.cause == cause.position)
    if not runs_for(rule, case, cause) or not holds(
        rule.conditions, Facts(work, case, cause, work.now, times.get, lambda: deadlines), matches
    ):
        return Outcome()
    skipped = []
    for place, action in enumerate(rule.actions):
        try:
            if action.type == "webhook":
                call(
                    work,
                    webhook_in(action),
                    key=f"{firing_key(rule, cause)}/{place}",
                    rule_id=rule_id,
                    version=rule.version,
                    case=case,
                    cause=cause.position,
                    values=values,
                )
            else:
                perform(work, action, cause.case_id, Actor(rule_id=rule_id), values)
        except DomainError as error:
            skipped.append(SkippedAction(place, str(error)))
    fired = RuleFired(
        rule_id=rule_id,
        version=rule.version,
        title=rule.title,
        case_id=case.case_id,
        user_id=case.user_id,
        channel_id=case.channel_id,
        cause=cause.position,
        stopped=any(action.type == "stop" for action in rule.actions),
        skipped=tuple(skipped),
    )
    work.record(FIRINGS, firing_key(rule, cause), fired)
    return Outcome(True, fired.stopped)


def report_loop(
    work: Work, *, rule_id: int, version: int, cause: Cause, reason: LoopReason
) -> None:
    """Once for each version and reason, so that a loop does not fill the log after all."""
    key = f"{rule_id}/{version}/{reason}"
    if not work.load(LOOPS, key):
        cut = RuleLoopCut(
            rule_id=rule_id,
            version=version,
            case_id=cause.case_id,
            cause=cause.position,
            reason=reason,
        )
        work.record(LOOPS, key, cut)
