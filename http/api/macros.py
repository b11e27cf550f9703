"""/api/macros: several changes of a case under one title. Omnidesk lists them; defining and applying them is Kanal's own."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Annotated, Any, cast

from aiohttp import web
from msgspec import Struct
from pydantic import AfterValidator
from sqlalchemy import Connection

from kanal.domain import macros
from kanal.domain.actions import MacroActionType
from kanal.domain.errors import CaseNotFound, MacroNotFound
from kanal.domain.variables import Values
from kanal.domain.work import Work
from kanal.http.actions import DISPLAY_NAMES, ActionFields, few, shown_destination
from kanal.http.answers import answer, empty
from kanal.http.api import cases
from kanal.http.api.cases import CaseAnswer
from kanal.http.context import Call, Caller
from kanal.http.contract import Empty, One, Takes, Whole, contract
from kanal.http.fields import Fields, Flag, Id, Line
from kanal.http.ids import case_id_in, id_in
from kanal.projections import macros as read
from kanal.projections.macros import MacroRow
from kanal.projections.read_model import Views
from kanal.projections.variables import values_for

UNCATEGORISED = "Uncategorised"
LAST = 99999
"""Title and place of the only category, number 0; the number is Omnidesk's."""


class MacroActionFields(ActionFields):
    action_type: MacroActionType


Actions = Annotated[tuple[MacroActionFields, ...], AfterValidator(few)]


class MacroChanges(Fields):
    title: Line | None = None
    group_name: Line | None = None
    position: Id | None = None
    actions: Actions | None = None


class NewMacro(MacroChanges):
    title: Line
    group_name: Line = ""
    position: Id = 0
    actions: Actions
    shared: Flag = False
    """Everybody's instead of the caller's own."""


class MacroActionAnswer(Struct):
    macro_action_id: int
    action_type: MacroActionType
    action_display_name: str
    action_destination: str | list[int] | dict[str, str]
    content: str
    subject: str
    position: int


class ListedMacroAnswer(Struct):
    title: str
    position: int
    group_name: str
    actions: list[MacroActionAnswer]


class MacroAnswer(Struct):
    macro_id: int
    title: str
    position: int
    group_name: str
    shared: bool
    actions: list[MacroActionAnswer]


class MacroCategoryAnswer(Struct):
    title: str
    sort: int
    macros_category_id: int
    data: dict[str, ListedMacroAnswer]
    """By macro_id."""


class MacrosAnswer(Struct):
    """Objects by their place; `[]` where there are none."""

    common: dict[str, MacroCategoryAnswer] | list[MacroCategoryAnswer]
    personal: dict[str, MacroCategoryAnswer] | list[MacroCategoryAnswer]


@contract("List the macros", Whole(MacrosAnswer))
async def list_macros(call: Call) -> web.Response:
    rows = await call.read(read.visible, call.caller.staff_id)
    common = _categories(row for row in rows if not row.staff_id)
    personal = _categories(row for row in rows if row.staff_id)
    return answer(MacrosAnswer(common, personal))


@contract(
    "Define a macro", One("macro", MacroAnswer, 201), body=Takes("macro", NewMacro, bare=True)
)
async def create(call: Call) -> web.Response:
    given = await call.given(NewMacro)
    command = partial(
        macros.create_macro,
        by=call.caller.staff_id,
        title=given.title,
        group_name=given.group_name,
        position=given.position,
        actions=[each.action() for each in given.actions],
        shared=given.shared,
    )
    done = await call.submit(command)
    return await _answer(call, done.result, 201)


@contract("Change a macro", One("macro", MacroAnswer), body=Takes("macro", MacroChanges, bare=True))
async def change(call: Call) -> web.Response:
    given = await call.given(MacroChanges)
    changes = given.given()
    if given.actions is not None:
        changes["actions"] = [each.action() for each in given.actions]
    command = partial(
        macros.change_macro, by=call.caller.staff_id, macro_id=_macro_id(call), **changes
    )
    done = await call.submit(command)
    return await _answer(call, done.result)


@contract("Delete a macro", Empty())
async def delete(call: Call) -> web.Response:
    command = partial(macros.delete_macro, by=call.caller.staff_id, macro_id=_macro_id(call))
    await call.submit(command)
    return empty()


@contract("Apply a macro to a case", One("case", CaseAnswer))
async def apply(call: Call) -> web.Response:
    """Variables stand for what was so when the call came."""
    case_id = case_id_in(call.path("case"))
    command = await applying(call, _macro_id(call), case_id, call.caller.staff_id)
    return await cases.submit_and_show(call, command)


async def applying(
    call: Caller, macro_id: int, case_id: int, staff_id: int
) -> Callable[[Work], int]:
    """The command that applies the macro in that staff member's name. Raises CaseNotFound."""
    return partial(
        macros.apply_macro,
        by=staff_id,
        macro_id=macro_id,
        case_id=case_id,
        values=await call.read(_values, case_id, staff_id),
    )


def _categories(rows: Iterable[MacroRow]) -> Any:
    data = {
        str(row.macro_id): ListedMacroAnswer(row.title, row.position, row.group_name, _actions(row))
        for row in rows
    }
    return {"0": MacroCategoryAnswer(UNCATEGORISED, LAST, 0, data)} if data else []


def _actions(row: MacroRow) -> list[MacroActionAnswer]:
    return [
        MacroActionAnswer(
            macro_action_id=action.macro_action_id,
            action_type=cast(MacroActionType, action.type),
            action_display_name=DISPLAY_NAMES[action.type],
            action_destination=shown_destination(action),
            content=action.content,
            subject=action.subject,
            position=position,
        )
        for position, action in enumerate(row.parsed(), start=1)
    ]


def _macro_id(call: Call) -> int:
    return id_in(call.path("macro"), MacroNotFound)


def _values(connection: Connection, views: Views, case_id: int, staff_id: int) -> Values:
    values = values_for(connection, views, case_id, staff_id)
    if values is None:
        raise CaseNotFound(case_id)
    return values


async def _answer(call: Call, macro_id: int, status: int = 200) -> web.Response:
    rows = await call.read(read.visible, call.caller.staff_id)
    row = next((row for row in rows if row.macro_id == macro_id), None)
    if row is None:
        raise MacroNotFound(macro_id)
    shown = MacroAnswer(
        macro_id=macro_id,
        title=row.title,
        position=row.position,
        group_name=row.group_name,
        shared=not row.staff_id,
        actions=_actions(row),
    )
    return answer({"macro": shown}, status)
