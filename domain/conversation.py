"""Conversation: a case is opened, the user writes on, staff answer and add notes, rules send messages."""

from collections.abc import Iterable

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
from kanal.domain.channels import channel_open_to_users
from kanal.domain.chats import staff_replied, start_chat, user_wrote
from kanal.domain.custom_fields import GivenValues, read_values
from kanal.domain.groups import active_group
from kanal.domain.identities import Conflict, Identification, find_or_register
from kanal.domain.staff import active_staff
from kanal.domain.users import MessengerType, existing_user, set_user_values
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
    content: str = "",
    content_html: str = "",
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
) -> OpenedCase:
    """A new case with its first message: the user's, or the staff member's if `staff_id` is given. What a blocked user
    opens is spam.

    `channel`: name of a standard channel, or "" to let the identity decide; ignored with a custom one. `recipient`: what
    the user wrote to; the custom channel's title if it is not said.
    `given_values`: of custom fields, of the case and of its user.

    Raises NoIdentity, ChannelNotFound, ChannelDisabled, ChannelDeleted, ChannelWithoutId, IdWithoutChannel,
    StaffNotFound, StaffNotActive, GroupNotFound, GroupNotActive, UnknownLabels, WrongFieldValues,
    WrongIdentificationCode.
    """
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
    case_id = work.take("case")
    opened = CaseOpened(
        case_id=case_id,
        user_id=identified.user_id,
        channel=channel or _channel_of(who),
        channel_id=who.channel_id,
        staff_id=staff_id,
        group_id=group_id,
        status=status or ("waiting" if staff_id else "open"),
        priority=priority,
        subject=subject,
        recipient=recipient,
        language_id=language_id,
        opened_by="staff" if staff_id else "user",
        cc_emails=cc_emails,
        bcc_emails=bcc_emails,
    )
    work.record(CASES, case_id, opened)
    case = work.load(CASES, case_id)
    set_labels(work, case, add=labels)
    set_values(work, case, values["case"])
    if is_chat:
        start_chat(work, work.load(CASES, case_id))
    added = _add_message(
        work,
        work.load(CASES, case_id),
        "staff_reply" if staff_id else "user_message",
        user_id=0 if staff_id else identified.user_id,
        staff_id=staff_id,
        content=content,
        content_html=content_html,
    )
    if not staff_id and existing_user(work, identified.user_id).blocked:
        mark_case_as_spam(work, case_id=case_id)
    return OpenedCase(case_id, added.message_id, identified.user_id, identified.conflicts)


def _channel_of(who: Identification) -> str:
    if who.messengers:
        return MESSENGER_CHANNELS[who.messengers[0].type]
    return "email" if who.email else "call"


class AddedMessage(Struct, frozen=True):
    message_id: int
    case_id: int


def add_user_message(
    work: Work, *, case_id: int, user_id: int, content: str, content_html: str = ""
) -> AddedMessage:
    """The user writes on; a case that waited or was closed is open again.

    Raises CaseNotFound, UserNotFound, UserHasNoAccess, ChannelDisabled, ChannelDeleted.
    """
    case = receiving_case(work, case_id)
    user_with_access(work, case, user_id)
    channel = channel_open_to_users(work, case.channel_id) if case.channel_id else None
    added = _add_message(
        work, case, "user_message", user_id=user_id, content=content, content_html=content_html
    )
    set_status(work, case, "open", by=f"user:{user_id}")
    if case.chat and channel and channel.channel_type == "sync":
        user_wrote(work, work.load(CASES, case.case_id))
    return added


def add_staff_reply(
    work: Work, *, case_id: int, staff_id: int, content: str, content_html: str = ""
) -> AddedMessage:
    """A reply that goes out to the user; the case waits for the user from now on.

    Raises CaseNotFound, StaffNotFound, StaffNotActive.
    """
    case = receiving_case(work, case_id)
    active_staff(work, staff_id)
    added = _add_message(
        work, case, "staff_reply", staff_id=staff_id, content=content, content_html=content_html
    )
    set_status(work, case, "waiting", by=f"staff:{staff_id}")
    if case.chat:
        staff_replied(work, work.load(CASES, case.case_id), staff_id)
    return added


def add_note(
    work: Work, *, case_id: int, staff_id: int, content: str, content_html: str = ""
) -> AddedMessage:
    """A note among staff. It goes out to the channel too, marked as a note (seed, point 5).

    Raises CaseNotFound, StaffNotFound, StaffNotActive.
    """
    case = receiving_case(work, case_id)
    active_staff(work, staff_id)
    return _add_message(
        work, case, "note", staff_id=staff_id, content=content, content_html=content_html
    )


def add_rule_message(
    work: Work, *, case_id: int, rule_id: int, content: str, content_html: str = ""
) -> AddedMessage:
    """A message sent by a rule. No call from outside leads here. Raises CaseNotFound."""
    case = receiving_case(work, case_id)
    return _add_message(
        work, case, "rule_message", rule_id=rule_id, content=content, content_html=content_html
    )


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
        chat=case.chat,
    )
    work.record(CASES, case.case_id, message)
    return AddedMessage(message.message_id, case.case_id)
