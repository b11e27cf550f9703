"""The part of a rule's form in which conditions are put together: read, shown, and made into what the API takes."""

from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct

from kanal.domain.conditions import FIELDS, OPERATORS, Condition, field_called, parts
from kanal.domain.rules import RuleKind
from kanal.http.conditions import MAX_DEPTH
from kanal.http.pages.form_values import mapping, word, words

UNITS: Final = {"minutes": 1, "hours": 60, "days": 24 * 60}
NEW_FIELD: Final[dict[RuleKind, str]] = {
    "incoming": "text",
    "changed": "change",
    "timed": "status",
}
"""What a new condition asks at first."""
FEW: Final = 4
"""Choices that stand beside what is asked; more have a line of their own."""
VALUELESS: Final = ("is_empty", "is_not_empty")
OF_MINUTES: Final = "minutes_"
"""What fields that hold a time begin with."""


class ConditionForm(Struct):
    """A group, or one condition, as it stands in the form."""

    match: str = ""
    """Of a group: all or any."""
    parts: list["ConditionForm"] = []
    field: str = ""
    operator: str = ""
    value: str = ""
    values: tuple[str, ...] = ()
    unit: str = "minutes"
    name: str = ""
    """What the names of its inputs begin with."""
    at: str = ""
    """Its place among the form's: `0.1`, "" for the outermost group."""
    place: str = "conditions"
    """As errors and verdicts name it."""
    depth: int = 1

    @property
    def may_hold_groups(self) -> bool:
        return self.depth < MAX_DEPTH - 1

    @property
    def kind(self) -> str:
        return field_called(self.field).kind

    @property
    def operators(self) -> tuple[str, ...]:
        return OPERATORS[field_called(self.field).kind]

    @property
    def choices(self) -> tuple[str, ...]:
        return field_called(self.field).choices

    @property
    def is_wide(self) -> bool:
        """Whether there is much to choose from."""
        return len(self.choices) > FEW or self.kind in ("channel", "id", "labels")

    @property
    def has_value(self) -> bool:
        return self.operator not in VALUELESS

    @property
    def is_time(self) -> bool:
        return self.field.startswith(OF_MINUTES)


def read_conditions(given: object) -> ConditionForm:
    """The outermost group."""
    outermost = mapping(given)
    form = _read(outermost, 1) if outermost.get("match") else ConditionForm(match="all")
    return placed(form if form.match else ConditionForm(match="all"))


def _read(given: dict[str, Any], depth: int) -> ConditionForm:
    if given.get("match") in ("all", "any"):
        inner = given.get("parts")
        held = [each for each in inner if isinstance(each, dict)] if type(inner) is list else []
        deeper = [_read(each, depth + 1) for each in held] if depth < MAX_DEPTH else []
        return ConditionForm(match=given["match"], parts=deeper)
    name = word(given.get("field"))
    return _suited(
        ConditionForm(
            field=name if _is_field(name) else "status",
            operator=word(given.get("operator")),
            value=word(given.get("value")),
            values=words(given.get("values")),
            unit=unit if (unit := word(given.get("unit"))) in UNITS else "minutes",
        )
    )


def _suited(form: ConditionForm) -> ConditionForm:
    """Another field may have other operators."""
    if form.operator not in form.operators:
        form.operator = "contains" if form.kind == "text" else form.operators[0]
    return form


def _is_field(name: str) -> bool:
    try:
        field_called(name)
    except ValueError:
        return False
    return True


def placed(
    form: ConditionForm, name: str = "conditions", at: str = "", place: str = "conditions"
) -> ConditionForm:
    """With the names and places of all in it."""
    form.name, form.at, form.place = name, at, place
    form.depth = at.count(".") + 2 if at else 1
    for number, part in enumerate(form.parts):
        inner = f"{at}.{number}" if at else str(number)
        placed(part, f"{name}[parts][{number}]", inner, f"{place}.{form.match}.{number}")
    return form


def changed_conditions(
    form: ConditionForm, edit: str, at: str, kind: RuleKind
) -> tuple[ConditionForm, str]:
    """What a button of the form does, and at which place to look then."""
    steps = [int(step) for step in at.split(".") if step.isdecimal() and len(step) < 6]
    look = at
    match edit:
        case "add-condition" | "add-group":
            group = _found(form, steps)
            if group is not None and group.match:
                new = _suited(ConditionForm(field=NEW_FIELD[kind]))
                if edit == "add-group":
                    new = ConditionForm(match="any" if group.match == "all" else "all", parts=[new])
                group.parts = [*group.parts, new]
                look = ".".join(map(str, [*steps, len(group.parts) - 1]))
        case "remove-condition" if steps:
            group = _found(form, steps[:-1])
            if group is not None and steps[-1] < len(group.parts):
                group.parts = [each for n, each in enumerate(group.parts) if n != steps[-1]]
                look = ".".join(map(str, steps[:-1]))
    return placed(form), look


def _found(form: ConditionForm, steps: list[int]) -> ConditionForm | None:
    for step in steps:
        if step >= len(form.parts):
            return None
        form = form.parts[step]
    return form


def fields_of(form: ConditionForm) -> dict[str, Any]:
    """As callers of the API write it."""
    if form.match:
        return {form.match: [fields_of(each) for each in form.parts]}
    fields: dict[str, Any] = {"field": form.field, "operator": form.operator}
    if form.has_value:
        fields["value"] = _value(form)
    return fields


def _value(form: ConditionForm) -> Any:
    match form.kind:
        case "choice" | "channel" | "labels":
            return list(form.values)
        case "id" if form.field in ("user_id", "company_id"):
            return [each.strip() for each in form.value.split(",") if each.strip()]
        case "id":
            return list(form.values)
        case "number":
            given = form.value.strip()
            return int(given) * UNITS[form.unit] if given.isdecimal() and len(given) < 10 else given
    return form.value


def form_of(condition: Condition) -> ConditionForm:
    """Of a rule that there is. The outermost one is always a group."""
    form = _form_of(condition)
    return placed(form if form.match else ConditionForm(match="all", parts=[form]))


def _form_of(condition: Condition) -> ConditionForm:
    if condition.field:
        return _leaf(condition)
    # Callers of the API give one of both.
    match = "any" if condition.any else "all"
    return ConditionForm(match=match, parts=[_form_of(each) for each, _ in parts(condition, "")])


def _leaf(condition: Condition) -> ConditionForm:
    form = ConditionForm(field=condition.field, operator=condition.operator)
    value = condition.value
    if isinstance(value, list | tuple):
        form.values = tuple(map(str, value))
        form.value = ", ".join(form.values)
    elif isinstance(value, bool):
        form.value = "true" if value else "false"
    elif value is not None:
        form.value = str(value)
    if form.is_time and isinstance(value, int):
        form.value, form.unit = in_units(value)
    return form


def in_units(minutes: int) -> tuple[str, str]:
    """The largest unit that says it in a whole number."""
    for unit in ("days", "hours"):
        if minutes and minutes % UNITS[unit] == 0:
            return str(minutes // UNITS[unit]), unit
    return str(minutes), "minutes"


def fields_for(kind: RuleKind) -> Iterator[str]:
    """What a rule of that kind can ask, but for custom fields."""
    for name, field in FIELDS.items():
        if name == "change" and kind != "changed":
            continue
        if field.of_cause and kind == "timed":
            continue
        yield name
