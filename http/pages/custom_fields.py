"""/fields: what an account wants to know of its customers and cases."""

from functools import partial
from typing import Any, Final, get_args

from aiohttp import web

from kanal.domain import custom_fields as domain
from kanal.domain.custom_fields import FieldLevel, FieldType
from kanal.domain.errors import CustomFieldNotFound
from kanal.http.api.custom_fields import CustomFieldChanges, NewCustomField
from kanal.http.ids import MAX_ID_DIGITS, id_in
from kanal.http.pages.form_errors import NO_FAULTS, Faults
from kanal.http.pages.form_values import mapping, word
from kanal.http.pages.settings_forms import shown
from kanal.http.pages.visit import Visit
from kanal.projections import custom_fields as read
from kanal.projections.custom_fields import CustomFieldRow

TYPES: Final[tuple[str, ...]] = get_args(FieldType)
LEVELS: Final[tuple[str, ...]] = get_args(FieldLevel)
OPTION: Final = "o"
"""Before an option's key in a name: names that are all numbers would be a list."""


async def show_all(visit: Visit) -> web.StreamResponse:
    return await shown(visit, "custom_fields.html")


async def form(visit: Visit) -> web.StreamResponse:
    return await _new(visit, NO_FAULTS, {})


async def create(visit: Visit) -> web.StreamResponse:
    typed = await _typed(visit)
    with Faults() as faults:
        given = NewCustomField.read(typed, visit.context)
        command = partial(
            domain.create_field,
            title=given.title,
            field_type=given.field_type,
            field_level=given.field_level,
            options=given.field_data,
        )
        await visit.submit(command)
        return visit.see("/fields", done="saved")
    return await _new(visit, faults, typed)


async def edit(visit: Visit) -> web.StreamResponse:
    row = await _row(visit)
    return await _form(visit, NO_FAULTS, row, {"title": row.title, "options": row.options})


async def change(visit: Visit) -> web.StreamResponse:
    row = await _row(visit)
    typed = await _typed(visit, row)
    with Faults() as faults:
        wanted = {"title": typed["title"], "field_data": typed["field_data"]}
        given = CustomFieldChanges.read(wanted, visit.context)
        command = partial(
            domain.change_field,
            field_id=_field_id(visit),
            title=given.title,
            options=given.field_data,
        )
        await visit.submit(command)
        return visit.see("/fields", done="saved")
    return await _form(visit, faults, row, typed)


async def change_state(visit: Visit) -> web.StreamResponse:
    action = word((await visit.body()).fields.get("action"))
    commands = {
        "enable": domain.enable_field,
        "disable": domain.disable_field,
        "delete": domain.delete_field,
    }
    if action in commands:
        await visit.submit(partial(commands[action], field_id=_field_id(visit)))
    return visit.see("/fields", done="deleted" if action == "delete" else "saved")


async def _typed(visit: Visit, row: CustomFieldRow | None = None) -> dict[str, Any]:
    """As callers of the API write it. Further options have the next numbers as their keys that no option ever had.

    What the page did not show was added meanwhile, and stays.
    """
    fields = (await visit.body()).fields
    there = {
        key.removeprefix(OPTION): word(title).strip()
        for key, title in mapping(fields.get("options")).items()
    }
    known = row.options if row else {}
    options = there | {key: title for key, title in known.items() if key not in there}
    more = [line.strip() for line in word(fields.get("more")).splitlines() if line.strip()]
    keys = (*options, *(row.retired if row else ()))
    numbers = [int(key) for key in keys if key.isdecimal() and len(key) <= MAX_ID_DIGITS]
    for number, title in enumerate(more, start=max(numbers, default=0) + 1):
        options[str(number)] = title
    return {
        "title": word(fields.get("title")).strip(),
        "field_type": word(fields.get("field_type")),
        "field_level": word(fields.get("field_level")),
        "options": options,
        "field_data": {key: title for key, title in options.items() if title},
    }


async def _new(visit: Visit, faults: Faults, typed: dict[str, Any]) -> web.StreamResponse:
    return await shown(
        visit, "custom_field.html", faults, row=None, typed=typed, types=TYPES, levels=LEVELS
    )


async def _form(
    visit: Visit, faults: Faults, row: CustomFieldRow, typed: dict[str, Any]
) -> web.StreamResponse:
    return await shown(visit, "custom_field.html", faults, row=row, typed=typed)


async def _row(visit: Visit) -> CustomFieldRow:
    row = await visit.read(read.find, _field_id(visit))
    if row is None:
        raise CustomFieldNotFound(visit.path("field"))
    return row


def _field_id(visit: Visit) -> int:
    return id_in(visit.path("field"), CustomFieldNotFound)
