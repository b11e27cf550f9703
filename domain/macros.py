"""Macros: several changes of a case under one title, made in one go; of one staff member or for everybody."""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict, replace

from kanal.domain.access import check_right
from kanal.domain.actions import Action, Actor, checked_actions, perform
from kanal.domain.cases import receiving_case
from kanal.domain.errors import MacroNotFound
from kanal.domain.event import Event
from kanal.domain.roles import Right
from kanal.domain.stream import Aggregate
from kanal.domain.variables import Values
from kanal.domain.work import Work


class MacroAction(Action, frozen=True):
    macro_action_id: int = 0


class MacroCreated(Event, frozen=True):
    NAME = "macro.created.1"
    macro_id: int
    staff_id: int
    """Whose it is, 0 for everybody's."""
    title: str
    group_name: str
    position: int
    actions: tuple[MacroAction, ...]


class MacroChanged(Event, frozen=True):
    """Holds the whole new macro."""

    NAME = "macro.changed.1"
    macro_id: int
    title: str
    group_name: str
    position: int
    actions: tuple[MacroAction, ...]


class MacroDeleted(Event, frozen=True):
    NAME = "macro.deleted.1"
    macro_id: int


class Macro(Struct, frozen=True):
    macro_id: int = 0
    staff_id: int = 0
    title: str = ""
    group_name: str = ""
    position: int = 0
    actions: tuple[MacroAction, ...] = ()
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
    kept = _checked(work, actions)
    macro_id = work.take("macro")
    created = MacroCreated(
        macro_id=macro_id,
        staff_id=0 if shared else by,
        title=title,
        group_name=group_name,
        position=position,
        actions=_numbered(work, kept),
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
    kept = None if actions is None else _checked(work, actions)
    if kept is not None and kept != [_unnumbered(action) for action in macro.actions]:
        changed = replace(changed, actions=_numbered(work, kept))
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
        perform(work, action, case.case_id, Actor(staff_id=by), values)
    return case.case_id


def _checked(work: Work, actions: Iterable[Action]) -> list[Action]:
    """Raises what is wrong with the first one that is."""
    kept, wrong = checked_actions(work, actions, str)
    for error in wrong.values():
        raise error
    return kept


def _numbered(work: Work, actions: Iterable[Action]) -> tuple[MacroAction, ...]:
    """With new ids."""
    return tuple(
        MacroAction(**asdict(action), macro_action_id=work.take("macro_action"))
        for action in actions
    )


def _unnumbered(action: MacroAction) -> Action:
    return Action(action.type, action.destination, action.content, action.subject)


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
