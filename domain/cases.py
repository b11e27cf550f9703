"""Cases: one conversation each, with the user's messages, the staff's replies and notes, and rules' messages.

A case's state holds what its rules need, no texts and no list of messages, so its cost does not grow with it.
"""

import re
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from kanal.domain.channels import channel_open_to_users
from kanal.domain.errors import CaseNotFound, UserHasNoAccess
from kanal.domain.event import Event
from kanal.domain.groups import existing_group
from kanal.domain.identities import Identification, find_or_register
from kanal.domain.links import person_of
from kanal.domain.staff import active_staff
from kanal.domain.stream import Aggregate
from kanal.domain.users import ContactKind, existing_user
from kanal.domain.work import Work

Status = Literal["open", "waiting", "closed"]
Priority = Literal["low", "normal", "high", "critical"]
MessageKind = Literal["user_message", "staff_reply", "note", "rule_message"]


class CaseOpened(Event, frozen=True):
    NAME = "case.opened.1"
    PERSONAL = ("subject",)
    ABOUT = ("user_id",)
    case_id: int
    user_id: int
    channel: str
    """`cch<id>` for a custom channel, else the name of a standard one."""
    channel_id: int
    """0 for a standard channel."""
    staff_id: int
    group_id: int
    status: Status
    priority: Priority
    subject: str
    recipient: str
    language_id: int
    opened_by: Literal["user", "staff"]


class MessageAdded(Event, frozen=True):
    NAME = "case.message_added.1"
    PERSONAL = ("content", "content_html", "custom_user_id")
    ABOUT = ("user_id", "case_user_id")
    message_id: int
    case_id: int
    kind: MessageKind
    user_id: int
    """Author of a user's message, else 0."""
    staff_id: int
    """Author of a reply or note, else 0."""
    rule_id: int
    content: str
    content_html: str
    channel_id: int
    """0 for a standard channel."""
    case_user_id: int
    custom_user_id: str
    """The case's user as the channel knows it; "" unless the message goes out."""
    outgoing: int
    """Its number among the messages of this case that go out to the channel, from 1; 0 if it does not go out."""
    previous: int
    """Version of the message of this case that went out before it, 0 for none."""


class CaseEvent(Event, frozen=True):
    """What each later event of a case says of it, so that no reader needs an earlier one to know whose it is."""

    ABOUT = ("user_id",)
    case_id: int
    user_id: int
    """The case's user."""
    channel_id: int
    """0 for a standard channel."""


class CaseStatusChanged(CaseEvent, frozen=True):
    NAME = "case.status_changed.1"
    old: Status
    new: Status


class CasePriorityChanged(CaseEvent, frozen=True):
    NAME = "case.priority_changed.1"
    old: Priority
    new: Priority


class CaseSubjectChanged(CaseEvent, frozen=True):
    NAME = "case.subject_changed.1"
    PERSONAL = ("old", "new")
    old: str
    new: str


class CaseAssigned(CaseEvent, frozen=True):
    NAME = "case.assigned.1"
    old: int
    new: int
    """0 for nobody."""


class CaseGroupChanged(CaseEvent, frozen=True):
    NAME = "case.group_changed.1"
    old: int
    new: int


class CaseTrashed(CaseEvent, frozen=True):
    NAME = "case.trashed.1"


class CaseMarkedAsSpam(CaseEvent, frozen=True):
    NAME = "case.marked_as_spam.1"


class CaseRestored(CaseEvent, frozen=True):
    """From the trash and from spam."""

    NAME = "case.restored.1"


class CaseDeleted(CaseEvent, frozen=True):
    """For good: no answer shows it any more."""

    NAME = "case.deleted.1"


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


class OpenedCase(Struct, frozen=True):
    case_id: int
    message_id: int
    user_id: int
    conflicts: tuple[ContactKind, ...]
    """Contacts that could not be linked, because another id of the same channel has them."""


def open_case(
    work: Work,
    *,
    who: Identification,
    channel: str = "",
    subject: str = "",
    content: str = "",
    content_html: str = "",
    staff_id: int = 0,
    group_id: int = 0,
    status: Status | None = None,
    priority: Priority = "normal",
    language_id: int = 0,
) -> OpenedCase:
    """A new case with its first message: the user's, or the staff member's if `staff_id` is given.

    `channel`: name of a standard channel, or "" to let the identity decide; ignored with a custom one.

    Raises NoIdentity, ChannelNotFound, ChannelDisabled, ChannelDeleted, ChannelWithoutId, IdWithoutChannel,
    StaffNotFound, StaffNotActive, GroupNotFound.
    """
    recipient = ""
    if who.channel_id:
        recipient = channel_open_to_users(work, who.channel_id).title
        channel = f"cch{who.channel_id}"
    if staff_id:
        active_staff(work, staff_id)
    if group_id:
        existing_group(work, group_id)
    identified = find_or_register(work, who)
    case_id = work.take("case")
    opened = CaseOpened(
        case_id=case_id,
        user_id=identified.user_id,
        channel=channel or ("email" if who.email else "call"),
        channel_id=who.channel_id,
        staff_id=staff_id,
        group_id=group_id,
        status=status or ("waiting" if staff_id else "open"),
        priority=priority,
        subject=subject,
        recipient=recipient,
        language_id=language_id,
        opened_by="staff" if staff_id else "user",
    )
    work.record(CASES, case_id, opened)
    added = _add_message(
        work,
        work.load(CASES, case_id),
        "staff_reply" if staff_id else "user_message",
        user_id=0 if staff_id else identified.user_id,
        staff_id=staff_id,
        content=content,
        content_html=content_html,
    )
    return OpenedCase(case_id, added.message_id, identified.user_id, identified.conflicts)


