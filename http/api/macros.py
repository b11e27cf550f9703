"""/api/macros: several changes of a case under one title. Omnidesk lists them; defining and applying them is Kanal's own."""

from collections.abc import Iterable
from functools import partial
from typing import Annotated, Any, Self, get_args

from aiohttp import web
from msgspec import Struct
from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator
from sqlalchemy import Connection

from kanal.domain import macros
from kanal.domain.case_events import Priority, Status
from kanal.domain.errors import CaseNotFound, MacroNotFound
from kanal.domain.macros import ME, Action, ActionType
from kanal.domain.variables import Values
from kanal.http.answers import answer, empty
from kanal.http.api import cases
from kanal.http.api.cases import CaseAnswer
from kanal.http.api.labels import MAX_LABELS
from kanal.http.context import Call
from kanal.http.contract import Empty, One, Takes, Whole, contract
from kanal.http.fields import MAX_CONTENT, MAX_ID, NOT_GIVEN, Content, Fields, Flag, Id, Line, wrong
from kanal.http.ids import case_id_in, id_in
from kanal.projections import macros as read
from kanal.projections.macros import MacroRow
from kanal.projections.read_model import Views
from kanal.projections.variables import values_for

MAX_ACTIONS = 50
"""In one macro: all of them are one command."""

UNCATEGORISED = "Uncategorised"
LAST = 99999
"""Title and place of the only category, number 0; the number is Omnidesk's."""

STATUSES: dict[str, Status] = {"1": "open", "2": "waiting", "3": "closed"}
"""Omnidesk's numbers: 3 is known, the others follow the order of its lists."""
NUMBERS = {status: number for number, status in STATUSES.items()}

DISPLAY_NAMES: dict[ActionType, str] = {
    "add_note": "Add a note",
    "email_to_user": "Send a reply to the user",
    "status": "Change the status",
    "priority": "Change the priority",
    "staff_id": "Assign to a staff member",
    "group_id": "Assign to a group",
    "add_labels": "Add labels",
    "delete_labels": "Take off labels",
}


class MacroActionFields(BaseModel):
    """`action_destination` by type: status `1` open, `2` waiting, `3` closed or its name; a priority; an id, 0 for nobody
    and none, `me` for whoever applies it; ids of labels; for `email_to_user` a text or an object of them by language_id.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)
    action_type: ActionType
    action_destination: Any = ""
    content: Content = ""
    subject: Line = ""

    @model_validator(mode="before")
    @classmethod
    def only_given(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {name: value for name, value in data.items() if value not in NOT_GIVEN}

    @model_validator(mode="after")
    def suits_its_type(self) -> Self:
        self.action()
        return self

    def action(self) -> Action:
        """Raises PydanticCustomError."""
        content = self.content
        if self.action_type == "add_note" and not content:
            raise wrong("content is required")
        destination = _destination(self.action_type, self.action_destination)
        return Action(self.action_type, destination, content, self.subject)


def _few(actions: tuple[MacroActionFields, ...]) -> tuple[MacroActionFields, ...]:
    if not 1 <= len(actions) <= MAX_ACTIONS:
        raise wrong(f"must have 1 to {MAX_ACTIONS} actions")
    return actions


Actions = Annotated[tuple[MacroActionFields, ...], AfterValidator(_few)]


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
    action_type: ActionType
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
    command = partial(
        macros.apply_macro,
        by=call.caller.staff_id,
        macro_id=_macro_id(call),
        case_id=case_id,
        values=await call.read(_values, case_id, call.caller.staff_id),
    )
    return await cases.submit_and_show(call, command)


def _destination(kind: ActionType, given: Any) -> Any:
    """As the domain knows it. Raises PydanticCustomError."""
    match kind:
        case "status":
            status = STATUSES.get(str(given), given)
            if status not in STATUSES.values():
                raise wrong("action_destination must be 1 (open), 2 (waiting) or 3 (closed)")
            return status
        case "priority":
            if given not in get_args(Priority):
                raise wrong("action_destination must be low, normal, high or critical")
            return given
        case "staff_id" if given == ME:
            return given
        case "staff_id" | "group_id":
            return _id(given)
        case "add_labels" | "delete_labels":
            return _label_ids(given)
        case "email_to_user":
            return _texts(given)
        case "add_note":
            return ""


def _id(given: Any) -> int:
    number = given if type(given) is int else -1
    if isinstance(given, str) and given.isascii() and given.isdecimal() and len(given) < 20:
        number = int(given)
    if not 0 <= number <= MAX_ID:
        raise wrong("action_destination must be an id, 0 for nobody")
    return number


def _label_ids(given: Any) -> list[int]:
    several = given.split(",") if isinstance(given, str) else given
    label_ids = [_id(each) for each in (several if isinstance(several, list) else [several])]
    if not 1 <= len(label_ids) <= MAX_LABELS:
        raise wrong(f"action_destination must be 1 to {MAX_LABELS} ids of labels")
    return label_ids


def _texts(given: Any) -> str | dict[str, str]:
    texts = given if isinstance(given, dict) else {"0": given}
    for language, text in texts.items():
        if not isinstance(text, str) or not text or not language.isdecimal():
            raise wrong("action_destination must be the text, or an object of texts by language_id")
        try:
            octets = len(text.encode())
        except UnicodeEncodeError:
            raise wrong("action_destination must not hold half a surrogate pair") from None
        if octets > MAX_CONTENT:
            raise wrong(f"action_destination may have up to {MAX_CONTENT} octets of UTF-8")
    if not texts:
        raise wrong("action_destination must be the text of the reply")
    return given  # type: ignore[no-any-return]


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
            action_type=action.type,
            action_display_name=DISPLAY_NAMES[action.type],
            action_destination=_shown_destination(action),
            content=action.content,
            subject=action.subject,
            position=position,
        )
        for position, action in enumerate(row.parsed(), start=1)
    ]


def _shown_destination(action: Action) -> Any:
    match action.type:
        case "status":
            return NUMBERS[action.destination]
        case "staff_id" | "group_id":
            return str(action.destination)
    return action.destination


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
