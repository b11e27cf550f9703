"""Actions: the one language in which macros and rules say what is done with a case."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from kanal.domain.access import scope_in
from kanal.domain.cases import CASES, Case, change_case, set_labels
from kanal.domain.conversation import (
    add_note,
    add_rule_message,
    add_rule_note,
    add_staff_reply,
)
from kanal.domain.custom_fields import GivenValues, read_values
from kanal.domain.errors import DomainError, WrongFieldValues
from kanal.domain.event import Event
from kanal.domain.groups import existing_group
from kanal.domain.labels import existing_labels
from kanal.domain.staff import STAFF, existing_staff
from kanal.domain.stream import Aggregate
from kanal.domain.variables import Values, filled
from kanal.domain.work import Work

MacroActionType = Literal[
    "add_note",
    "email_to_user",
    "status",
    "priority",
    "staff_id",
    "group_id",
    "add_labels",
    "delete_labels",
]
ActionType = Literal[MacroActionType, "subject", "custom_fields", "round_robin", "webhook", "stop"]
"""Omnidesk's words where they are known; `email_to_user` is a message to the user, whatever the channel.

`round_robin` assigns to the next of several staff members; `webhook` calls an address (rule_webhooks.py), which is for
administrators to choose, so macros have none; `stop` keeps further rules from the cause.
"""

SAYING: frozenset[ActionType] = frozenset({"add_note", "email_to_user"})
"""They write something that others read."""

ME = "me"
"""As the destination of a macro's `staff_id`: whoever applies it."""

MAX_SUBJECT = 255
"""Characters. A subject with variables is cut to this."""

Texts = dict[str, str]
"""Id of a language -> text."""


class Action(Struct, frozen=True):
    """`destination`: what the type needs: a status or priority; an id, 0 for nobody and none; ids of labels or staff; a
    subject; values of custom fields; the text of a reply or its texts by language; a `RuleWebhook`.
    """

    type: ActionType
    destination: Any = ""
    content: str = ""
    """Of a note."""
    subject: str = ""
    """Kept for who shows it: replies have no subject here."""


class RotationTurned(Event, frozen=True):
    """A rule that assigns to several staff members in turn came to this one."""

    NAME = "rotation.turned.1"
    rule_id: int
    staff_id: int


def evolve(last: int, event: Event) -> int:
    return event.staff_id if isinstance(event, RotationTurned) else last


ROTATIONS: Aggregate[int] = Aggregate("rotation", 0, evolve)
"""Rule id -> the staff member whose turn was last."""


class Actor(Struct, frozen=True):
    """A staff member who applies a macro, or a rule."""

    staff_id: int = 0
    rule_id: int = 0


def perform(work: Work, action: Action, case_id: int, actor: Actor, values: Values) -> None:
    """One change of the case; `values`: what the variables in texts stand for.

    Raises whatever that change raises, and then has changed nothing.
    """
    case = work.load(CASES, case_id)
    change = partial(change_case, work, case_id=case_id)
    destination = action.destination
    match action.type:
        case "add_note":
            _note(work, case_id, actor, said(action, case.language_id, values))
        case "email_to_user":
            _send(work, case_id, actor, said(action, case.language_id, values))
        case "status":
            change(status=destination)
        case "priority":
            change(priority=destination)
        case "staff_id":
            change(staff_id=actor.staff_id if destination == ME else destination)
        case "group_id":
            change(group_id=destination)
        case "add_labels":
            set_labels(work, case, add=destination, by_rule=bool(actor.rule_id))
        case "delete_labels":
            set_labels(work, case, remove=destination, by_rule=bool(actor.rule_id))
        case "subject":
            change(subject=filled(destination, values)[:MAX_SUBJECT])
        case "custom_fields":
            change(given_values=GivenValues(str, _filled_values(destination, values)))
        case "round_robin":
            _assign_in_turn(work, case, actor.rule_id, destination)


def said(action: Action, language_id: int, values: Values) -> str:
    """What a note or a message to the user says."""
    if action.type == "add_note":
        return filled(action.content, values)
    return filled(_in_language(action.destination, language_id), values)


Day = Callable[[object], str]
"""As in `GivenValues`."""


def checked_actions(
    work: Work, actions: Iterable[Action], day: Day
) -> tuple[list[Action], dict[int, DomainError]]:
    """The actions as they are kept, and what is wrong by the place of the action: whom and what they name must be there."""
    kept: list[Action] = []
    wrong: dict[int, DomainError] = {}
    for place, action in enumerate(actions):
        try:
            kept.append(_checked(work, action, day))
        except DomainError as error:
            wrong[place] = error
    return kept, wrong


def _checked(work: Work, action: Action, day: Day) -> Action:
    """Raises StaffNotFound, GroupNotFound, UnknownLabels, WrongFieldValues."""
    destination = action.destination
    match action.type:
        case "staff_id" if destination and destination != ME:
            existing_staff(work, destination)
        case "group_id" if destination:
            existing_group(work, destination)
        case "add_labels" | "delete_labels":
            existing_labels(work, destination)
        case "custom_fields":
            return replace(action, destination=_read_fields(work, destination, day))
        case "round_robin":
            for staff_id in destination:
                existing_staff(work, staff_id)
    return action


def _read_fields(work: Work, given: dict[str, Any], day: Day) -> dict[str, Any]:
    """Raises WrongFieldValues."""
    changes = read_values(work, GivenValues(day, given), "case", "user")
    read = {**changes["case"], **changes["user"]}
    if unknown := given.keys() - read.keys():
        raise WrongFieldValues(dict.fromkeys(sorted(unknown), "is no active custom field"))
    return read


def _note(work: Work, case_id: int, actor: Actor, content: str) -> None:
    if actor.rule_id:
        add_rule_note(work, case_id=case_id, rule_id=actor.rule_id, content=content)
    else:
        add_note(work, case_id=case_id, staff_id=actor.staff_id, content=content)


def _send(work: Work, case_id: int, actor: Actor, content: str) -> None:
    if actor.rule_id:
        add_rule_message(work, case_id=case_id, rule_id=actor.rule_id, content=content)
    else:
        add_staff_reply(work, case_id=case_id, staff_id=actor.staff_id, content=content)


def _assign_in_turn(work: Work, case: Case, rule_id: int, staff_ids: Sequence[int]) -> None:
    """To the next active one behind whose turn was last who may answer it then; nobody if there is none."""
    last = work.load(ROTATIONS, rule_id)
    first = staff_ids.index(last) + 1 if last in staff_ids else 0
    in_turn = [*staff_ids[first:], *staff_ids[:first]]
    chosen = next((each for each in in_turn if _takes(work, each, case)), 0)
    if chosen:
        change_case(work, case_id=case.case_id, staff_id=chosen)
        work.record(ROTATIONS, rule_id, RotationTurned(rule_id=rule_id, staff_id=chosen))


def _takes(work: Work, staff_id: int, case: Case) -> bool:
    staff = work.load(STAFF, staff_id)
    return staff.active and scope_in(work, staff).answers(replace(case, staff_id=staff_id))


def _filled_values(given: dict[str, Any], values: Values) -> dict[str, Any]:
    return {
        key: filled(value, values) if isinstance(value, str) else value
        for key, value in given.items()
    }


def _in_language(texts: str | Texts, language_id: int) -> str:
    """In the case's language, else in the one that was given first."""
    if isinstance(texts, str):
        return texts
    return texts.get(str(language_id)) or next(iter(texts.values()))