class AddedMessage(Struct, frozen=True):
    message_id: int
    case_id: int


def add_user_message(
    work: Work, *, case_id: int, user_id: int, content: str, content_html: str = ""
) -> AddedMessage:
    """The user writes on; a case that waited or was closed is open again.

    Raises CaseNotFound, UserNotFound, UserHasNoAccess, ChannelDisabled, ChannelDeleted.
    """
    case = writable_case(work, case_id)
    if user_id != case.user_id:
        existing_user(work, user_id)
        if case.user_id not in person_of(work, user_id):
            raise UserHasNoAccess(user_id, case_id)
    if case.channel_id:
        channel_open_to_users(work, case.channel_id)
    added = _add_message(
        work, case, "user_message", user_id=user_id, content=content, content_html=content_html
    )
    _set_status(work, case, "open")
    return added


def add_staff_reply(
    work: Work, *, case_id: int, staff_id: int, content: str, content_html: str = ""
) -> AddedMessage:
    """A reply that goes out to the user; the case waits for the user from now on.

    Raises CaseNotFound, StaffNotFound, StaffNotActive.
    """
    case = writable_case(work, case_id)
    active_staff(work, staff_id)
    added = _add_message(
        work, case, "staff_reply", staff_id=staff_id, content=content, content_html=content_html
    )
    _set_status(work, case, "waiting")
    return added


def add_note(
    work: Work, *, case_id: int, staff_id: int, content: str, content_html: str = ""
) -> AddedMessage:
    """A note among staff. It goes out to the channel too, marked as a note (seed, point 5).

    Raises CaseNotFound, StaffNotFound, StaffNotActive.
    """
    case = writable_case(work, case_id)
    active_staff(work, staff_id)
    return _add_message(
        work, case, "note", staff_id=staff_id, content=content, content_html=content_html
    )


def add_rule_message(
    work: Work, *, case_id: int, rule_id: int, content: str, content_html: str = ""
) -> AddedMessage:
    """A message sent by a rule. No call from outside leads here. Raises CaseNotFound."""
    case = writable_case(work, case_id)
    return _add_message(
        work, case, "rule_message", rule_id=rule_id, content=content, content_html=content_html
    )


def change_case(
    work: Work,
    *,
    case_id: int,
    status: Status | None = None,
    priority: Priority | None = None,
    subject: str | None = None,
    staff_id: int | None = None,
    group_id: int | None = None,
) -> int:
    """None means "as it is". Setting what is set already is no event.

    Raises CaseNotFound, StaffNotFound, StaffNotActive, GroupNotFound.
    """
    case = existing_case(work, case_id)
    about = _about(case)
    if status is not None:
        _set_status(work, case, status)
    if priority is not None and priority != case.priority:
        work.record(CASES, case_id, CasePriorityChanged(**about, old=case.priority, new=priority))
    if subject is not None and subject != case.subject:
        work.record(CASES, case_id, CaseSubjectChanged(**about, old=case.subject, new=subject))
    if staff_id is not None and staff_id != case.staff_id:
        if staff_id:
            active_staff(work, staff_id)
        work.record(CASES, case_id, CaseAssigned(**about, old=case.staff_id, new=staff_id))
    if group_id is not None and group_id != case.group_id:
        if group_id:
            existing_group(work, group_id)
        work.record(CASES, case_id, CaseGroupChanged(**about, old=case.group_id, new=group_id))
    return case_id


def trash_case(work: Work, *, case_id: int) -> int:
    case = existing_case(work, case_id)
    if not case.trashed:
        work.record(CASES, case_id, CaseTrashed(**_about(case)))
    return case_id


def mark_case_as_spam(work: Work, *, case_id: int) -> int:
    case = existing_case(work, case_id)
    if not case.spam:
        work.record(CASES, case_id, CaseMarkedAsSpam(**_about(case)))
    return case_id


def restore_case(work: Work, *, case_id: int) -> int:
    case = existing_case(work, case_id)
    if case.trashed or case.spam:
        work.record(CASES, case_id, CaseRestored(**_about(case)))
    return case_id


def delete_case(work: Work, *, case_id: int) -> int:
    case = existing_case(work, case_id)
    work.record(CASES, case_id, CaseDeleted(**_about(case)))
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


def _add_message(
    work: Work,
    case: Case,
    kind: MessageKind,
    *,
    user_id: int = 0,
    staff_id: int = 0,
    rule_id: int = 0,
    content: str,
    content_html: str = "",
) -> AddedMessage:
    goes_out = bool(case.channel_id) and kind != "user_message"
    message = MessageAdded(
        message_id=work.take("message"),
        case_id=case.case_id,
        kind=kind,
        user_id=user_id,
        staff_id=staff_id,
        rule_id=rule_id,
        content=content,
        content_html=content_html,
        channel_id=case.channel_id,
        case_user_id=case.user_id,
        custom_user_id=existing_user(work, case.user_id).identity if goes_out else "",
        outgoing=case.outgoing + 1 if goes_out else 0,
        previous=case.last_outgoing if goes_out else 0,
    )
    work.record(CASES, case.case_id, message)
    return AddedMessage(message.message_id, case.case_id)


def _set_status(work: Work, case: Case, status: Status) -> None:
    if status != case.status:
        changed = CaseStatusChanged(**_about(case), old=case.status, new=status)
        work.record(CASES, case.case_id, changed)


def _about(case: Case) -> dict[str, int]:
    """The fields of `CaseEvent`."""
    return {"case_id": case.case_id, "user_id": case.user_id, "channel_id": case.channel_id}
