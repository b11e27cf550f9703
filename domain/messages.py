"""A message's later life, in a stream of its own: it waits for its time, is edited, deleted, rated.

What was first said stands in the case's stream (`case.message_added.1`). A message that waits is not there yet: it
comes there, under the number that it has already, when it is sent.
"""

from collections.abc import Mapping
from typing import Any, Unpack

from msgspec import Struct

from kanal.domain.case_events import MessageKind, Rating, Status
from kanal.domain.cases import (
    CASES,
    Case,
    existing_case,
    news,
    receiving_case,
    set_status,
    writable_case,
)
from kanal.domain.channels import CHANNELS
from kanal.domain.chats import staff_replied
from kanal.domain.conversation import (
    AddedMessage,
    Said,
    add_delayed,
    add_staff_reply,
    schedule,
)
from kanal.domain.errors import MessageIsSent, MessageNotFound, MessageNotRateable
from kanal.domain.files import MAX_TOTAL, MB, MissedFile, NewFile, numbered
from kanal.domain.message_events import (
    MESSAGES,
    Message,
    MessageDeleted,
    MessageDiscarded,
    MessageEdited,
    MessageFilesFetched,
    MessageRated,
    MessageSent,
    Pending,
    Texts,
    about,
)
from kanal.domain.staff import active_staff
from kanal.domain.webhook_options import News
from kanal.domain.work import Work

SECOND = 1_000_000
CASE_DELETED = "The case was deleted before the message was sent."
TOO_LARGE_TOGETHER = f"the files of one message together may have {MAX_TOTAL // MB} MB"


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
    return schedule(work, case, "staff_reply", staff_id=staff_id, send_at=send_at, **said)


def reply_with_undo(
    work: Work, *, case_id: int, staff_id: int, status: Status | None = None, **said: Unpack[Said]
) -> AddedMessage:
    """A reply that waits for as long as its channel says, during which its author may take it back; at once where that is
    no time. A chat is taken at once in either case: somebody is there.

    `status`: what the case becomes when it is sent, waiting if it is not said.
    Raises CaseNotFound, StaffNotFound, StaffNotActive, CreatedInFuture.
    """
    case = receiving_case(work, case_id)
    channel = work.load(CHANNELS, case.channel_id) if case.channel_id else None
    if not channel or not channel.undo_seconds:
        added = add_staff_reply(work, case_id=case_id, staff_id=staff_id, **said)
        if status:
            set_status(work, work.load(CASES, added.case_id), status)
        return added
    active_staff(work, staff_id)
    send_at = work.now + channel.undo_seconds * SECOND
    added = schedule(
        work, case, "staff_reply", staff_id=staff_id, send_at=send_at, status=status or "", **said
    )
    staff_replied(work, work.load(CASES, case.case_id), staff_id)
    return added


class TakenBack(Struct, frozen=True):
    """What its author gets of a reply that is not sent."""

    texts: Texts
    files: int
    """How many it had or waited for."""


def take_back(work: Work, *, case_id: int, message_id: int, staff_id: int) -> TakenBack:
    """By the author of a reply that waits. Raises CaseNotFound, MessageNotFound, MessageIsSent."""
    case, pending, message = _own_waiting(work, case_id, message_id, staff_id)
    whose: dict[str, Any] = {**about(case, message_id)}
    work.record(MESSAGES, message_id, MessageDeleted(**whose))
    files = len(pending.attachments) + len(message.awaited)
    return TakenBack(message.texts or Texts("", ""), files)


def send_now(work: Work, *, case_id: int, message_id: int, staff_id: int) -> int:
    """Its author does not wait any longer; what waits for files goes on waiting for these.

    Raises CaseNotFound, MessageNotFound, MessageIsSent.
    """
    _, _, message = _own_waiting(work, case_id, message_id, staff_id)
    if not message.awaited:
        _send(work, message_id, message)
    return case_id


