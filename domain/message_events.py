"""What can happen to a message once it is there: the events of its own stream, and the state that they make."""

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from kanal.domain.case_events import MessageKind, Rating
from kanal.domain.cases import Case
from kanal.domain.event import Event
from kanal.domain.files import FileRef, MissedFile
from kanal.domain.stream import Aggregate

StatusAfterwards = Literal["", "open", "waiting", "closed"]
"""What a case becomes when a reply that has waited is sent; "": waiting, as after any reply."""


class MessageEvent(Event, frozen=True):
    """What each event of a message says of it, so that no reader needs an earlier one to know whose it is."""

    ABOUT = ("user_id",)
    message_id: int
    case_id: int
    user_id: int
    """The case's user."""
    channel_id: int
    """0 for a standard channel."""


class MessageScheduled(MessageEvent, frozen=True):
    """A staff member's reply that is to be sent later, or what goes out when its files have been fetched."""

    NAME = "message.scheduled.1"
    PERSONAL = ("content", "content_html", "attachments")
    staff_id: int
    content: str
    content_html: str
    created_at: int
    """Shown as the time of writing."""
    send_at: int
    """0: as soon as its files are there."""
    do_not_send_email: bool
    kind: MessageKind = "staff_reply"
    rule_id: int = 0
    attachments: tuple[FileRef, ...] = ()
    awaits_files: bool = False
    """It is not sent before they are settled; `message.files_awaited.1` comes with it."""
    status: StatusAfterwards = ""
    case_version: int = 0
    """Of the case that it was written in: what the user wrote later, its author did not know. 0: it is not said."""


class MessageFilesAwaited(MessageEvent, frozen=True):
    """Files that the caller named by their addresses are to be fetched."""

    NAME = "message.files_awaited.1"
    PERSONAL = ("urls",)
    urls: tuple[str, ...]
    size: int
    """Octets of the files that the message has already."""


class MessageFilesFetched(MessageEvent, frozen=True):
    """Some of the awaited files are settled: there, or given up."""

    NAME = "message.files_fetched.1"
    PERSONAL = ("files", "missed", "awaited")
    files: tuple[FileRef, ...]
    missed: tuple[MissedFile, ...]
    awaited: tuple[str, ...]
    """Those still to come."""
    send_at: int
    """As in `message.scheduled.1`, if the message waits to be sent."""


class MessageSent(MessageEvent, frozen=True):
    """It waits no longer; `case.message_added.1` was recorded with it."""

    NAME = "message.sent.1"


class MessageDiscarded(MessageEvent, frozen=True):
    """It waits no longer and will never be sent."""

    NAME = "message.discarded.1"
    reason: str


class MessageEdited(MessageEvent, frozen=True):
    """Holds both new texts; the old ones stay in the event before."""

    NAME = "message.edited.1"
    PERSONAL = ("content", "content_html", "custom_user_id")
    content: str
    content_html: str
    outgoing: bool = False
    """The channel is told of it, if the message itself went out."""
    custom_user_id: str = ""
    """As in `case.message_added.1`."""
    note: bool = False
    """It is one, known if the channel is told."""


class MessageDeleted(MessageEvent, frozen=True):
    NAME = "message.deleted.1"
    PERSONAL = ("custom_user_id",)
    outgoing: bool = False
    """This and the next two: as in `message.edited.1`."""
    custom_user_id: str = ""
    note: bool = False


class MessageRated(MessageEvent, frozen=True):
    """The user's judgement of a staff member's reply."""

    NAME = "message.rated.1"
    PERSONAL = ("comment",)
    rating: Rating
    comment: str
    staff_id: int
    """Who is rated: the reply's author."""


class Texts(Struct, frozen=True):
    content: str
    content_html: str


class Pending(Struct, frozen=True):
    """What waits to be sent, but for its texts."""

    case_id: int
    staff_id: int
    created_at: int
    send_at: int
    do_not_send_email: bool
    kind: MessageKind = "staff_reply"
    rule_id: int = 0
    attachments: tuple[FileRef, ...] = ()
    status: StatusAfterwards = ""
    case_version: int = 0


class Message(Struct, frozen=True):
    """What this stream alone knows; a message to which nothing happened has none."""

    pending: Pending | None = None
    """Only while it waits."""
    texts: Texts | None = None
    """The latest; None: as in `case.message_added.1`."""
    deleted: bool = False
    rating: Rating | None = None
    comment: str = ""
    awaited: tuple[str, ...] = ()
    """Addresses of files that are still to be fetched."""
    size: int = 0
    """Octets of its files so far, known while some are awaited."""
    case_id: int = 0
    """Known while files are awaited."""


def evolve(message: Message, event: Event) -> Message:
    match event:
        case MessageScheduled():
            pending = Pending(
                case_id=event.case_id,
                staff_id=event.staff_id,
                created_at=event.created_at,
                send_at=event.send_at,
                do_not_send_email=event.do_not_send_email,
                kind=event.kind,
                rule_id=event.rule_id,
                attachments=event.attachments,
                status=event.status,
                case_version=event.case_version,
            )
            return Message(pending=pending, texts=Texts(event.content, event.content_html))
        case MessageFilesAwaited():
            return replace(message, awaited=event.urls, size=event.size, case_id=event.case_id)
        case MessageFilesFetched():
            size = message.size + sum(file.file_size for file in event.files)
            waiting = message.pending
            if waiting:
                waiting = replace(waiting, attachments=waiting.attachments + event.files)
            return replace(message, awaited=event.awaited, size=size, pending=waiting)
        case MessageSent():
            return replace(message, pending=None)
        case MessageDiscarded():
            return Message(deleted=True)
        case MessageEdited():
            return replace(message, texts=Texts(event.content, event.content_html))
        case MessageDeleted():
            return Message(deleted=True)
        case MessageRated():
            return replace(message, rating=event.rating, comment=event.comment)
    return message


MESSAGES = Aggregate("message", Message(), evolve)


def about(case: Case, message_id: int) -> dict[str, int]:
    """The fields of `MessageEvent`."""
    return {
        "message_id": message_id,
        "case_id": case.case_id,
        "user_id": case.user_id,
        "channel_id": case.channel_id,
    }
