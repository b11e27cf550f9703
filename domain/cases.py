"""Cases: the state of one conversation, and what may be changed of it.

A case's state holds what its rules need, no texts and no list of messages, so its cost does not grow with it.
"""

import re
from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from kanal.domain.case_events import (
    CaseAssigned,
    CaseDeleted,
    CaseGroupChanged,
    CaseLabelsChanged,
    CaseMarkedAsSpam,
    CaseOpened,
    CasePriorityChanged,
    CaseRestored,
    CaseStatusChanged,
    CaseSubjectChanged,
    CaseTrashed,
    MessageAdded,
    Priority,
    Status,
)
from kanal.domain.errors import CaseNotFound
from kanal.domain.event import Event
from kanal.domain.groups import existing_group
from kanal.domain.labels import existing_labels
from kanal.domain.staff import active_staff
from kanal.domain.stream import Aggregate
from kanal.domain.work import Work


class Case(Struct, frozen=True):
    case_id: int = 0
    user_id: int = 0
    channel_id: int = 0
    staff_id: int = 0
    group_id: int = 0
    status: Status = "open"
    priority: Priority = "normal"
    subject: str = ""
    trashed: bool = False
    spam: bool = False
    deleted: bool = False
    version: int = 0
    outgoing: int = 0
    last_outgoing: int = 0
    """Version of the last message that went out, 0 for none."""
    labels: tuple[int, ...] = ()
    """May hold labels that have been deleted since; so may the next."""
    locked_labels: tuple[int, ...] = ()
    """Put on by rules."""


def evolve(case: Case, event: Event) -> Case:
    version = case.version + 1
    match event:
        case MessageAdded():
            if event.outgoing:
                return replace(
                    case, version=version, outgoing=event.outgoing, last_outgoing=version
                )
        case CaseOpened():
            return Case(
                case_id=event.case_id,
                user_id=event.user_id,
                channel_id=event.channel_id,
                staff_id=event.staff_id,
                group_id=event.group_id,
                status=event.status,
                priority=event.priority,
                subject=event.subject,
                version=version,
            )
        case CaseStatusChanged():
            return replace(case, version=version, status=event.new)
        case CasePriorityChanged():
            return replace(case, version=version, priority=event.new)
        case CaseSubjectChanged():
            return replace(case, version=version, subject=event.new)
        case CaseAssigned():
            return replace(case, version=version, staff_id=event.new)
        case CaseGroupChanged():
            return replace(case, version=version, group_id=event.new)
        case CaseLabelsChanged():
            return replace(
                case, version=version, labels=event.labels, locked_labels=event.locked_labels
            )
        case CaseTrashed():
            return replace(case, version=version, trashed=True)
        case CaseMarkedAsSpam():
            return replace(case, version=version, spam=True)
        case CaseRestored():
            return replace(case, version=version, trashed=False, spam=False)
        case CaseDeleted():
            return replace(case, version=version, deleted=True)
    return replace(case, version=version)


CASES = Aggregate("case", Case(), evolve)


# Numbers that people read out on the phone: `case_number` scrambles the id, so that a number does not
# tell how many cases there are. 10^9 numbers; the multiplier is coprime to 10^9, hence reversible.

NUMBERS = 10**9
MULTIPLIER = 387_420_489
OFFSET = 664_245_651
CASE_NUMBER = re.compile(r"(\d{3})-(\d{6})")


def case_number(case_id: int) -> str:
    """`NNN-NNNNNN`, a permutation of the first 10^9 case ids."""
    digits = f"{(case_id * MULTIPLIER + OFFSET) % NUMBERS:09d}"
    return f"{digits[:3]}-{digits[3:]}"


def case_id_of(number: str) -> int | None:
    """The case id of a `case_number`; None for what is not one."""
    match = CASE_NUMBER.fullmatch(number)
    if not match:
        return None
    return (int(match[1] + match[2]) - OFFSET) * pow(MULTIPLIER, -1, NUMBERS) % NUMBERS


