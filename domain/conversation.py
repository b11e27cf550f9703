"""Conversation: a case is opened, the user writes on, staff answer and add notes, rules send messages."""

from collections.abc import Iterable
from typing import TypedDict, Unpack

from msgspec import Struct

from kanal.domain.case_events import (
    CaseOpened,
    MessageAdded,
    MessageKind,
    Priority,
    Status,
)
from kanal.domain.cases import (
    CASES,
    Case,
    mark_case_as_spam,
    receiving_case,
    set_labels,
    set_status,
    set_values,
    user_with_access,
)
from kanal.domain.channels import CHANNELS, channel_open_to_users
from kanal.domain.chats import staff_replied, start_chat, user_wrote
from kanal.domain.companies import Company, company_of
from kanal.domain.custom_fields import GivenValues, read_values
from kanal.domain.errors import CreatedInFuture
from kanal.domain.files import FileRef, NewFile, numbered
from kanal.domain.groups import GROUPS, active_group, group_after
from kanal.domain.identities import Conflict, Identification, find_or_register, known_as
from kanal.domain.message_events import (
    MESSAGES,
    MessageFilesAwaited,
    MessageScheduled,
    Pending,
    StatusAfterwards,
    Texts,
    about,
)
from kanal.domain.staff import active_staff
from kanal.domain.users import USERS, MessengerType, existing_user, set_user_values
from kanal.domain.work import Work

MESSENGER_CHANNELS: dict[MessengerType, str] = {
    "telegram": "telegram",
    "whatsapp": "wa_chat",
    "viber": "viber",
    "vkontakte": "vk_chat",
    "odnoklassniki": "ok_chat",
    "facebook": "fb_chat",
    "instagram": "instagram_chat",
    "skype": "skype",
    "line": "line",
    "slack": "slack",
    "mattermost": "mattermost",
    "avito": "avito",
}
"""The standard channel of a case whose user is known by such an id."""

CLOCK_SKEW = 5 * 60 * 1_000_000
"""Microseconds by which a caller's clock may be ahead of the log's: what it then calls now is now."""


class Said(TypedDict, total=False):
    """What a message consists of, whoever writes it."""

    content: str
    content_html: str
    """As received; read models clean it for display."""
    created_at: int
    """Of an older message that is brought in; 0: now."""
    do_not_send_email: bool
    files: tuple[NewFile, ...]
    """Kept already."""
    attachment_urls: tuple[str, ...]
    """Of files that are still to be fetched."""


class OpenedCase(Struct, frozen=True):
    case_id: int
    message_id: int
    user_id: int
    conflicts: tuple[Conflict, ...]
    """What could not be linked, because another id of the same channel has it."""


def open_case(
    work: Work,
    *,
    who: Identification,
    channel: str = "",
    subject: str = "",
    staff_id: int = 0,
    group_id: int = 0,
    status: Status | None = None,
    priority: Priority = "normal",
    language_id: int = 0,
    labels: Iterable[int] = (),
    recipient: str = "",
    cc_emails: str = "",
    bcc_emails: str = "",
    given_values: GivenValues | None = None,
    **said: Unpack[Said],
) -> OpenedCase:
    """A new case with its first message: the user's, or the staff member's if `staff_id` is given. What a blocked user
    or a user of a blocked company opens is spam. Without a group the user's company decides.

    `channel`: name of a standard channel, or "" to let the identity decide; ignored with a custom one. `recipient`: what
    the user wrote to; the custom channel's title if it is not said.
    `given_values`: of custom fields, of the case and of its user.

    Raises NoIdentity, ChannelNotFound, ChannelDisabled, ChannelDeleted, ChannelWithoutId, IdWithoutChannel,
    StaffNotFound, StaffNotActive, GroupNotFound, GroupNotActive, UnknownLabels, WrongFieldValues,
    WrongIdentificationCode, CreatedInFuture.
    """
    said["created_at"] = earlier(work, said.get("created_at", 0))
    is_chat = False
    if who.channel_id:
        own = channel_open_to_users(work, who.channel_id)
        recipient, is_chat = recipient or own.title, own.channel_type == "sync"
        channel = f"cch{who.channel_id}"
    if staff_id:
        active_staff(work, staff_id)
    if group_id:
        active_group(work, group_id)
    values = read_values(work, given_values, "case", "user")
    identified = find_or_register(work, who)
    set_user_values(work, identified.user_id, values["user"])
    user = existing_user(work, identified.user_id)
    company = company_of(work, user)
    case_id = work.take("case")
    opened = CaseOpened(
        case_id=case_id,
        user_id=identified.user_id,
        channel=channel or _channel_of(who),
        channel_id=who.channel_id,
        staff_id=staff_id,
        group_id=group_id or _group_of(work, company),
        status=status or ("waiting" if staff_id else "open"),
        priority=priority,
        subject=subject,
        recipient=recipient,
        language_id=language_id,
        opened_by="staff" if staff_id else "user",
        cc_emails=cc_emails,
        bcc_emails=bcc_emails,
        created_at=said["created_at"],
    )
    work.record(CASES, case_id, opened)
    case = work.load(CASES, case_id)
    set_labels(work, case, add=labels)
    set_values(work, case, values["case"])
    if is_chat:
        start_chat(work, work.load(CASES, case_id))
    added = _say(
        work,
        work.load(CASES, case_id),
        "staff_reply" if staff_id else "user_message",
        user_id=0 if staff_id else identified.user_id,
        staff_id=staff_id,
        **said,
    )
    if not staff_id and (user.blocked or (company and company.blocked)):
        mark_case_as_spam(work, case_id=case_id)
    return OpenedCase(case_id, added.message_id, identified.user_id, identified.conflicts)


