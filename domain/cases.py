"""Cases: the state of one conversation, and what may be changed of it.

A case's state holds what its rules need, no texts and no list of messages, so its cost does not grow with it.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from kanal.domain.case_events import (
    CaseAssigned,
    CaseDeleted,
    CaseFieldsChanged,
    CaseGroupChanged,
    CaseLabelsChanged,
    CaseLanguageChanged,
    CaseMarkedAsSpam,
    CaseMerged,
    CaseOpened,
    CasePriorityChanged,
    CaseRated,
    CaseRestored,
    CaseStatusChanged,
    CaseSubjectChanged,
    CaseTrashed,
    CaseUnmerged,
    ChatState,
    ChildCaseMerged,
    ChildCaseUnmerged,
    MessageAdded,
    MessageKind,
    Priority,
    Rating,
    Status,
)
from kanal.domain.channels import CHANNELS
from kanal.domain.chat_events import (
    ChatAccepted,
    ChatCompleted,
    ChatOffered,
    ChatReopened,
    ChatReturned,
    ChatStarted,
    ChatTransferred,
)
from kanal.domain.custom_fields import (
    Changes,
    GivenValues,
    Values,
    changed_values,
    old_values,
    read_values,
)
from kanal.domain.errors import CannotMerge, CaseNotFound, UserHasNoAccess
from kanal.domain.event import Event
from kanal.domain.groups import active_group, group_after
from kanal.domain.labels import existing_labels
from kanal.domain.links import person_of
from kanal.domain.staff import active_staff, existing_staff, staff_after
from kanal.domain.stream import Aggregate
from kanal.domain.users import USERS, existing_user, set_user_values
from kanal.domain.webhook_options import News
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
    labels: tuple[int, ...] = ()
    """May hold labels that have been deleted since; so may the next."""
    locked_labels: tuple[int, ...] = ()
    """Put on by rules."""
    language_id: int = 0
    rating: tuple[Rating | Literal[""], str, int] = ("", "", 0)
    """The rating, "" while there is none; its comment; whose work it is of."""
    parent_case_id: int = 0
    """The case into which this one is merged, 0 for none."""
    children: int = 0
    """How many cases are merged into this one."""
    chat: ChatState = ""
    chat_activity: int = 0
    """Version of what the user or staff did last in the chat, so that a deadline set before it is known to be void."""
    offered: tuple[int, ...] = ()
    """To whom the chat was offered since it began to wait."""
    values: Values = {}
    """Of custom fields, also of those that have been deleted since."""
    channel: str = ""
    """`cch<id>` or the name of a standard channel."""
    user_messages: int = 0
    staff_replies: int = 0
    first_message: int = 0
    """Version of the user's first message; so are the next ones versions, 0 while there is none."""
    user_wrote: int = 0
    replied: int = 0
    """What staff wrote last to the user."""
    unanswered: int = 0
    """The user's last message, while staff have not replied to it."""
    status_since: int = 0
    opened: int = 0
    first_response_awaited: int = 0
    """With what the wait for the first reply began, 0 if nobody waits; so with the next ones (docs/statistics.md)."""
    next_response_awaited: int = 0
    resolution_awaited: int = 0


