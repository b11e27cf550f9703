"""/api/custom_fields: what an account wants to know of its users and cases, and how values of it are given."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Annotated, Any, Literal

from aiohttp import web
from msgspec import Struct
from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from kanal.domain.custom_fields import (
    FieldLevel,
    FieldType,
    GivenValues,
    change_field,
    create_field,
    delete_field,
    disable_field,
    enable_field,
    id_of,
)
from kanal.domain.errors import CustomFieldNotFound
from kanal.http.answers import answer, empty, listing
from kanal.http.context import Call
from kanal.http.contract import Empty, Listed, One, Takes, contract
from kanal.http.dates import Dates
from kanal.http.fields import NOT_GIVEN, Fields, Line, Many, Paging, Text, wrong
from kanal.http.ids import id_in
from kanal.http.paging import page_of
from kanal.projections import custom_fields as read
from kanal.projections.custom_fields import CustomFieldRow

MAX_FIELDS = 200
"""In one call: each is looked up while the log waits."""
MAX_SHOWN = 40
"""Characters of a wrong key in its error."""
NO_OBJECT = 'must be an object such as {"cf_1": "..."}'


def _by_key(value: Any) -> Any:
    """{"cf_1": ...}, or objects of one key each in a list; what is no key of a field, or not given, is left out."""
    parts = value if isinstance(value, list) else [value]
    if not all(isinstance(part, dict) for part in parts):
        raise wrong(NO_OBJECT)
    given = {key: each for part in parts for key, each in part.items()}
    kept = {k: each for k, each in given.items() if id_of(k) and each not in NOT_GIVEN}
    return _few(kept)


def _filters_by_key(value: Any) -> Any:
    """As `_by_key`; a filter that cannot be read must not find everything."""
    parts = value if isinstance(value, list) else [value]
    for key in (key for part in parts if isinstance(part, dict) for key in part):
        if not id_of(key):
            sentence = f'has no field "{key[:MAX_SHOWN]}": name them as custom_fields[cf_1]'
            raise wrong(sentence)
    return _by_key(value)


def _few(given: Any) -> Any:
    if len(given) > MAX_FIELDS:
        raise wrong(f"may name up to {MAX_FIELDS} fields")
    return given


def _keys(given: Iterable[str]) -> tuple[str, ...]:
    """`cf_1` or `1`."""
    keys = (text if id_of(text) else f"cf_{text}" for text in given)
    return tuple(key for key in keys if id_of(key))


def _numbered(value: object) -> object:
    """A list, which brackets with numbers become, is counted from 1."""
    if isinstance(value, list):
        return {str(number): title for number, title in enumerate(value, start=1)}
    return value


CustomFields = Annotated[
    dict[str, Any],
    BeforeValidator(_by_key),
    WithJsonSchema(
        {"type": "object", "additionalProperties": {"type": ["string", "integer", "boolean"]}}
    ),
]
"""Key -> value, still to be checked by the field's type."""
FieldKeys = Annotated[tuple[Text, ...], Many, AfterValidator(_few), AfterValidator(_keys)]
FieldFilters = Annotated[
    dict[
        str, Annotated[tuple[Text, ...], BeforeValidator(lambda v: v if type(v) is list else [v])]
    ],
    BeforeValidator(_filters_by_key),
]
"""Key -> what its value is to match; several are joined by "or"."""
Options = Annotated[dict[Text, Line], BeforeValidator(_numbered), AfterValidator(_few)]


class NewCustomField(Fields):
    title: Line
    field_type: FieldType
    field_level: FieldLevel
    field_data: Options | None = None


class CustomFieldChanges(Fields):
    title: Line | None = None
    field_data: Options | None = None


class CustomFieldAnswer(Struct):
    field_id: int
    title: str
    field_type: FieldType
    field_level: FieldLevel
    active: bool
    field_data: dict[str, str] | Literal[""]
    """The options of a select by their keys; "" for other types."""


@contract("List the custom fields", Listed("custom_field", CustomFieldAnswer), query=Paging)
async def list_fields(call: Call) -> web.Response:
    found = await call.read(read.listed, page_of(call.asked(Paging)))
    return answer(listing("custom_field", map(shown, found.rows), found.total))


@contract("Show a custom field", One("custom_field", CustomFieldAnswer))
async def show(call: Call) -> web.Response:
    return await _answer(call, _field_id(call))


@contract(
    "Define a custom field",
    One("custom_field", CustomFieldAnswer, 201),
    body=Takes("custom_field", NewCustomField, bare=True),
)
async def create(call: Call) -> web.Response:
    given = await call.given(NewCustomField)
    command = partial(
        create_field,
        title=given.title,
        field_type=given.field_type,
        field_level=given.field_level,
        options=given.field_data,
    )
    done = await call.submit(command)
    return await _answer(call, done.result, 201)


@contract(
    "Change a custom field",
    One("custom_field", CustomFieldAnswer),
    body=Takes("custom_field", CustomFieldChanges, bare=True),
)
async def change(call: Call) -> web.Response:
    field_id = _field_id(call)
    given = await call.given(CustomFieldChanges)
    command = partial(change_field, field_id=field_id, title=given.title, options=given.field_data)
    await call.submit(command)
    return await _answer(call, field_id)


@contract("Disable a custom field", One("custom_field", CustomFieldAnswer))
async def disable(call: Call) -> web.Response:
    done = await call.submit(partial(disable_field, field_id=_field_id(call)))
    return await _answer(call, done.result)


@contract("Enable a custom field", One("custom_field", CustomFieldAnswer))
async def enable(call: Call) -> web.Response:
    done = await call.submit(partial(enable_field, field_id=_field_id(call)))
    return await _answer(call, done.result)


@contract("Delete a custom field with all its values", Empty())
async def delete(call: Call) -> web.Response:
    await call.submit(partial(delete_field, field_id=_field_id(call)))
    return empty()


def shown(row: CustomFieldRow) -> CustomFieldAnswer:
    return CustomFieldAnswer(
        field_id=row.field_id,
        title=row.title,
        field_type=row.field_type,
        field_level=row.field_level,
        active=row.active,
        field_data=row.options or "",
    )


def given_values(
    values: Mapping[str, Any] | None, cleared: Iterable[str], dates: Dates
) -> GivenValues | None:
    """For the commands that take values of custom fields."""
    if not values and not cleared:
        return None
    return GivenValues(day=dates.day, values=values or {}, cleared=cleared)


def _field_id(call: Call) -> int:
    return id_in(call.path("field"), CustomFieldNotFound)


async def _answer(call: Call, field_id: int, status: int = 200) -> web.Response:
    row = await call.read(read.find, field_id)
    if row is None:
        raise CustomFieldNotFound(field_id)
    return answer({"custom_field": shown(row)}, status)