def open_case_with(
    work: Work, *, user_id: int, staff_id: int, subject: str = "", **said: Unpack[Said]
) -> OpenedCase:
    """Staff begin a conversation with somebody they know, where that profile is known.

    Raises UserNotFound, ChannelDisabled, ChannelDeleted, StaffNotFound, StaffNotActive.
    """
    who = known_as(existing_user(work, user_id))
    return open_case(work, who=who, staff_id=staff_id, subject=subject, **said)


def _group_of(work: Work, company: Company | None) -> int:
    """The company's default group or whichever has its cases by now; none if that is not active."""
    if not company or not company.details.default_group:
        return 0
    group = work.load(GROUPS, group_after(work, company.details.default_group))
    return group.group_id if group.active else 0


def _channel_of(who: Identification) -> str:
    if who.messengers:
        return MESSENGER_CHANNELS[who.messengers[0].type]
    return "email" if who.email else "call"


class AddedMessage(Struct, frozen=True):
    message_id: int
    case_id: int


def add_user_message(
    work: Work, *, case_id: int, user_id: int, **said: Unpack[Said]
) -> AddedMessage:
    """The user writes on; a case that waited or was closed is open again.

    Raises CaseNotFound, UserNotFound, UserHasNoAccess, ChannelDisabled, ChannelDeleted, CreatedInFuture.
    """
    case = receiving_case(work, case_id)
    user_with_access(work, case, user_id)
    channel = channel_open_to_users(work, case.channel_id) if case.channel_id else None
    added = _say(work, case, "user_message", user_id=user_id, **said)
    set_status(work, case, "open", by=f"user:{user_id}")
    if case.chat and channel and channel.channel_type == "sync":
        user_wrote(work, work.load(CASES, case.case_id))
    return added


def add_staff_reply(
    work: Work, *, case_id: int, staff_id: int, **said: Unpack[Said]
) -> AddedMessage:
    """A reply that goes out to the user; the case waits for the user from now on.

    Raises CaseNotFound, StaffNotFound, StaffNotActive, CreatedInFuture.
    """
    case = receiving_case(work, case_id)
    active_staff(work, staff_id)
    added = _say(work, case, "staff_reply", staff_id=staff_id, **said)
    set_status(work, case, "waiting", by=f"staff:{staff_id}")
    if case.chat:
        staff_replied(work, work.load(CASES, case.case_id), staff_id)
    return added


def add_note(work: Work, *, case_id: int, staff_id: int, **said: Unpack[Said]) -> AddedMessage:
    """A note among staff. It goes out to the channel too, marked as a note (seed, point 5).

    Raises CaseNotFound, StaffNotFound, StaffNotActive, CreatedInFuture.
    """
    case = receiving_case(work, case_id)
    active_staff(work, staff_id)
    return _say(work, case, "note", staff_id=staff_id, **said)


def add_rule_message(
    work: Work, *, case_id: int, rule_id: int, **said: Unpack[Said]
) -> AddedMessage:
    """A message sent by a rule. No call from outside leads here. Raises CaseNotFound."""
    case = receiving_case(work, case_id)
    return _say(work, case, "rule_message", rule_id=rule_id, **said)


def add_rule_note(work: Work, *, case_id: int, rule_id: int, **said: Unpack[Said]) -> AddedMessage:
    """A note written by a rule. No call from outside leads here. Raises CaseNotFound."""
    case = receiving_case(work, case_id)
    return _say(work, case, "note", rule_id=rule_id, **said)


