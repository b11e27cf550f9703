"""Custom fields: what an account wants to know of its users and cases beyond what every account does.

A field has a type and belongs to users or to cases; both stay. Values stand in the state of their user or case.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from kanal.domain.errors import (
    CustomFieldNotFound,
    NoOptions,
    OptionKeyTaken,
    WrongFieldValues,
)
from kanal.domain.event import Event
from kanal.domain.stream import Aggregate
from kanal.domain.work import Work

FieldType = Literal["text", "textarea", "checkbox", "select", "date"]
FieldLevel = Literal["user", "case"]
Value = str | bool
"""A checkbox's is a bool, a select's the key of an option, a date's `2021-12-01`."""
Values = dict[str, Value]
"""Key of the field (`cf_1`) -> value; what is not set is not there."""
Changes = Mapping[str, Value | None]
"""None takes the value away."""

MAX_VALUE = 10_000
"""Characters of a text. Values are part of the state that the writer keeps in memory, so they are no place for files."""

KEY = re.compile(r"cf_([1-9]\d{0,17})", re.ASCII)


class CustomFieldCreated(Event, frozen=True):
    NAME = "custom_field.created.1"
    field_id: int
    title: str
    field_type: FieldType
    field_level: FieldLevel
    options: dict[str, str]
    """Of a select: key -> title."""


class CustomFieldChanged(Event, frozen=True):
    """Holds all that can be changed, so that a reader needs no earlier event."""

    NAME = "custom_field.changed.1"
    field_id: int
    title: str
    options: dict[str, str]
    retired: dict[str, str] = msgspec.field(default_factory=dict)
    """Options that were taken away."""


class CustomFieldDisabled(Event, frozen=True):
    """It takes no new values; those that there are stay."""

    NAME = "custom_field.disabled.1"
    field_id: int


class CustomFieldEnabled(Event, frozen=True):
    NAME = "custom_field.enabled.1"
    field_id: int


class CustomFieldDeleted(Event, frozen=True):
    """For good. Users and cases that have values get no event; whoever shows them leaves the values out from now on."""

    NAME = "custom_field.deleted.1"
    field_id: int


class CustomField(Struct, frozen=True):
    field_id: int = 0
    title: str = ""
    field_type: FieldType = "text"
    field_level: FieldLevel = "case"
    options: dict[str, str] = {}
    retired: dict[str, str] = {}
    """Options that were taken away. Whoever chose one still has its key, so none comes back with another title."""
    active: bool = False
    deleted: bool = False


def evolve(field: CustomField, event: Event) -> CustomField:
    match event:
        case CustomFieldCreated():
            return CustomField(
                field_id=event.field_id,
                title=event.title,
                field_type=event.field_type,
                field_level=event.field_level,
                options=event.options,
                active=True,
            )
        case CustomFieldChanged():
            retired = _retired(field, event.options)
            return replace(field, title=event.title, options=event.options, retired=retired)
        case CustomFieldDisabled():
            return replace(field, active=False)
        case CustomFieldEnabled():
            return replace(field, active=True)
        case CustomFieldDeleted():
            return replace(field, active=False, deleted=True)
    return field


CUSTOM_FIELDS = Aggregate("custom_field", CustomField(), evolve, version=2)


def key_of(field_id: int) -> str:
    return f"cf_{field_id}"


def id_of(key: str) -> int:
    """0 for what is no key of a field."""
    found = KEY.fullmatch(key)
    return int(found[1]) if found else 0


def create_field(
    work: Work,
    *,
    title: str,
    field_type: FieldType,
    field_level: FieldLevel,
    options: Mapping[str, str] | None = None,
) -> int:
    """The new field's id. Raises NoOptions for a select without any; other types have none."""
    field_id = work.take("custom_field")
    created = CustomFieldCreated(
        field_id=field_id,
        title=title,
        field_type=field_type,
        field_level=field_level,
        options=_options(field_type, options or {}),
    )
    work.record(CUSTOM_FIELDS, field_id, created)
    return field_id


def change_field(
    work: Work,
    *,
    field_id: int,
    title: str | None = None,
    options: Mapping[str, str] | None = None,
) -> int:
    """None means "as it is". An option that is left out takes nothing from those who have it, and comes back as it was or not at all.

    Raises CustomFieldNotFound, NoOptions, OptionKeyTaken.
    """
    field = existing_field(work, field_id)
    kept = field.options if options is None else _options(field.field_type, options)
    for key, was in field.retired.items():
        if kept.get(key, was) != was:
            raise OptionKeyTaken(key, was)
    changed = CustomFieldChanged(
        field_id=field_id,
        title=field.title if title is None else title,
        options=kept,
        retired=_retired(field, kept),
    )
    if (changed.title, changed.options) != (field.title, field.options):
        work.record(CUSTOM_FIELDS, field_id, changed)
    return field_id


