"""A rule as it stands in the editor's form: read from it, shown in it, and made into what the API takes."""

from collections.abc import Mapping
from typing import Any, Final, get_args

import msgspec
from msgspec import Struct

from kanal.domain.conditions import Condition
from kanal.domain.rules import TARGETS, Rule, RuleKind
from kanal.http.api.rules import ALL
from kanal.http.pages import action_forms, condition_forms
from kanal.http.pages.action_forms import ActionForm
from kanal.http.pages.condition_forms import UNITS, ConditionForm, in_units
from kanal.http.pages.form_values import word, words
from kanal.projections.rules import RuleRow

KINDS: Final[tuple[RuleKind, ...]] = get_args(RuleKind)
PLACES: Final = (
    "title",
    "since",
    "after_minutes",
    "before_minutes",
    "channels",
    "conditions",
    "actions",
)
"""Parts of the form beside which what is wrong with them stands."""


class RuleForm(Struct):
    conditions: ConditionForm
    actions: list[ActionForm]
    rule_id: int = 0
    """0 for a new one."""
    kind: RuleKind = "incoming"
    title: str = ""
    channels: tuple[str, ...] = ()
    once_per_case: bool = False
    active: bool = True
    """Of a new one."""
    since: str = ""
    amount: str = ""
    unit: str = "hours"
    before: bool = False
    """Of a deadline: the time is before it."""
    look: str = ""
    """Where the cursor is to stand: the name of an input."""

    @property
    def counts_from_deadline(self) -> bool:
        return self.since in TARGETS


def new_form(kind: RuleKind) -> RuleForm:
    conditions = condition_forms.placed(ConditionForm(match="all"))
    conditions, _ = condition_forms.changed_conditions(conditions, "add-condition", "", kind)
    since, amount = ("unanswered", "4") if kind == "timed" else ("", "")
    return RuleForm(conditions, [ActionForm()], kind=kind, since=since, amount=amount)


def form_of(rule: Rule | RuleRow) -> RuleForm:
    """`rule`: as states or as lists have it."""
    amount, unit = in_units(abs(rule.minutes))
    return RuleForm(
        rule_id=rule.rule_id,
        kind=rule.kind,
        title=rule.title,
        channels=tuple(rule.channels),
        once_per_case=rule.once_per_case,
        since=rule.since,
        amount=amount if rule.since else "",
        unit=unit,
        before=rule.minutes < 0,
        conditions=condition_forms.form_of(msgspec.convert(rule.conditions, Condition)),
        actions=action_forms.forms_of(rule.actions),
    )


def read_form(given: Mapping[str, Any]) -> RuleForm:
    kind = given.get("kind")
    rule_id = word(given.get("rule_id"))
    return RuleForm(
        rule_id=int(rule_id) if rule_id.isdecimal() and len(rule_id) < 19 else 0,
        kind=kind if kind in KINDS else "incoming",
        title=word(given.get("title")),
        channels=words(given.get("channels")),
        once_per_case=given.get("once_per_case") == "1",
        active=given.get("active") == "1",
        since=word(given.get("since")),
        amount=word(given.get("amount")),
        unit=unit if (unit := word(given.get("unit"))) in UNITS else "hours",
        before=given.get("before") == "1",
        conditions=condition_forms.read_conditions(given.get("conditions")),
        actions=action_forms.read_actions(given.get("actions")),
    )


def edited(form: RuleForm, button: str) -> RuleForm:
    """What a button of the form does: `add-condition:0.1`."""
    edit, _, place = button.partition(":")
    if edit.endswith("-action"):
        number = action_forms.changed_actions(form.actions, edit, place)
        form.look = f"actions[{number}][type]" if number is not None else ""
    else:
        conditions, at = condition_forms.changed_conditions(form.conditions, edit, place, form.kind)
        form.conditions = conditions
        form.look = "".join(f"[parts][{step}]" for step in at.split(".") if step)
        form.look = f"conditions{form.look}[field]"
    return form


def fields_of(form: RuleForm) -> dict[str, Any]:
    """As callers of the API write it."""
    fields: dict[str, Any] = {
        "kind": form.kind,
        "title": form.title.strip(),
        "channels": list(form.channels) or [ALL],
        "once_per_case": form.once_per_case,
        "conditions": condition_forms.fields_of(form.conditions),
        "actions": [action_forms.fields_of(each) for each in form.actions],
    }
    if form.kind == "timed":
        amount = form.amount.strip()
        known = amount.isdecimal() and len(amount) < 10
        fields["since"] = form.since
        name = "before_minutes" if form.before and form.counts_from_deadline else "after_minutes"
        # Nothing is no time: of what is not given a rule that there is would keep what it has.
        fields[name] = int(amount) * UNITS[form.unit] if known else amount or 0
    return fields