def change_case(
    work: Work,
    *,
    case_id: int,
    status: Status | None = None,
    priority: Priority | None = None,
    subject: str | None = None,
    staff_id: int | None = None,
    group_id: int | None = None,
    add_labels: Iterable[int] = (),
    delete_labels: Iterable[int] = (),
) -> int:
    """None means "as it is". Setting what is set already is no event. A label that is added and deleted is deleted.

    Raises CaseNotFound, StaffNotFound, StaffNotActive, GroupNotFound, UnknownLabels.
    """
    case = existing_case(work, case_id)
    whose = about(case)
    if status is not None:
        set_status(work, case, status)
    if priority is not None and priority != case.priority:
        work.record(CASES, case_id, CasePriorityChanged(**whose, old=case.priority, new=priority))
    if subject is not None and subject != case.subject:
        work.record(CASES, case_id, CaseSubjectChanged(**whose, old=case.subject, new=subject))
    if staff_id is not None and staff_id != case.staff_id:
        if staff_id:
            active_staff(work, staff_id)
        work.record(CASES, case_id, CaseAssigned(**whose, old=case.staff_id, new=staff_id))
    if group_id is not None and group_id != case.group_id:
        if group_id:
            existing_group(work, group_id)
        work.record(CASES, case_id, CaseGroupChanged(**whose, old=case.group_id, new=group_id))
    set_labels(work, case, add=add_labels, remove=delete_labels)
    return case_id


def trash_case(work: Work, *, case_id: int) -> int:
    case = existing_case(work, case_id)
    if not case.trashed:
        work.record(CASES, case_id, CaseTrashed(**about(case)))
    return case_id


def mark_case_as_spam(work: Work, *, case_id: int) -> int:
    case = existing_case(work, case_id)
    if not case.spam:
        work.record(CASES, case_id, CaseMarkedAsSpam(**about(case)))
    return case_id


def restore_case(work: Work, *, case_id: int) -> int:
    case = existing_case(work, case_id)
    if case.trashed or case.spam:
        work.record(CASES, case_id, CaseRestored(**about(case)))
    return case_id


def delete_case(work: Work, *, case_id: int) -> int:
    case = existing_case(work, case_id)
    labels = (*case.labels, *case.locked_labels)
    work.record(CASES, case_id, CaseDeleted(**about(case), labels=labels))
    return case_id


def existing_case(work: Work, case_id: int) -> Case:
    """A case that is not deleted for good; it may lie in the trash. Raises CaseNotFound."""
    case = work.load(CASES, case_id)
    if not case.case_id or case.deleted:
        raise CaseNotFound(case_id)
    return case


def writable_case(work: Work, case_id: int) -> Case:
    """A case that is neither deleted nor in the trash. Raises CaseNotFound."""
    case = existing_case(work, case_id)
    if case.trashed:
        raise CaseNotFound(case_id)
    return case


def set_status(work: Work, case: Case, status: Status) -> None:
    if status != case.status:
        changed = CaseStatusChanged(**about(case), old=case.status, new=status)
        work.record(CASES, case.case_id, changed)


def set_labels(
    work: Work,
    case: Case,
    *,
    add: Iterable[int] = (),
    remove: Iterable[int] = (),
    by_rule: bool = False,
) -> None:
    """What a rule has put on is locked: nobody else takes it off. Raises UnknownLabels."""
    added, removed = existing_labels(work, add), set(remove)
    own, locked = set(case.labels), set(case.locked_labels)
    before = own | locked
    if by_rule:
        locked |= added - own
        locked -= removed
    else:
        own |= added - locked
    own -= removed
    after = own | locked
    if after != before:
        changed = CaseLabelsChanged(
            **about(case),
            added=tuple(sorted(after - before)),
            removed=tuple(sorted(before - after)),
            labels=tuple(sorted(own)),
            locked_labels=tuple(sorted(locked)),
        )
        work.record(CASES, case.case_id, changed)


def about(case: Case) -> dict[str, int]:
    """The fields of `CaseEvent`."""
    return {"case_id": case.case_id, "user_id": case.user_id, "channel_id": case.channel_id}