def evolve(case: Case, event: Event) -> Case:
    version = case.version + 1
    match event:
        case MessageAdded():
            case = _spoken(case, event.kind, version)
            if event.chat and event.kind in ("user_message", "staff_reply"):
                case = replace(case, chat_activity=version)
            if event.outgoing:
                return replace(case, version=version, outgoing=event.outgoing)
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
                language_id=event.language_id,
                channel=event.channel,
                status_since=version,
                opened=version,
                **_awaited(event, version),
            )
        case CaseStatusChanged():
            changed = replace(case, version=version, status=event.new, status_since=version)
            if event.new == "closed":
                return replace(changed, **NOTHING_AWAITED)
            if event.old == "closed" and event.by.startswith("user:"):
                return replace(changed, next_response_awaited=version)
            return changed
        case CasePriorityChanged():
            return replace(case, version=version, priority=event.new)
        case CaseSubjectChanged():
            return replace(case, version=version, subject=event.new)
        case CaseLanguageChanged():
            return replace(case, version=version, language_id=event.new)
        case CaseRated():
            rating = (event.rating, event.rating_comment, event.rated_staff_id)
            return replace(case, version=version, rating=rating)
        case CaseAssigned():
            return replace(case, version=version, staff_id=event.new)
        case CaseGroupChanged():
            return replace(case, version=version, group_id=event.new)
        case CaseLabelsChanged():
            return replace(
                case, version=version, labels=event.labels, locked_labels=event.locked_labels
            )
        case CaseMerged():
            return replace(case, version=version, parent_case_id=event.parent_case_id)
        case CaseUnmerged():
            return replace(case, version=version, parent_case_id=0)
        case ChildCaseMerged():
            return replace(case, version=version, children=case.children + 1)
        case ChildCaseUnmerged():
            return replace(case, version=version, children=case.children - 1)
        case CaseFieldsChanged():
            return replace(case, version=version, values=event.values)
        case CaseTrashed():
            return replace(case, version=version, trashed=True)
        case CaseMarkedAsSpam():
            return replace(case, version=version, spam=True)
        case CaseRestored():
            return replace(case, version=version, trashed=False, spam=False)
        case CaseDeleted():
            return replace(case, version=version, deleted=True)
        case ChatStarted() | ChatReopened():
            return _chat(case, version, event.state)
        case ChatAccepted() | ChatTransferred():
            return _chat(case, version, "active")
        case ChatReturned():
            return _chat(case, version, "waiting")
        case ChatCompleted():
            return _chat(case, version, "completed")
        case ChatOffered():
            return replace(case, version=version, offered=(*event.passed, event.staff_id))
    return replace(case, version=version)


NOTHING_AWAITED: dict[str, Any] = {
    "first_response_awaited": 0,
    "next_response_awaited": 0,
    "resolution_awaited": 0,
}


def _awaited(opened: CaseOpened, version: int) -> dict[str, Any]:
    if opened.status == "closed":
        return NOTHING_AWAITED
    first = version if opened.opened_by == "user" else 0
    return {"first_response_awaited": first, "resolution_awaited": version}


def _spoken(case: Case, kind: MessageKind, version: int) -> Case:
    if kind == "user_message":
        return replace(
            case,
            user_messages=case.user_messages + 1,
            first_message=case.first_message or version,
            user_wrote=version,
            unanswered=version,
            next_response_awaited=case.next_response_awaited
            or (version if case.status != "closed" else 0),
        )
    if kind == "staff_reply":
        return replace(
            case,
            staff_replies=case.staff_replies + 1,
            replied=version,
            unanswered=0,
            first_response_awaited=0,
            next_response_awaited=0,
        )
    return case


def _chat(case: Case, version: int, state: ChatState) -> Case:
    return replace(case, version=version, chat=state, chat_activity=version, offered=())


CASES = Aggregate("case", Case(), evolve, version=5)


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
    language_id: int | None = None,
    given_values: GivenValues | None = None,
) -> int:
    """None means "as it is". Setting what is set already is no event. A label that is added and deleted is deleted.
    `given_values`: of custom fields; those of users are set for the case's user.

    Raises CaseNotFound, StaffNotFound, StaffNotActive, GroupNotFound, GroupNotActive, UnknownLabels,
    WrongFieldValues.
    """
    case = existing_case(work, case_id)
    whose = about(case)
    if status is not None:
        set_status(work, case, status)
    now = existing_case(work, case_id)  # a case that is opened again may have gone to a replacement
    if priority is not None and priority != case.priority:
        work.record(CASES, case_id, CasePriorityChanged(**whose, old=case.priority, new=priority))
    if subject is not None and subject != case.subject:
        work.record(CASES, case_id, CaseSubjectChanged(**whose, old=case.subject, new=subject))
    if staff_id is not None and staff_id not in (case.staff_id, now.staff_id):
        if staff_id:
            active_staff(work, staff_id)
        assign(work, now, staff_id)
    if group_id is not None and group_id not in (case.group_id, now.group_id):
        if group_id:
            active_group(work, group_id)
        work.record(CASES, case_id, CaseGroupChanged(**whose, old=now.group_id, new=group_id))
    set_labels(work, case, add=add_labels, remove=delete_labels)
    if language_id is not None and language_id != case.language_id:
        changed = CaseLanguageChanged(**whose, old=case.language_id, new=language_id)
        work.record(CASES, case_id, changed)
    values = read_values(work, given_values, "case", "user")
    set_values(work, case, values["case"])
    set_user_values(work, case.user_id, values["user"])
    return case_id


