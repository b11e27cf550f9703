"""A message's later life, in a stream of its own: it waits for its time, is edited, deleted, rated.

What was first said stands in the case's stream (`case.message_added.1`). A message that waits is not there yet: it
comes there, under the number that it has already, when it is sent.
"""

from typing import Unpack

from msgspec import Struct
from msgspec.structs import replace

from kanal.domain.case_events import MessageKind, Rating
from kanal.domain.cases import CASES, Case, existing_case, receiving_case, writable_case
from kanal.domain.conversation import (
    AddedMessage,
    Said,
    add_delayed_reply,
    add_staff_reply,
    earlier,
)
from kanal.domain.errors import MessageNotFound, MessageNotRateable
from kanal.domain.event import Event
from kanal.domain.staff import active_staff
from kanal.domain.stream import Aggregate
from kanal.domain.work import Work


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
    """A staff member's reply that is to be sent later."""

    NAME = "message.scheduled.1"
    PERSONAL = ("content", "content_html")
    staff_id: int
    content: str
    content_html: str
    created_at: int
    """Shown as the time of writing."""
    send_at: int
    do_not_send_email: bool


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
    PERSONAL = ("content", "content_html")
    content: str
    content_html: str


class MessageDeleted(MessageEvent, frozen=True):
    NAME = "message.deleted.1"


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


class Message(Struct, frozen=True):
    """What this stream alone knows; a message to which nothing happened has none."""

    pending: Pending | None = None
    """Only while it waits."""
    texts: Texts | None = None
    """The latest; None: as in `case.message_added.1`."""
    deleted: bool = False
    rating: Rating | None = None
    comment: str = ""


def evolve(message: Message, event: Event) -> Message:
    match event:
        case MessageScheduled():
            pending = Pending(
                case_id=event.case_id,
                staff_id=event.staff_id,
                created_at=event.created_at,
                send_at=event.send_at,
                do_not_send_email=event.do_not_send_email,
            )
            return Message(pending=pending, texts=Texts(event.content, event.content_html))
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

CASE_DELETED = "The case was deleted before the message was sent."


class Original(Struct, frozen=True):
    """What never changes of a message, as a reader has seen it: the command need not look for it in the case's stream."""

    message_id: int
    case_id: int
    kind: MessageKind
    staff_id: int
    texts: Texts
    """As first said; not looked at once the message was edited."""


def schedule_staff_reply(
    work: Work, *, case_id: int, staff_id: int, send_at: int, **said: Unpack[Said]
) -> AddedMessage:
    """A reply that waits until `send_at`; at once, if that is past. The case stays as it is until then.

    Raises CaseNotFound, StaffNotFound, StaffNotActive, CreatedInFuture.
    """
    if send_at <= work.now:
        return add_staff_reply(work, case_id=case_id, staff_id=staff_id, **said)
    case = receiving_case(work, case_id)
    active_staff(work, staff_id)
    message_id = work.take("message")
    scheduled = MessageScheduled(
        **about(case, message_id),
        staff_id=staff_id,
        content=said.get("content", ""),
        content_html=said.get("content_html", ""),
        created_at=earlier(work, said.get("created_at", 0)) or work.now,
        send_at=send_at,
        do_not_send_email=said.get("do_not_send_email", False),
    )
    work.record(MESSAGES, message_id, scheduled)
    return AddedMessage(message_id, case.case_id)


def send_scheduled(work: Work, *, message_id: int) -> bool:
    """Send what has waited long enough, and say whether it was sent just now.

    What was sent or deleted already is left alone, so it may be tried again and again. While its case lies in the
    trash it goes on waiting; if the case was deleted for good it is discarded; if the case was merged into another it is
    sent there. Its author may be disabled by now: who wrote it was active.
    """
    message = work.load(MESSAGES, message_id)
    pending, texts = message.pending, message.texts
    if not pending or not texts or work.now < pending.send_at:
        return False
    case = work.load(CASES, pending.case_id)
    merged_into = work.load(CASES, case.parent_case_id) if case.parent_case_id else case
    if case.deleted or merged_into.deleted:
        discarded = MessageDiscarded(**about(case, message_id), reason=CASE_DELETED)
        work.record(MESSAGES, message_id, discarded)
        return False
    if case.trashed or merged_into.trashed:
        return False
    work.record(MESSAGES, message_id, MessageSent(**about(merged_into, message_id)))
    add_delayed_reply(
        work,
        merged_into,
        message_id=message_id,
        staff_id=pending.staff_id,
        content=texts.content,
        content_html=texts.content_html,
        created_at=pending.created_at,
        do_not_send_email=pending.do_not_send_email,
    )
    return True


def edit_message(work: Work, *, original: Original, content: str, content_html: str) -> int:
    """Both texts are replaced: what the other one said before would contradict the new one.

    A message that was sent is not sent again. Raises CaseNotFound, MessageNotFound.
    """
    case = writable_case(work, original.case_id)
    message = existing_message(work, original.message_id)
    texts = Texts(content, content_html)
    if texts != (message.texts or original.texts):
        edited = MessageEdited(
            **about(case, original.message_id), content=content, content_html=content_html
        )
        work.record(MESSAGES, original.message_id, edited)
    return original.message_id


def delete_message(work: Work, *, original: Original) -> int:
    """What waits will not be sent, what was sent is shown no more. Raises CaseNotFound, MessageNotFound."""
    case = existing_case(work, original.case_id)
    existing_message(work, original.message_id)
    deleted = MessageDeleted(**about(case, original.message_id))
    work.record(MESSAGES, original.message_id, deleted)
    return original.message_id


def rate_message(work: Work, *, original: Original, rating: Rating, comment: str = "") -> int:
    """Raises CaseNotFound, MessageNotFound, MessageNotRateable."""
    case = writable_case(work, original.case_id)
    message = existing_message(work, original.message_id)
    if original.kind != "staff_reply" or message.pending:
        raise MessageNotRateable(original.message_id)
    if (rating, comment) != (message.rating, message.comment):
        rated = MessageRated(
            **about(case, original.message_id),
            rating=rating,
            comment=comment,
            staff_id=original.staff_id,
        )
        work.record(MESSAGES, original.message_id, rated)
    return original.message_id


def existing_message(work: Work, message_id: int) -> Message:
    """Raises MessageNotFound for one that was deleted; whether there ever was one, the stream cannot tell."""
    message = work.load(MESSAGES, message_id)
    if message.deleted:
        raise MessageNotFound(message_id)
    return message


def about(case: Case, message_id: int) -> dict[str, int]:
    """The fields of `MessageEvent`."""
    return {
        "message_id": message_id,
        "case_id": case.case_id,
        "user_id": case.user_id,
        "channel_id": case.channel_id,
    }
