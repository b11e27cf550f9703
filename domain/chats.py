"""Chats: a case of a sync channel waits until a staff member accepts it, is active, and is completed by one of the
two, by silence or with its case; when the user writes on it opens again.
"""

from kanal.domain.cases import (
    CASES,
    Case,
    about,
    assign,
    end_chat,
    existing_case,
    user_with_access,
    writable_case,
)
from kanal.domain.channels import CHANNELS
from kanal.domain.chat_events import (
    ChatAccepted,
    ChatOffered,
    ChatReopened,
    ChatStarted,
)
from kanal.domain.errors import ChatIsCompleted, ChatTaken, NotAChat
from kanal.domain.staff import active_staff
from kanal.domain.staff_statuses import takes_chats
from kanal.domain.work import Work

SECOND = 1_000_000


def start_chat(work: Work, case: Case) -> None:
    """With the case. One that staff open is active at once, one that is opened as closed is over at once."""
    started = ChatStarted(
        **about(case), state="active" if case.staff_id else "waiting", staff_id=case.staff_id
    )
    work.record(CASES, case.case_id, started)
    if case.status == "closed":
        end_chat(work, work.load(CASES, case.case_id), by="staff", reason="closed")


def user_wrote(work: Work, case: Case) -> None:
    """A completed chat goes on with the same staff member if they take chats now, else it waits for anybody.

    In spam it stays completed.
    """
    if case.chat == "completed" and not case.spam:
        again = bool(case.staff_id) and takes_chats(work, case.staff_id)
        reopened = ChatReopened(
            **about(case),
            state="active" if again else "waiting",
            staff_id=case.staff_id if again else 0,
        )
        work.record(CASES, case.case_id, reopened)


def staff_replied(work: Work, case: Case, staff_id: int) -> None:
    """The first reply accepts a chat that waits. One to a completed chat leaves it so."""
    if case.chat == "waiting":
        _accepted(work, case, staff_id)


def accept_chat(work: Work, *, case_id: int, staff_id: int) -> int:
    """To whomever it is offered; what is theirs already is no event. The case becomes theirs.

    Raises CaseNotFound, NotAChat, StaffNotFound, StaffNotActive, ChatTaken, ChatIsCompleted.
    """
    case = _chat(writable_case(work, case_id))
    active_staff(work, staff_id)
    if case.chat == "completed":
        raise ChatIsCompleted(case_id)
    if case.chat == "waiting":
        _accepted(work, case, staff_id)
    elif staff_id != case.staff_id:
        raise ChatTaken(case_id, case.staff_id)
    return case_id


def complete_chat(work: Work, *, case_id: int, user_id: int = 0, staff_id: int = 0) -> int:
    """By the user or by a staff member; what is completed stays so. The case's status stays as it is.

    Raises CaseNotFound, NotAChat, UserNotFound, UserHasNoAccess, StaffNotFound, StaffNotActive.
    """
    case = _chat(existing_case(work, case_id))
    if user_id:
        user_with_access(work, case, user_id)
        end_chat(work, case, by="user", reason="completed")
    else:
        active_staff(work, staff_id)
        end_chat(work, case, by="staff", reason="completed", staff_id=staff_id)
    return case_id


def complete_idle_chat(work: Work, *, case_id: int, activity: int) -> None:
    """Its time ran out, unless something was done in it since `activity`, or its channel has no such time any more."""
    case = work.load(CASES, case_id)
    if case.deleted or case.chat != "active" or case.chat_activity != activity:
        return
    if work.load(CHANNELS, case.channel_id).chat_idle_minutes:
        end_chat(work, case, by="system", reason="idle")


def offer_chat(work: Work, *, case_id: int, staff_id: int, offers: int) -> None:
    """The next offer, if the chat still waits after so many, and that staff member still takes chats."""
    case = work.load(CASES, case_id)
    if case.deleted or case.chat != "waiting" or len(case.offered) != offers:
        return
    if takes_chats(work, staff_id):
        seconds = work.load(CHANNELS, case.channel_id).chat_offer_seconds
        offered = ChatOffered(
            **about(case),
            staff_id=staff_id,
            until=work.now + seconds * SECOND,
            passed=case.offered,
        )
        work.record(CASES, case_id, offered)


def _accepted(work: Work, case: Case, staff_id: int) -> None:
    if staff_id != case.staff_id:
        assign(work, case, staff_id)
    work.record(CASES, case.case_id, ChatAccepted(**about(case), staff_id=staff_id))


def _chat(case: Case) -> Case:
    if not case.chat:
        raise NotAChat(case.case_id)
    return case
