"""What can happen to a chat: the life of its own that a case of a sync channel has, in the case's stream."""

from typing import Literal

from kanal.domain.case_events import CaseEvent

LiveState = Literal["waiting", "active"]


class ChatStarted(CaseEvent, frozen=True):
    NAME = "case.chat_started.1"
    state: LiveState
    """`active` if a staff member began it."""
    staff_id: int


class ChatOffered(CaseEvent, frozen=True):
    """To one staff member, who may accept it; so may anybody else."""

    NAME = "case.chat_offered.1"
    staff_id: int
    until: int
    """Microseconds; from then on it may be offered to the next one."""
    passed: tuple[int, ...]
    """Whom it was offered to before, since it began to wait."""


class ChatAccepted(CaseEvent, frozen=True):
    NAME = "case.chat_accepted.1"
    staff_id: int


class ChatTransferred(CaseEvent, frozen=True):
    """The case of an active chat was given to another staff member."""

    NAME = "case.chat_transferred.1"
    old: int
    new: int


class ChatReturned(CaseEvent, frozen=True):
    """The case of an active chat was taken from its staff member: the chat waits for one again."""

    NAME = "case.chat_returned.1"
    staff_id: int


class ChatCompleted(CaseEvent, frozen=True):
    NAME = "case.chat_completed.1"
    by: Literal["staff", "user", "system"]
    staff_id: int
    """Who completed it; 0 for the user, the system, and where only the envelope says who changed the case."""
    reason: Literal["completed", "idle", "closed", "trashed", "spam"]


class ChatReopened(CaseEvent, frozen=True):
    """The user wrote on."""

    NAME = "case.chat_reopened.1"
    state: LiveState
    """`active` if the case's staff member takes chats at this moment."""
    staff_id: int
    """0 while it waits."""


ACTIVATION = (ChatStarted, ChatReopened)
STAFFING = (ChatAccepted, ChatTransferred, ChatReturned)
COMPLETION = (ChatCompleted,)
"""The three kinds of chat events that a case's changelog knows; offers are in none of them."""