def rate_case(
    work: Work,
    *,
    case_id: int,
    rating: Rating,
    rating_comment: str = "",
    rated_staff_id: int | None = None,
) -> int:
    """`rated_staff_id`: whoever has the case, if it is not said. A new rating takes the place of the one before.

    Raises CaseNotFound, StaffNotFound.
    """
    case = existing_case(work, case_id)
    if rated_staff_id:
        existing_staff(work, rated_staff_id)
    whose = case.staff_id if rated_staff_id is None else rated_staff_id
    if case.rating != (rating, rating_comment, whose):
        rated = CaseRated(
            **about(case), rating=rating, rating_comment=rating_comment, rated_staff_id=whose
        )
        work.record(CASES, case_id, rated)
    return case_id


def trash_case(work: Work, *, case_id: int) -> int:
    case = existing_case(work, case_id)
    if not case.trashed:
        work.record(CASES, case_id, CaseTrashed(**about(case)))
        end_chat(work, case, by="staff", reason="trashed")
    return case_id


def mark_case_as_spam(work: Work, *, case_id: int) -> int:
    case = existing_case(work, case_id)
    if not case.spam:
        work.record(CASES, case_id, CaseMarkedAsSpam(**about(case)))
        end_chat(work, case, by="staff", reason="spam")
    return case_id


def restore_case(work: Work, *, case_id: int) -> int:
    case = existing_case(work, case_id)
    if case.trashed or case.spam:
        work.record(CASES, case_id, CaseRestored(**about(case)))
    return case_id


def delete_case(work: Work, *, case_id: int) -> int:
    """For good. Its parent has one case less merged into it; cases merged into this one can be unmerged. Raises CaseNotFound."""
    case = existing_case(work, case_id)
    if case.parent_case_id:
        _child_left(work, case)
    labels = (*case.labels, *case.locked_labels)
    deleted = CaseDeleted(**about(case), labels=labels, fields=tuple(case.values))
    work.record(CASES, case_id, deleted)
    return case_id


def for_each_case(work: Work, *, change: Callable[..., int], case_ids: Iterable[int]) -> list[int]:
    """Trash, mark as spam, restore or delete several cases at once; those that are not there are left out of the answer."""
    done = []
    for case_id in dict.fromkeys(case_ids):
        try:
            done.append(change(work, case_id=case_id))
        except CaseNotFound:
            continue
    return done


def merge_case(work: Work, *, case_id: int, parent_case_id: int) -> int:
    """From now on the parent takes what is written to this case, which is closed.

    Both are of one user on one channel, so that what goes out of the parent reaches whoever wrote to either. A parent is
    not merged itself and a merged case is nobody's parent, so there are no chains and no circles.

    Raises CaseNotFound, CannotMerge.
    """
    case = writable_case(work, case_id)
    if case.parent_case_id == parent_case_id:
        return case_id
    parent = writable_case(work, parent_case_id)
    if reason := _obstacle(case, parent):
        raise CannotMerge(reason)
    set_status(work, case, "closed")
    work.record(CASES, case_id, CaseMerged(**about(case), parent_case_id=parent_case_id))
    work.record(CASES, parent_case_id, ChildCaseMerged(**about(parent), child_case_id=case_id))
    return case_id


def _obstacle(case: Case, parent: Case) -> str:
    if case.case_id == parent.case_id:
        return "A case cannot be merged into itself."
    if case.parent_case_id:
        return f"Case {case.case_id} is merged into case {case.parent_case_id}: unmerge it first."
    if parent.parent_case_id:
        into = parent.parent_case_id
        return f"Case {parent.case_id} is itself merged into case {into}: merge into that one."
    if case.children:
        return f"Other cases are merged into case {case.case_id}: unmerge them first."
    if (case.user_id, case.channel_id) != (parent.user_id, parent.channel_id):
        return "Only cases of the same user on the same channel can be merged."
    return ""


