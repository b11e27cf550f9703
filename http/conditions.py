"""Conditions of rules as callers write them: single ones, and groups of which all or any must hold."""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, model_validator

from kanal.automation.patterns import wrong_pattern
from kanal.domain.channels import STANDARD_CHANNELS
from kanal.domain.conditions import Condition, leaves, read_leaf
from kanal.http.api.cases import CUSTOM_CHANNEL
from kanal.http.fields import GivenOnly, wrong

MAX_CONDITIONS = 100
"""In one rule."""
MAX_DEPTH = 5
"""Groups within groups; nobody reads more."""


class ConditionFields(GivenOnly):
    """Either `all` or `any`, a list of conditions, or `field`, `operator` and `value`."""

    all: "list[ConditionFields] | None" = None
    any: "list[ConditionFields] | None" = None
    field: str | None = None
    operator: str | None = None
    value: Any = None

    @model_validator(mode="after")
    def is_one_thing(self) -> Self:
        given = [name for name in ("all", "any", "field") if getattr(self, name) is not None]
        if len(given) > 1:
            raise wrong("must have one of all, any and field")
        if self.field is not None:
            self._leaf()
        elif not given and (self.operator is not None or self.value is not None):
            raise wrong("field is required")
        return self

    def condition(self) -> Condition:
        """Raises PydanticCustomError."""
        if self.field is not None:
            return self._leaf()
        return Condition(
            all=tuple(each.condition() for each in self.all or ()),
            any=tuple(each.condition() for each in self.any or ()),
        )

    def _leaf(self) -> Condition:
        try:
            leaf = read_leaf(self.field or "", self.operator or "", self.value, wrong_pattern)
        except ValueError as error:
            raise wrong(str(error)) from None
        if leaf.field == "channel":
            for each in leaf.value:
                check_channel(each)
        return leaf


def _bounded(given: ConditionFields) -> ConditionFields:
    condition = given.condition()
    if len(list(leaves(condition))) > MAX_CONDITIONS:
        raise wrong(f"may have up to {MAX_CONDITIONS} conditions")
    if _depth(condition) > MAX_DEPTH:
        raise wrong(f"may be nested up to {MAX_DEPTH} deep")
    return given


Conditions = Annotated[ConditionFields, AfterValidator(_bounded)]


def check_channel(channel: str) -> str:
    """Raises PydanticCustomError."""
    if channel not in STANDARD_CHANNELS and not CUSTOM_CHANNEL.fullmatch(channel):
        raise wrong("must be channels like cch1 or email")
    return channel


def _depth(condition: Condition) -> int:
    return 1 + max((_depth(each) for each in (*condition.all, *condition.any)), default=0)