def add_delayed(work: Work, case: Case, message_id: int, pending: Pending, texts: Texts) -> None:
    """What has waited under that number, for its time or for its files, and is sent now.

    It accepts no chat: its author need not be there. What the user wrote since was not known to its author and waits for
    an answer still, so the case then stays as it is.
    """
    _add_message(
        work,
        case,
        pending.kind,
        message_id=message_id,
        staff_id=pending.staff_id,
        rule_id=pending.rule_id,
        attachments=pending.attachments,
        content=texts.content,
        content_html=texts.content_html,
        created_at=pending.created_at,
        do_not_send_email=pending.do_not_send_email,
    )
    # What only waited for files counted as an answer when it was written.
    if pending.send_at and not _wrote_since(case, pending):
        set_status(work, case, pending.status or "waiting", by=f"staff:{pending.staff_id}")


def _wrote_since(case: Case, pending: Pending) -> bool:
    """Whether the user has, since it was written. Of a case that took its own in, what nobody has answered counts."""
    if case.case_id != pending.case_id:
        return case.unanswered > 0
    return 0 < pending.case_version < case.user_wrote


def schedule(
    work: Work,
    case: Case,
    kind: MessageKind,
    *,
    staff_id: int = 0,
    rule_id: int = 0,
    send_at: int = 0,
    status: StatusAfterwards = "",
    **said: Unpack[Said],
) -> AddedMessage:
    """A message that waits until `send_at` and until its files have been fetched. Raises CreatedInFuture."""
    message_id = work.take("message")
    attachments = numbered(work, said.get("files", ()))
    urls = said.get("attachment_urls", ())
    scheduled = MessageScheduled(
        **about(case, message_id),
        staff_id=staff_id,
        content=said.get("content", ""),
        content_html=said.get("content_html", ""),
        created_at=earlier(work, said.get("created_at", 0)) or work.now,
        send_at=send_at,
        do_not_send_email=said.get("do_not_send_email", False),
        kind=kind,
        rule_id=rule_id,
        attachments=attachments,
        awaits_files=bool(urls),
        status=status,
        case_version=case.version,
    )
    work.record(MESSAGES, message_id, scheduled)
    _await_files(work, case, message_id, urls, attachments)
    return AddedMessage(message_id, case.case_id)


def earlier(work: Work, created_at: int) -> int:
    """The time that a caller gave to what it brings in; 0 if that is now. Raises CreatedInFuture."""
    if created_at > work.now + CLOCK_SKEW:
        raise CreatedInFuture
    return created_at if created_at < work.now else 0


def _say(
    work: Work,
    case: Case,
    kind: MessageKind,
    *,
    user_id: int = 0,
    staff_id: int = 0,
    rule_id: int = 0,
    **said: Unpack[Said],
) -> AddedMessage:
    """At once, but for what goes out with files that are still to be fetched: a webhook cannot bring them later."""
    urls = said.get("attachment_urls", ())
    if urls and _goes_out(work, case, kind):
        return schedule(work, case, kind, staff_id=staff_id, rule_id=rule_id, **said)
    attachments = numbered(work, said.get("files", ()))
    added = _add_message(
        work,
        case,
        kind,
        user_id=user_id,
        staff_id=staff_id,
        rule_id=rule_id,
        attachments=attachments,
        **said,
    )
    _await_files(work, case, added.message_id, urls, attachments)
    return added


def _await_files(
    work: Work, case: Case, message_id: int, urls: tuple[str, ...], there: tuple[FileRef, ...]
) -> None:
    if urls:
        size = sum(file.file_size for file in there)
        awaited = MessageFilesAwaited(**about(case, message_id), urls=urls, size=size)
        work.record(MESSAGES, message_id, awaited)


def _goes_out(work: Work, case: Case, kind: MessageKind) -> bool:
    if kind == "user_message" or not case.channel_id:
        return False
    return work.load(CHANNELS, case.channel_id).webhook.sends(kind)


def _add_message(
    work: Work,
    case: Case,
    kind: MessageKind,
    *,
    message_id: int = 0,
    user_id: int = 0,
    staff_id: int = 0,
    rule_id: int = 0,
    attachments: tuple[FileRef, ...] = (),
    **said: Unpack[Said],
) -> AddedMessage:
    """`message_id`: of a message that has waited, else 0."""
    goes_out = _goes_out(work, case, kind)
    message = MessageAdded(
        message_id=message_id or work.take("message"),
        case_id=case.case_id,
        kind=kind,
        user_id=user_id,
        staff_id=staff_id,
        rule_id=rule_id,
        content=said.get("content", ""),
        content_html=said.get("content_html", ""),
        channel_id=case.channel_id,
        case_user_id=case.user_id,
        custom_user_id=work.load(USERS, case.user_id).identity if goes_out else "",
        outgoing=case.outgoing + 1 if goes_out else 0,
        chat=case.chat,
        created_at=earlier(work, said.get("created_at", 0)),
        sent_at=work.now if message_id else 0,
        do_not_send_email=said.get("do_not_send_email", False),
        attachments=attachments,
    )
    work.record(CASES, case.case_id, message)
    return AddedMessage(message.message_id, case.case_id)
