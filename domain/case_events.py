"""What can happen to a case: the events of its stream, messages among them."""

from typing import Literal

from kanal.domain.custom_fields import Value, Values
from kanal.domain.event import Event
from kanal.domain.files import FileRef

Status = Literal["open", "waiting", "closed"]
Priority = Literal["low", "normal", "high", "critical"]
ChatState = Literal["", "waiting", "active", "completed"]
"""Of a case on a sync channel, which is a chat; "" for every other case."""
MessageKind = Literal["user_message", "staff_reply", "note", "rule_message"]
Rating = Literal["low", "middle", "high"]


class CaseOpened(Event, frozen=True):
    NAME = "case.opened.1"
    PERSONAL = ("subject", "cc_emails", "bcc_emails")
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
    cc_emails: str = ""
    """Joined by commas."""
    bcc_emails: str = ""
    created_at: int = 0
    """Shown as the time of opening; 0: when it was recorded."""


class MessageAdded(Event, frozen=True):
    NAME = "case.message_added.1"
    PERSONAL = ("content", "content_html", "custom_user_id", "attachments")
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
    """Its number among the messages of this case that go out to the channel, from 1; 0 if it does not go out. The number that its
    receiver sees is the outbox's, which counts edits and statuses as well."""
    chat: ChatState = ""
    """Of its case when the message came."""
    created_at: int = 0
    """Shown as the time of writing; 0: when it was recorded."""
    sent_at: int = 0
    """Of a message that waited for its time: when it was sent. `message.scheduled.1` came before it. Else 0."""
    do_not_send_email: bool = False
    attachments: tuple[FileRef, ...] = ()


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
    PERSONAL = ("custom_user_id",)
    old: Status
    new: Status
    by: str = ""
    """Whose message changed it, as the envelope writes it (`user:5`); "" if no message did."""
    outgoing: bool = False
    """The channel is told of it."""
    custom_user_id: str = ""
    """As in `case.message_added.1`."""


class CasePriorityChanged(CaseEvent, frozen=True):
    NAME = "case.priority_changed.1"
    old: Priority
    new: Priority


class CaseSubjectChanged(CaseEvent, frozen=True):
    NAME = "case.subject_changed.1"
    PERSONAL = ("old", "new")
    old: str
    new: str


class CaseLanguageChanged(CaseEvent, frozen=True):
    NAME = "case.language_changed.1"
    old: int
    new: int
    """0 for none."""


class CaseAssigned(CaseEvent, frozen=True):
    NAME = "case.assigned.1"
    old: int
    new: int
    """0 for nobody."""


class CaseGroupChanged(CaseEvent, frozen=True):
    NAME = "case.group_changed.1"
    old: int
    new: int


class CaseLabelsChanged(CaseEvent, frozen=True):
    """Holds all labels of the case beside the change, so that a reader needs no earlier event."""

    NAME = "case.labels_changed.1"
    added: tuple[int, ...]
    removed: tuple[int, ...]
    labels: tuple[int, ...]
    """Those that staff and callers have put on."""
    locked_labels: tuple[int, ...]
    """Those that rules have put on."""


class CaseRated(CaseEvent, frozen=True):
    """The latest rating counts, with its own comment."""

    NAME = "case.rated.1"
    PERSONAL = ("rating_comment",)
    rating: Rating
    rating_comment: str
    rated_staff_id: int
    """Whose work is rated, 0 for nobody's."""


class CaseFieldsChanged(CaseEvent, frozen=True):
    """Of custom fields. Holds all values of the case, so that a reader needs no earlier event."""

    NAME = "case.fields_changed.1"
    PERSONAL = ("old", "values")
    old: dict[str, Value | None]
    """Keys of the fields that changed (`cf_1`), with what was there; None: nothing."""
    values: Values
    """All that there is now."""


class CaseTrashed(CaseEvent, frozen=True):
    NAME = "case.trashed.1"


class CaseMarkedAsSpam(CaseEvent, frozen=True):
    NAME = "case.marked_as_spam.1"


class CaseRestored(CaseEvent, frozen=True):
    """From the trash and from spam."""

    NAME = "case.restored.1"


class CaseMerged(CaseEvent, frozen=True):
    """Into another case, its parent, which takes from now on what is written to this one."""

    NAME = "case.merged.1"
    parent_case_id: int


class CaseUnmerged(CaseEvent, frozen=True):
    NAME = "case.unmerged.1"
    parent_case_id: int


class ChildCaseMerged(CaseEvent, frozen=True):
    """Into this case, which is the parent."""

    NAME = "case.child_merged.1"
    child_case_id: int


class ChildCaseUnmerged(CaseEvent, frozen=True):
    NAME = "case.child_unmerged.1"
    child_case_id: int


class CaseDeleted(CaseEvent, frozen=True):
    """For good: no answer shows it any more."""

    NAME = "case.deleted.1"
    labels: tuple[int, ...] = ()
    """All that it had, those of rules among them."""
    fields: tuple[str, ...] = ()
    """Keys of the custom fields that it had values of."""
