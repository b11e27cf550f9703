"""Rules: what Kanal does by itself with cases in which something happens.

A rule's version grows with each change of what it asks or does. Rules run in their order (`automation/rules.py`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from kanal.domain.actions import Action, Day, checked_actions
from kanal.domain.cases import Case, existing_case
from kanal.domain.channels import CHANNELS
from kanal.domain.companies import COMPANIES
from kanal.domain.conditions import (
    ALWAYS,
    AWAITED,
    Cause,
    Change,
    Condition,
    Facts,
    Matches,
    Verdict,
    field_called,
    leaves,
    verdicts,
)
from kanal.domain.custom_fields import CUSTOM_FIELDS, KEY, id_of
from kanal.domain.errors import DomainError, RuleNotFound, TooManyRules, WrongFieldValues, WrongRule
from kanal.domain.event import Event
from kanal.domain.groups import existing_group
from kanal.domain.labels import existing_label
from kanal.domain.response_targets import Deadlines, Measure
from kanal.domain.rule_webhooks import numbered, with_known
from kanal.domain.staff import existing_staff
from kanal.domain.stream import Aggregate
from kanal.domain.work import Work

RuleKind = Literal["incoming", "changed", "timed"]
"""When it runs: a user has written; something else has happened to a case; something has been so for some time."""
Since = Literal[
    "opened",
    "status",
    "user_message",
    "staff_reply",
    "unanswered",
    "first_response_target",
    "next_response_target",
    "resolution_target",
]
"""From when on a timed rule counts: the case was opened; it has its status; the user or staff wrote last; the user wrote last
and staff have not replied; the deadline of a wait that goes on, from which minutes may count back.
"""
TARGETS: Mapping[Since, Measure] = {
    "first_response_target": "first_response",
    "next_response_target": "next_response",
    "resolution_target": "resolution",
}
BEGINNINGS: Mapping[Since, Callable[[Case], int]] = {
    "opened": lambda case: case.opened,
    "status": lambda case: case.status_since,
    "user_message": lambda case: case.user_wrote,
    "staff_reply": lambda case: case.replied,
    "unanswered": lambda case: case.unanswered,
}
"""The version of the case with which that began, 0 if it has not."""
ANCHORS: Mapping[Since, Callable[[Case], int]] = {
    **BEGINNINGS,
    **{since: AWAITED[measure] for since, measure in TARGETS.items()},
}
"""Of a deadline: with which the wait began."""
MAX_MINUTES = 366 * 24 * 60

MAX_RULES = 200
"""Each is asked for everything that happens to a case."""
MAX_CHANNELS = 100
CUSTOM = "cch"
"""What the key of a custom channel begins with."""


class RuleEvent(Event, frozen=True):
    """Holds the whole rule."""

    PERSONAL = ("conditions",)
    rule_id: int
    title: str
    channels: tuple[str, ...]
    """To which it is limited; empty: all."""
    once_per_case: bool
    conditions: Condition
    actions: tuple[Action, ...]


class RuleCreated(RuleEvent, frozen=True):
    NAME = "rule.created.1"
    kind: RuleKind
    active: bool
    since: Literal[Since, ""] = ""
    minutes: int = 0


class RuleChanged(RuleEvent, frozen=True):
    NAME = "rule.changed.1"
    version: int
    since: Literal[Since, ""] = ""
    minutes: int = 0


class RuleEnabled(Event, frozen=True):
    NAME = "rule.enabled.1"
    rule_id: int


class RuleDisabled(Event, frozen=True):
    NAME = "rule.disabled.1"
    rule_id: int


class RuleDeleted(Event, frozen=True):
    NAME = "rule.deleted.1"
    rule_id: int


class RulesOrdered(Event, frozen=True):
    """All rules there are, in the order in which they run."""

    NAME = "rules.ordered.1"
    rule_ids: tuple[int, ...]


OF_RULES: tuple[type[Event], ...] = (
    RuleCreated,
    RuleChanged,
    RuleEnabled,
    RuleDisabled,
    RuleDeleted,
    RulesOrdered,
)
"""All that can happen to rules themselves."""


class Rule(Struct, frozen=True):
    rule_id: int = 0
    version: int = 0
    kind: RuleKind = "incoming"
    title: str = ""
    channels: tuple[str, ...] = ()
    once_per_case: bool = False
    conditions: Condition = ALWAYS
    actions: tuple[Action, ...] = ()
    since: Literal[Since, ""] = ""
    """Of a timed rule."""
    minutes: int = 0
    """Below 0: so long before a deadline."""
    active: bool = False
    deleted: bool = False


def evolve(rule: Rule, event: Event) -> Rule:
    match event:
        case RuleCreated():
            return Rule(
                rule_id=event.rule_id,
                version=1,
                kind=event.kind,
                title=event.title,
                channels=event.channels,
                once_per_case=event.once_per_case,
                conditions=event.conditions,
                actions=event.actions,
                since=event.since,
                minutes=event.minutes,
                active=event.active,
            )
        case RuleChanged():
            return replace(
                rule,
                version=event.version,
                title=event.title,
                channels=event.channels,
                once_per_case=event.once_per_case,
                conditions=event.conditions,
                actions=event.actions,
                since=event.since,
                minutes=event.minutes,
            )
        case RuleEnabled():
            return replace(rule, active=True)
        case RuleDisabled():
            return replace(rule, active=False)
        case RuleDeleted():
            return replace(rule, active=False, deleted=True)
    return rule


RULES = Aggregate("rule", Rule(), evolve)


def evolve_order(rule_ids: tuple[int, ...], event: Event) -> tuple[int, ...]:
    return event.rule_ids if isinstance(event, RulesOrdered) else rule_ids


RULE_ORDER: Aggregate[tuple[int, ...]] = Aggregate("rule_order", (), evolve_order)
"""One stream, key "all": the rules that are not deleted, in the order in which they run."""


def create_rule(
    work: Work,
    *,
    kind: RuleKind,
    title: str,
    actions: Sequence[Action],
    conditions: Condition = ALWAYS,
    channels: Sequence[str] = (),
    once_per_case: bool = False,
    since: Literal[Since, ""] = "",
    minutes: int = 0,
    active: bool = True,
    day: Day = str,
) -> int:
    """The new rule's id; it runs behind those that there are. `day`: as in `GivenValues`.

    Raises WrongRule, TooManyRules.
    """
    order = work.load(RULE_ORDER, "all")
    if len(order) >= MAX_RULES:
        raise TooManyRules(MAX_RULES)
    rule = Rule(
        kind=kind,
        title=title,
        channels=tuple(channels),
        once_per_case=once_per_case,
        conditions=conditions,
        actions=tuple(actions),
        since=since,
        minutes=minutes,
    )
    rule = checked_rule(work, rule, day)
    rule = replace(rule, actions=numbered(rule.actions, work.take))
    rule_id = work.take("rule")
    created = RuleCreated(**_whole(rule, rule_id), kind=kind, active=active)
    work.record(RULES, rule_id, created)
    work.record(RULE_ORDER, "all", RulesOrdered((*order, rule_id)))
    return rule_id


def change_rule(work: Work, *, rule_id: int, day: Day = str, **changes: Any) -> int:
    """`changes`: any of title, channels, once_per_case, conditions, actions, since, minutes. What stays the same is no event.

    Raises RuleNotFound, WrongRule.
    """
    rule = existing_rule(work, rule_id)
    changed = checked_rule(work, replace(rule, **changes), day, before=rule.actions)
    changed = replace(changed, actions=numbered(changed.actions, work.take))
    if changed != rule:
        event = RuleChanged(**_whole(changed, rule_id), version=rule.version + 1)
        work.record(RULES, rule_id, event)
    return rule_id


class Draft(Struct, frozen=True):
    """What somebody thinks of making a rule do."""

    rule: Rule
    live: Rule | None
    """As it is; None for a new one."""
    before: tuple[int, ...]
    """The rules that run before it."""


def draft_rule(
    work: Work, *, rule_id: int = 0, kind: RuleKind = "incoming", day: Day = str, **changes: Any
) -> Draft:
    """As it would be kept and active; nothing is. `rule_id`: of the rule that it changes, and then `kind` is that one's.

    Raises RuleNotFound, WrongRule.
    """
    order = work.load(RULE_ORDER, "all")
    live = existing_rule(work, rule_id) if rule_id else None
    if live:
        order = order[: order.index(rule_id)]
    rule = replace(live or Rule(kind=kind), **changes, active=True)
    return Draft(checked_rule(work, rule, day, live.actions if live else ()), live, order)


def enable_rule(work: Work, *, rule_id: int) -> int:
    """It runs for what happens from now on. Raises RuleNotFound."""
    if not existing_rule(work, rule_id).active:
        work.record(RULES, rule_id, RuleEnabled(rule_id))
    return rule_id


def disable_rule(work: Work, *, rule_id: int) -> int:
    """Raises RuleNotFound."""
    if existing_rule(work, rule_id).active:
        work.record(RULES, rule_id, RuleDisabled(rule_id))
    return rule_id


def delete_rule(work: Work, *, rule_id: int) -> int:
    """What it did stays. Raises RuleNotFound."""
    existing_rule(work, rule_id)
    work.record(RULES, rule_id, RuleDeleted(rule_id))
    rest = tuple(each for each in work.load(RULE_ORDER, "all") if each != rule_id)
    work.record(RULE_ORDER, "all", RulesOrdered(rest))
    return rule_id


def order_rules(work: Work, *, rule_ids: Sequence[int]) -> None:
    """These first, in this order; the others behind them, in theirs. Raises RuleNotFound."""
    before = work.load(RULE_ORDER, "all")
    for rule_id in rule_ids:
        existing_rule(work, rule_id)
    after = tuple(dict.fromkeys([*rule_ids, *before]))
    if after != before:
        work.record(RULE_ORDER, "all", RulesOrdered(after))


def existing_rule(work: Work, rule_id: int) -> Rule:
    """A rule that is not deleted. Raises RuleNotFound."""
    rule = work.load(RULES, rule_id)
    if not rule.rule_id or rule.deleted:
        raise RuleNotFound(rule_id)
    return rule


def checked_rule(work: Work, rule: Rule, day: Day, before: Sequence[Action] = ()) -> Rule:
    """As it is kept, but for the ids of new webhooks. `before`: the actions that it has.

    Raises WrongRule that names the places of all that is wrong.
    """
    wrong: dict[str, str] = {}
    if rule.kind == "timed":
        if not rule.since:
            wrong["since"] = "is required for rules of the kind timed"
        if rule.since not in TARGETS and rule.minutes < 0:
            wrong["before_minutes"] = "is for response targets"
        elif rule.since not in TARGETS and not rule.minutes:
            wrong["after_minutes"] = "is required for rules of the kind timed"
    elif rule.since or rule.minutes:
        wrong["since" if rule.since else "after_minutes"] = "is for rules of the kind timed"
    for number, channel in enumerate(rule.channels):
        if not _is_channel(work, channel):
            wrong[f"channels.{number}"] = "is no channel"
    for leaf, place in leaves(rule.conditions):
        if reason := _unknown(work, rule.kind, leaf):
            wrong[place] = reason
    given, strange = with_known(rule.actions, before)
    wrong |= {f"actions.{number}.action_destination": words for number, words in strange.items()}
    actions, errors = checked_actions(work, given, day)
    for number, error in errors.items():
        for place, words in _faults(error):
            wrong[f"actions.{number}{place}"] = words
    if wrong:
        raise WrongRule(wrong)
    return replace(rule, actions=tuple(actions))


def try_rule(
    work: Work,
    *,
    rule_id: int,
    case_id: int,
    change: Change,
    text: str,
    matches: Matches,
    times: Mapping[int, int] = MappingProxyType({}),
    deadlines: Deadlines = MappingProxyType({}),
) -> list[Verdict]:
    """Whether the rule would run if that happened now, and whether each of its conditions holds; nothing is done.

    `change` counts for rules of the kind `changed`, `text` is that of the last message of the kind, `times` and `deadlines` as in
    `fire_rule`.
    Raises RuleNotFound, CaseNotFound.
    """
    return try_draft(
        work,
        rule=existing_rule(work, rule_id),
        case_id=case_id,
        change=change,
        text=text,
        matches=matches,
        times=times,
        deadlines=deadlines,
    )


def try_draft(
    work: Work,
    *,
    rule: Rule,
    case_id: int,
    change: Change,
    text: str,
    matches: Matches,
    times: Mapping[int, int] = MappingProxyType({}),
    deadlines: Deadlines = MappingProxyType({}),
) -> list[Verdict]:
    """As `try_rule`, of one that need not be kept. Raises CaseNotFound."""
    case = existing_case(work, case_id)
    if rule.kind == "incoming":
        cause = Cause(0, case_id, "user_message", case.user_wrote, "user", text)
    elif rule.since:
        cause = Cause(0, case_id, "time", ANCHORS[rule.since](case), "system")
    else:
        cause = Cause(0, case_id, change, case.version, "staff", text)
    limited = Verdict("channels", not rule.channels or case.channel in rule.channels)
    facts = Facts(work, case, cause, work.now, times.get, lambda: deadlines)
    return [limited, *verdicts(rule.conditions, facts, matches)]


def _whole(rule: Rule, rule_id: int) -> dict[str, Any]:
    """What a rule can be changed to, as events hold it."""
    return {
        "rule_id": rule_id,
        "title": rule.title,
        "channels": rule.channels,
        "once_per_case": rule.once_per_case,
        "conditions": rule.conditions,
        "actions": rule.actions,
        "since": rule.since,
        "minutes": rule.minutes,
    }


def _is_channel(work: Work, channel: str) -> bool:
    """Standard channels are known outside; of a custom one there must be the channel."""
    if not channel.startswith(CUSTOM):
        return True
    number = channel.removeprefix(CUSTOM)
    return number.isdecimal() and bool(work.load(CHANNELS, int(number)).channel_id)


def _unknown(work: Work, kind: RuleKind, leaf: Condition) -> str:
    """What a condition names that is not there; "" if all is."""
    if kind == "incoming" and leaf.field == "change":
        return "field change is for rules of the kind changed"
    if kind == "timed" and field_called(leaf.field).of_cause:
        return f"field {leaf.field} is not for rules of the kind timed"
    if KEY.fullmatch(leaf.field):
        field = work.load(CUSTOM_FIELDS, id_of(leaf.field))
        return "" if field.field_id and not field.deleted else "field is no custom field"
    is_there = EXISTING.get(leaf.field)
    missing = [each for each in leaf.value if each and not is_there(work, each)] if is_there else []
    return f"value {', '.join(map(str, missing))} does not exist" if missing else ""


def _is_there(existing: Callable[[Work, int], object]) -> Callable[[Work, Any], bool]:
    def check(work: Work, key: int) -> bool:
        try:
            existing(work, key)
        except DomainError:
            return False
        return True

    return check


def _is_company(work: Work, company_id: int) -> bool:
    company = work.load(COMPANIES, company_id)
    return bool(company.company_id) and not company.deleted


EXISTING: dict[str, Callable[[Work, Any], bool]] = {
    "channel": _is_channel,
    "staff_id": _is_there(existing_staff),
    "group_id": _is_there(existing_group),
    "labels": _is_there(existing_label),
    "company_id": _is_company,
}
"""Fields whose values must be there, 0 for none aside."""


def _faults(error: DomainError) -> Iterator[tuple[str, str]]:
    if isinstance(error, WrongFieldValues) and error.fields:
        for name, words in error.fields.items():
            yield f".action_destination.{name.removeprefix('custom_fields.')}", words
    else:
        yield ".action_destination", f"names what is not there: {str(error).rstrip('.')}"