def disable_field(work: Work, *, field_id: int) -> int:
    """Raises CustomFieldNotFound."""
    if existing_field(work, field_id).active:
        work.record(CUSTOM_FIELDS, field_id, CustomFieldDisabled(field_id))
    return field_id


def enable_field(work: Work, *, field_id: int) -> int:
    """Raises CustomFieldNotFound."""
    if not existing_field(work, field_id).active:
        work.record(CUSTOM_FIELDS, field_id, CustomFieldEnabled(field_id))
    return field_id


def delete_field(work: Work, *, field_id: int) -> int:
    """Raises CustomFieldNotFound."""
    existing_field(work, field_id)
    work.record(CUSTOM_FIELDS, field_id, CustomFieldDeleted(field_id))
    return field_id


def existing_field(work: Work, field_id: int) -> CustomField:
    """A field that is not deleted. Raises CustomFieldNotFound."""
    field = work.load(CUSTOM_FIELDS, field_id)
    if not field.field_id or field.deleted:
        raise CustomFieldNotFound(field_id)
    return field


def _options(field_type: FieldType, given: Mapping[str, str]) -> dict[str, str]:
    if field_type != "select":
        return {}
    if not given:
        raise NoOptions
    return dict(given)


def _retired(field: CustomField, options: Mapping[str, str]) -> dict[str, str]:
    were = field.retired | field.options
    return {key: title for key, title in were.items() if key not in options}


# -- values --------------------------------------------------------------------------------------


class GivenValues(Struct, frozen=True):
    """What a caller said of custom fields, of users and of cases alike."""

    day: Callable[[object], str]
    """Reads a date as `2021-12-01`; raises ValueError with a sentence. The account's zone is known outside only."""
    values: Mapping[str, Any] = {}
    """Key -> value as the caller wrote it."""
    cleared: Iterable[str] = ()
    """Keys of fields whose values are taken away."""


def read_values(
    work: Work, given: GivenValues | None, *levels: FieldLevel
) -> dict[FieldLevel, Changes]:
    """The changes for each of these levels. Keys of fields that are unknown, disabled or of another level are ignored.

    Raises WrongFieldValues, which names all that are wrong.
    """
    changes: dict[FieldLevel, dict[str, Value | None]] = {level: {} for level in levels}
    wrong: dict[str, str] = {}
    if given is None:
        return dict(changes)
    for key in given.cleared:
        field = work.load(CUSTOM_FIELDS, id_of(key))
        if field.field_id and field.field_level in changes:
            changes[field.field_level][key] = None
    for key, value in given.values.items():
        field = work.load(CUSTOM_FIELDS, id_of(key))
        if field.active and field.field_level in changes:
            try:
                changes[field.field_level][key] = _checked(field, value, given.day)
            except ValueError as error:
                wrong[key] = str(error)
    if wrong:
        raise WrongFieldValues(wrong)
    return dict(changes)


def changed_values(values: Values, changes: Changes) -> Values:
    """All values after these changes, in the order of the fields."""
    after: dict[str, Value | None] = {**values, **changes}
    kept = {key: value for key, value in after.items() if value is not None}
    return dict(sorted(kept.items(), key=lambda item: id_of(item[0])))


def old_values(before: Values, after: Values) -> dict[str, Value | None]:
    """What was there of each field that changed; None: nothing."""
    keys = sorted(before.keys() | after.keys(), key=id_of)
    return {key: before.get(key) for key in keys if before.get(key) != after.get(key)}


def _checked(field: CustomField, value: object, day: Callable[[object], str]) -> Value:
    """Raises ValueError with a sentence."""
    match field.field_type:
        case "checkbox":
            return _flag(value)
        case "date":
            return day(value)
        case "select":
            if str(value) not in field.options or not isinstance(value, str | int):
                raise ValueError("must be a key of the field's field_data")
            return str(value)
    if isinstance(value, str | int) and not isinstance(value, bool):
        text = str(value)
        if len(text) > MAX_VALUE:
            raise ValueError(f"may have up to {MAX_VALUE} characters")
        return text
    raise ValueError("must be a text")


def _flag(value: object) -> bool:
    if isinstance(value, str | int):
        word = str(value).lower()
        if word in ("1", "true"):
            return True
        if word in ("0", "false"):
            return False
    raise ValueError("must be true or false")
