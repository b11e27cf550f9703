"""Macros: several changes of a case under one title, made in one go; of one staff member or for everybody."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from kanal.domain.case_events import Priority, Status
from kanal.domain.cases import Case, change_case, receiving_case
from kanal.domain.conversation import add_note, add_staff_reply
from kanal.domain.errors import MacroNotFound
from kanal.domain.event import Event
from kanal.domain.groups import existing_group
from kanal.domain.labels import existing_labels
from kanal.domain.staff import Right, check_right, existing_staff
from kanal.domain.stream import Aggregate
from kanal.domain.variables import Values, filled
from kanal.domain.work import Work

ActionType = Literal[
    "add_note",
    "email_to_user",
    "status",
    "priority",
    "staff_id",
    "group_id",
    "add_labels",
    "delete_labels",
]
"""Omnidesk's words where they are known; `email_to_user` is a reply, whatever the channel."""

ME = "me"
"""As the destination of `staff_id`: whoever applies the macro."""

Texts = dict[str, str]
"""Id of a language -> text."""


class Action(Struct, frozen=True):
    """`destination`: what the type needs: a status or priority; an id, 0 for nobody and none; ids of labels; the text of a
    reply or its texts by language.
    """

    type: ActionType
    destination: Any = ""
    content: str = ""
    """Of a note."""
    subject: str = ""
    """Kept for who shows it: replies have no subject here."""
    macro_action_id: int = 0


class MacroCreated(Event, frozen=True):
    NAME = "macro.created.1"
    macro_id: int
    staff_id: int
    """Whose it is, 0 for everybody's."""
    title: str
    group_name: str
    position: int
    actions: tuple[Action, ...]


class MacroChanged(Event, frozen=True):
    """Holds the whole new macro."""

    NAME = "macro.changed.1"
    macro_id: int
    title: str
    group_name: str
    position: int
    actions: tuple[Action, ...]


class MacroDeleted(Event, frozen=True):
    NAME = "macro.deleted.1"
    macro_id: int


class Macro(Struct, frozen=True):
    macro_id: int = 0
    staff_id: int = 0
    title: str = ""
    group_name: str = ""
    position: int = 0
    actions: tuple[Action, ...] = ()
    deleted: bool = False


def evolve(macro: Macro, event: Event) -> Macro:
    match event:
        case MacroCreated():
            return Macro(
                macro_id=event.macro_id,
                staff_id=event.staff_id,
                title=event.title,
                group_name=event.group_name,
                position=event.position,
                actions=event.actions,
            )
        case MacroChanged():
            return replace(
                macro,
                title=event.title,
                group_name=event.group_name,
                position=event.position,
                actions=event.actions,
            )
        case MacroDeleted():
            return replace(macro, deleted=True)
    return macro


MACROS = Aggregate("macro", Macro(), evolve)


def create_macro(
    work: Work,
    *,
    by: int,
    title: str,
    actions: Sequence[Action],
    group_name: str = "",
    position: int = 0,
    shared: bool = False,
) -> int:
    """The new macro's id. `by`: the staff member whose it is, unless it is shared.

    Raises NoRight, StaffNotFound, GroupNotFound, UnknownLabels.
    """
    if shared:
        check_right(work, by, Right.SHARE)
    macro_id = work.take("macro")
    created = MacroCreated(
        macro_id=macro_id,
        staff_id=0 if shared else by,
        title=title,
        group_name=group_name,
        position=position,
        actions=_numbered(work, actions),
    )
    work.record(MACROS, macro_id, created)
    return macro_id


def change_macro(
    work: Work,
    *,
    by: int,
    macro_id: int,
    actions: Sequence[Action] | None = None,
    **changes: Any,
) -> int:
    """`changes`: any of title, group_name, position; `actions`: all of them anew. What stays the same is no event.

    Raises MacroNotFound, NoRight, StaffNotFound, GroupNotFound, UnknownLabels.
    """
    macro = _own_macro(work, by, macro_id)
    changed = replace(macro, **changes)
    if actions is not None and list(actions) != [_unnumbered(action) for action in macro.actions]:
        changed = replace(changed, actions=_numbered(work, actions))
    if changed != macro:
        event = MacroChanged(
            macro_id=macro_id,
            title=changed.title,
            group_name=changed.group_name,
            position=changed.position,
            actions=changed.actions,
        )
        work.record(MACROS, macro_id, event)
    return macro_id


def delete_macro(work: Work, *, by: int, macro_id: int) -> int:
    """Raises MacroNotFound, NoRight."""
    _own_macro(work, by, macro_id)
    work.record(MACROS, macro_id, MacroDeleted(macro_id))
    return macro_id


def apply_macro(work: Work, *, by: int, macro_id: int, case_id: int, values: Values) -> int:
    """All actions in their order, or none: the id of the case that took them, of a merged one that into which it is merged.

    `by` replies and writes notes; `values`: what the variables in texts stand for.

    Raises MacroNotFound, CaseNotFound, StaffNotActive and whatever changing a case raises.
    """
    macro = _visible_macro(work, by, macro_id)
    case = receiving_case(work, case_id)
    for action in macro.actions:
        _act(work, action, case, by, values)
    return case.case_id


def _act(work: Work, action: Action, case: Case, by: int, values: Values) -> None:
    change = partial(change_case, work, case_id=case.case_id)
    destination = action.destination
    match action.type:
        case "add_note":
            content = filled(action.content, values)
            add_note(work, case_id=case.case_id, staff_id=by, content=content)
        case "email_to_user":
            content = filled(_in_language(destination, case.language_id), values)
            add_staff_reply(work, case_id=case.case_id, staff_id=by, content=content)
        case "status":
            status: Status = destination
            change(status=status)
        case "priority":
            priority: Priority = destination
            change(priority=priority)
        case "staff_id":
            change(staff_id=by if destination == ME else destination)
        case "group_id":
            change(group_id=destination)
        case "add_labels":
            change(add_labels=destination)
        case "delete_labels":
            change(delete_labels=destination)


def _in_language(texts: str | Texts, language_id: int) -> str:
    """In the case's language, else in the one that was given first."""
    if isinstance(texts, str):
        return texts
    return texts.get(str(language_id)) or next(iter(texts.values()))


def _numbered(work: Work, actions: Sequence[Action]) -> tuple[Action, ...]:
    """With new ids, checked: whom they name exists."""
    for action in actions:
        match action.type:
            case "staff_id" if action.destination and action.destination != ME:
                existing_staff(work, action.destination)
            case "group_id" if action.destination:
                existing_group(work, action.destination)
            case "add_labels" | "delete_labels":
                existing_labels(work, action.destination)
    return tuple(replace(action, macro_action_id=work.take("macro_action")) for action in actions)


def _unnumbered(action: Action) -> Action:
    return replace(action, macro_action_id=0)


def _visible_macro(work: Work, by: int, macro_id: int) -> Macro:
    """One's own or everybody's. Raises MacroNotFound."""
    macro = work.load(MACROS, macro_id)
    if not macro.macro_id or macro.deleted or macro.staff_id not in (0, by):
        raise MacroNotFound(macro_id)
    return macro


def _own_macro(work: Work, by: int, macro_id: int) -> Macro:
    """One that this staff member may change. Raises MacroNotFound, NoRight."""
    macro = _visible_macro(work, by, macro_id)
    if not macro.staff_id:
        check_right(work, by, Right.SHARE)
    return macro
