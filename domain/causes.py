"""Which events of a case make rules run."""

from typing import Any

from kanal.domain.case_events import (
    CaseAssigned,
    CaseFieldsChanged,
    CaseGroupChanged,
    CaseLabelsChanged,
    CaseLanguageChanged,
    CaseMarkedAsSpam,
    CasePriorityChanged,
    CaseRated,
    CaseRestored,
    CaseStatusChanged,
    CaseSubjectChanged,
    CaseTrashed,
    MessageAdded,
)
from kanal.domain.chat_events import (
    ChatAccepted,
    ChatCompleted,
    ChatReopened,
    ChatReturned,
    ChatStarted,
    ChatTransferred,
)
from kanal.domain.conditions import LOOKED_AT, Author, Cause, Change
from kanal.domain.plain_text import plain_text
from kanal.domain.stream import Recorded

CHANGES: dict[type[Any], Change] = {
    CaseStatusChanged: "status",
    CasePriorityChanged: "priority",
    CaseSubjectChanged: "subject",
    CaseLanguageChanged: "language",
    CaseAssigned: "staff",
    CaseGroupChanged: "group",
    CaseLabelsChanged: "labels",
    CaseFieldsChanged: "custom_fields",
    CaseRated: "rating",
    CaseTrashed: "trash",
    CaseMarkedAsSpam: "spam",
    CaseRestored: "restore",
    ChatStarted: "chat_started",
    ChatAccepted: "chat_accepted",
    ChatTransferred: "chat_transferred",
    ChatReturned: "chat_returned",
    ChatCompleted: "chat_completed",
    ChatReopened: "chat_reopened",
}
IMPORTED = "import"
"""The origin of what happened elsewhere and long ago: no rule runs for it."""
AUTHORS: dict[str, Author] = {"user": "user", "staff": "staff", "rule": "rule"}


def cause_of(recorded: Recorded) -> Cause | None:
    """None if no rule runs for this event."""
    event, envelope = recorded.event, recorded.envelope
    if envelope.origin == IMPORTED:
        return None
    if isinstance(event, MessageAdded):
        text = (event.content or plain_text(event.content_html))[:LOOKED_AT]
        place = (recorded.position, event.case_id, event.kind, recorded.version)
        return Cause(*place, _author_of(event), text)
    change = CHANGES.get(type(event))
    if change is None:
        return None
    by = (event.by if isinstance(event, CaseStatusChanged) else "") or envelope.who
    case_id: int = event.case_id  # type: ignore[attr-defined]
    author = AUTHORS.get(by.partition(":")[0], "system")
    return Cause(recorded.position, case_id, change, recorded.version, author)


def _author_of(message: MessageAdded) -> Author:
    if message.kind == "user_message":
        return "user"
    return "rule" if message.rule_id else "staff"