def unmerge_case(work: Work, *, case_id: int) -> int:
    """The case stands for itself again; what was written meanwhile stays in the parent. Raises CaseNotFound."""
    case = existing_case(work, case_id)
    if not case.parent_case_id:
        return case_id
    work.record(CASES, case_id, CaseUnmerged(**about(case), parent_case_id=case.parent_case_id))
    _child_left(work, case)
    return case_id


def _child_left(work: Work, case: Case) -> None:
    """What its parent hears of it, unless that is deleted."""
    parent = work.load(CASES, case.parent_case_id)
    if not parent.deleted:
        left = ChildCaseUnmerged(**about(parent), child_case_id=case.case_id)
        work.record(CASES, parent.case_id, left)


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


def receiving_case(work: Work, case_id: int) -> Case:
    """The case that takes what is written to this one: itself, or the one into which it is merged.

    Raises CaseNotFound.
    """
    case = writable_case(work, case_id)
    return writable_case(work, case.parent_case_id) if case.parent_case_id else case


def user_with_access(work: Work, case: Case, user_id: int) -> None:
    """The case's user or a profile linked with theirs. Raises UserNotFound, UserHasNoAccess."""
    existing_user(work, user_id)
    if user_id != case.user_id and case.user_id not in person_of(work, user_id):
        raise UserHasNoAccess(user_id, case.case_id)


def set_status(work: Work, case: Case, status: Status, *, by: str = "") -> None:
    """A case that is closed no more goes to whoever has the cases of the staff member and group that it had.

    `by`: whose message changes it (CaseStatusChanged).
    """
    if status != case.status:
        whose: dict[str, Any] = {**about(case), **news(work, case, "statuses")}
        changed = CaseStatusChanged(**whose, old=case.status, new=status, by=by)
        work.record(CASES, case.case_id, changed)
        if case.status == "closed":
            hand_over_case(work, case.case_id)
    if status == "closed":
        end_chat(work, case, by="staff", reason="closed")


def news(work: Work, case: Case, kind: News) -> dict[str, Any]:
    """The fields of an event that say whether the case's channel is told of it."""
    if not case.channel_id or not getattr(work.load(CHANNELS, case.channel_id).webhook, kind):
        return {}
    return {"outgoing": True, "custom_user_id": work.load(USERS, case.user_id).identity}


def hand_over_case(work: Work, case_id: int) -> None:
    """From a staff member or group that left its cases to another one; a closed case stays as it was."""
    case = work.load(CASES, case_id)
    if case.deleted or case.status == "closed":
        return
    staff_id, group_id = staff_after(work, case.staff_id), group_after(work, case.group_id)
    if staff_id != case.staff_id:
        assign(work, case, staff_id)
    if group_id != case.group_id:
        changed = CaseGroupChanged(**about(case), old=case.group_id, new=group_id)
        work.record(CASES, case_id, changed)


def assign(work: Work, case: Case, staff_id: int) -> None:
    """An active chat goes along, or waits again when nobody has its case any more."""
    old, whose = case.staff_id, about(case)
    work.record(CASES, case.case_id, CaseAssigned(**whose, old=old, new=staff_id))
    if case.chat == "active" and staff_id:
        work.record(CASES, case.case_id, ChatTransferred(**whose, old=old, new=staff_id))
    elif case.chat == "active":
        work.record(CASES, case.case_id, ChatReturned(**whose, staff_id=old))


def end_chat(
    work: Work,
    case: Case,
    *,
    by: Literal["staff", "user", "system"],
    reason: Literal["completed", "idle", "closed", "trashed", "spam"],
    staff_id: int = 0,
) -> None:
    if case.chat in ("waiting", "active"):
        completed = ChatCompleted(**about(case), by=by, staff_id=staff_id, reason=reason)
        work.record(CASES, case.case_id, completed)


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


def set_values(work: Work, case: Case, changes: Changes) -> None:
    values = changed_values(case.values, changes)
    if old := old_values(case.values, values):
        work.record(CASES, case.case_id, CaseFieldsChanged(**about(case), old=old, values=values))


def about(case: Case) -> dict[str, int]:
    """The fields of `CaseEvent`."""
    return {"case_id": case.case_id, "user_id": case.user_id, "channel_id": case.channel_id}