def _own_waiting(
    work: Work, case_id: int, message_id: int, staff_id: int
) -> tuple[Case, Pending, Message]:
    case = writable_case(work, case_id)
    message = existing_message(work, message_id)
    pending = message.pending
    if not pending:
        raise MessageIsSent(message_id)
    if (pending.case_id, pending.staff_id) != (case_id, staff_id):
        raise MessageNotFound(message_id)
    return case, pending, message


def send_scheduled(work: Work, *, message_id: int) -> bool:
    """Send what has waited long enough and has its files, and say whether it was sent just now.

    What was sent or deleted already is left alone, so it may be tried again and again. While its case lies in the
    trash it goes on waiting; if the case was deleted for good it is discarded; if the case was merged into another it is
    sent there. Its author may be disabled by now: who wrote it was active.
    """
    message = work.load(MESSAGES, message_id)
    if not message.pending or message.awaited or work.now < message.pending.send_at:
        return False
    return _send(work, message_id, message)


def _send(work: Work, message_id: int, message: Message) -> bool:
    pending, texts = message.pending, message.texts
    if not pending or not texts:
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
    add_delayed(work, merged_into, message_id, pending, texts)
    return True


def settle_files(
    work: Work,
    *,
    message_id: int,
    fetched: Mapping[str, NewFile],
    missed: Mapping[str, str],
) -> tuple[str, ...]:
    """Attach awaited files that were fetched, give up those in `missed` (address and reason), send what waited for them.

    Returns the tokens that were taken, none in a case that was deleted for good. What is not awaited (any more) is left
    alone, so it may be done again.
    """
    message = work.load(MESSAGES, message_id)
    case = work.load(CASES, message.case_id)
    if case.deleted:
        _send(work, message_id, message)  # which discards what waited for them
        return ()
    room = MAX_TOTAL - message.size
    files: list[NewFile] = []
    given_up: list[MissedFile] = []
    for url in message.awaited:
        if url in missed:
            given_up.append(MissedFile(url, missed[url]))
        elif url in fetched and fetched[url].file_size > room:
            given_up.append(MissedFile(url, TOO_LARGE_TOGETHER))
        elif url in fetched:
            files.append(fetched[url])
            room -= fetched[url].file_size
    if not files and not given_up:
        return ()
    settled = MessageFilesFetched(
        **about(case, message_id),
        files=numbered(work, files),
        missed=tuple(given_up),
        awaited=tuple(url for url in message.awaited if url not in fetched and url not in missed),
        send_at=message.pending.send_at if message.pending else 0,
    )
    work.record(MESSAGES, message_id, settled)
    send_scheduled(work, message_id=message_id)
    return tuple(file.token for file in files)


def edit_message(work: Work, *, original: Original, content: str, content_html: str) -> int:
    """Both texts are replaced: what the other one said before would contradict the new one.

    A message that was sent is not sent again; the channel may be told of the edit. Raises CaseNotFound, MessageNotFound.
    """
    case = writable_case(work, original.case_id)
    message = existing_message(work, original.message_id)
    texts = Texts(content, content_html)
    if texts != (message.texts or original.texts):
        whose = _whose(work, case, original, message, "edits")
        edited = MessageEdited(**whose, content=content, content_html=content_html)
        work.record(MESSAGES, original.message_id, edited)
    return original.message_id


def delete_message(work: Work, *, original: Original) -> int:
    """What waits will not be sent, what was sent is shown no more. Raises CaseNotFound, MessageNotFound."""
    case = existing_case(work, original.case_id)
    message = existing_message(work, original.message_id)
    deleted = MessageDeleted(**_whose(work, case, original, message, "deletions"))
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


def _whose(
    work: Work, case: Case, original: Original, message: Message, kind: News
) -> dict[str, Any]:
    """Fields of an event that its channel may be told of. What waits has not gone out, and the user's own words never do."""
    whose = about(case, original.message_id)
    if original.kind == "user_message" or message.pending:
        return {**whose}
    told = news(work, case, kind)
    return {**whose, **told, "note": original.kind == "note"} if told else {**whose}
