"""Custom channels: how a company's own app, account area, bot or forum is connected."""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from kanal.domain.errors import (
    ChannelDeleted,
    ChannelDisabled,
    ChannelNotFound,
    NewestSecret,
    SecretNotFound,
    ShadowNotFound,
    TooManySecrets,
    WebhookUrlRequired,
)
from kanal.domain.event import Event
from kanal.domain.stream import Aggregate
from kanal.domain.webhook_options import DEFAULTS, WebhookOptions
from kanal.domain.work import Work

ChannelType = Literal["async", "sync"]

STANDARD_CHANNELS = frozenset(
    {
        *("email", "web", "call", "chat", "live_chat", "facebook", "fb_chat", "vkontakte"),
        *("vk_chat", "twitter", "instagram_posts", "instagram_chat", "ok_chat", "telegram"),
        *("skype", "slack", "mattermost", "viber", "line", "zalo", "wa_chat", "youscan"),
        *("avito", "idea"),
    }
)
"""Omnidesk's names. In Kanal a case of such a channel is kept and shown; nothing is sent out for it."""

DEFAULT_ICON = "fa-question-circle"
"""The icon of Omnidesk's own example; a Font Awesome class."""
LIVE_SECRETS = 10
"""Each makes every signature header longer and slower."""
CHAT_OFFER_SECONDS = 30
"""Time enough to finish a sentence elsewhere, and not so long that a customer notices who hesitated."""


class ChannelCreated(Event, frozen=True):
    NAME = "channel.created.1"
    channel_id: int
    title: str
    webhook_url: str
    channel_type: ChannelType
    icon: str
    secret_fingerprint: str
    chat_idle_minutes: int = 0
    chat_offer_seconds: int = CHAT_OFFER_SECONDS
    chat_limit: int = 0
    webhook: WebhookOptions = DEFAULTS
    undo_seconds: int = 0


class ChannelChanged(Event, frozen=True):
    """Holds the whole new settings, so that a reader needs no earlier event."""

    NAME = "channel.changed.1"
    channel_id: int
    title: str
    webhook_url: str
    channel_type: ChannelType
    icon: str
    chat_idle_minutes: int = 0
    chat_offer_seconds: int = CHAT_OFFER_SECONDS
    chat_limit: int = 0
    webhook: WebhookOptions = DEFAULTS
    undo_seconds: int = 0


class ChannelWasDisabled(Event, frozen=True):
    NAME = "channel.disabled.1"
    channel_id: int


class ChannelWasEnabled(Event, frozen=True):
    NAME = "channel.enabled.1"
    channel_id: int


class ChannelWasDeleted(Event, frozen=True):
    NAME = "channel.deleted.1"
    channel_id: int


class ChannelSecretMade(Event, frozen=True):
    """Beside those there are, which stop signing sooner or later. The secret itself is in no event."""

    NAME = "channel.secret_made.1"
    channel_id: int
    fingerprint: str
    made_at: int
    others_expire_at: int


class ChannelSecretRevoked(Event, frozen=True):
    NAME = "channel.secret_revoked.1"
    channel_id: int
    fingerprint: str


class ChannelRestricted(Event, frozen=True):
    """Only administrators have it, and those whose role names it."""

    NAME = "restricted_channels.added.1"
    channel_id: int


class ChannelOpenedToRoles(Event, frozen=True):
    """Roles have it that do not name it."""

    NAME = "restricted_channels.removed.1"
    channel_id: int


class Secret(Struct, frozen=True):
    fingerprint: str
    expires_at: int = 0
    """0 for the newest, which signs until there is another."""

    def signs(self, now: int) -> bool:
        return not self.expires_at or self.expires_at > now


Secrets = tuple[Secret, ...]
"""That may still sign, the newest first."""


def with_new(secrets: Secrets, fingerprint: str, made_at: int, others_expire_at: int) -> Secrets:
    others = (
        replace(each, expires_at=min(each.expires_at or others_expire_at, others_expire_at))
        for each in secrets
        if each.signs(made_at)
    )
    return (Secret(fingerprint), *others)


def without(secrets: Secrets, fingerprint: str) -> Secrets:
    return tuple(each for each in secrets if each.fingerprint != fingerprint)


def check_room(secrets: Secrets, now: int) -> None:
    """Raises TooManySecrets."""
    if sum(each.signs(now) for each in secrets) >= LIVE_SECRETS:
        raise TooManySecrets(LIVE_SECRETS)


def check_older(secrets: Secrets, fingerprint: str, now: int) -> None:
    """That it signs, and another one does besides. Raises SecretNotFound, NewestSecret."""
    for each in secrets:
        if each.fingerprint == fingerprint and each.signs(now):
            if not each.expires_at:
                raise NewestSecret(fingerprint)
            return
    raise SecretNotFound(fingerprint)


class Channel(Struct, frozen=True):
    channel_id: int = 0
    title: str = ""
    webhook_url: str = ""
    channel_type: ChannelType = "async"
    icon: str = DEFAULT_ICON
    chat_idle_minutes: int = 0
    """After so many without a word an active chat is completed; 0: never."""
    chat_offer_seconds: int = CHAT_OFFER_SECONDS
    """How long a chat is offered to one staff member before the next one is asked."""
    chat_limit: int = 0
    """Whoever has so many chats is offered none of this channel's; 0: no limit."""
    webhook: WebhookOptions = DEFAULTS
    undo_seconds: int = 0
    """So long a reply that is written in the workspace waits and can be taken back."""
    active: bool = False
    deleted: bool = False
    secrets: Secrets = ()


def evolve(channel: Channel, event: Event) -> Channel:
    match event:
        case ChannelCreated():
            return Channel(
                channel_id=event.channel_id,
                title=event.title,
                webhook_url=event.webhook_url,
                channel_type=event.channel_type,
                icon=event.icon,
                chat_idle_minutes=event.chat_idle_minutes,
                chat_offer_seconds=event.chat_offer_seconds,
                chat_limit=event.chat_limit,
                webhook=event.webhook,
                undo_seconds=event.undo_seconds,
                active=True,
                secrets=(Secret(event.secret_fingerprint),),
            )
        case ChannelChanged():
            return replace(
                channel,
                title=event.title,
                webhook_url=event.webhook_url,
                channel_type=event.channel_type,
                icon=event.icon,
                chat_idle_minutes=event.chat_idle_minutes,
                chat_offer_seconds=event.chat_offer_seconds,
                chat_limit=event.chat_limit,
                webhook=event.webhook,
                undo_seconds=event.undo_seconds,
            )
        case ChannelSecretMade():
            new, at, until = event.fingerprint, event.made_at, event.others_expire_at
            return replace(channel, secrets=with_new(channel.secrets, new, at, until))
        case ChannelSecretRevoked():
            return replace(channel, secrets=without(channel.secrets, event.fingerprint))
        case ChannelWasDisabled():
            return replace(channel, active=False)
        case ChannelWasEnabled():
            return replace(channel, active=True)
        case ChannelWasDeleted():
            return replace(channel, active=False, deleted=True)
    return channel


CHANNELS = Aggregate("channel", Channel(), evolve, version=3)


def evolve_restricted(channel_ids: tuple[int, ...], event: Event) -> tuple[int, ...]:
    match event:
        case ChannelRestricted():
            return (*channel_ids, event.channel_id)
        case ChannelOpenedToRoles():
            return tuple(each for each in channel_ids if each != event.channel_id)
    return channel_ids


RESTRICTED_CHANNELS: Aggregate[tuple[int, ...]] = Aggregate(
    "restricted_channels", (), evolve_restricted
)
"""One stream, key "all", so that the scope of a role needs no look at each channel."""


def create_channel(
    work: Work,
    *,
    title: str,
    channel_type: ChannelType,
    webhook_url: str = "",
    icon: str = DEFAULT_ICON,
    chat_idle_minutes: int = 0,
    chat_offer_seconds: int = CHAT_OFFER_SECONDS,
    chat_limit: int = 0,
    webhook: Mapping[str, Any] = {},
    undo_seconds: int = 0,
    secret_fingerprint: str,
    restricted: bool = False,
) -> int:
    """The new channel's id. Raises WebhookUrlRequired."""
    options = WebhookOptions(**webhook)
    _check_reachable(webhook_url, options)
    channel_id = work.take("channel")
    work.record(
        CHANNELS,
        channel_id,
        ChannelCreated(
            channel_id=channel_id,
            title=title,
            webhook_url=webhook_url,
            channel_type=channel_type,
            icon=icon,
            chat_idle_minutes=chat_idle_minutes,
            chat_offer_seconds=chat_offer_seconds,
            chat_limit=chat_limit,
            webhook=options,
            undo_seconds=undo_seconds,
            secret_fingerprint=secret_fingerprint,
        ),
    )
    if restricted:
        restrict_channel(work, channel_id=channel_id, restricted=True)
    return channel_id


def restrict_channel(work: Work, *, channel_id: int, restricted: bool) -> int:
    """Or open it to all roles again. What is so already is no event. Raises ChannelNotFound."""
    existing_channel(work, channel_id)
    if restricted != (channel_id in work.load(RESTRICTED_CHANNELS, "all")):
        changed = ChannelRestricted if restricted else ChannelOpenedToRoles
        work.record(RESTRICTED_CHANNELS, "all", changed(channel_id))
    return channel_id


def change_channel(
    work: Work, *, channel_id: int, webhook: Mapping[str, Any] = {}, **changes: Any
) -> int:
    """`webhook`: any options of WebhookOptions; `changes`: any of title, webhook_url, channel_type, icon, undo_seconds and
    the options of chats. What stays the same is no event. Raises WebhookUrlRequired.
    """
    channel = existing_channel(work, channel_id)
    changed = replace(channel, webhook=replace(channel.webhook, **webhook), **changes)
    _check_reachable(changed.webhook_url, changed.webhook)
    if changed != channel:
        work.record(
            CHANNELS,
            channel_id,
            ChannelChanged(
                channel_id=channel_id,
                title=changed.title,
                webhook_url=changed.webhook_url,
                channel_type=changed.channel_type,
                icon=changed.icon,
                chat_idle_minutes=changed.chat_idle_minutes,
                chat_offer_seconds=changed.chat_offer_seconds,
                chat_limit=changed.chat_limit,
                webhook=changed.webhook,
                undo_seconds=changed.undo_seconds,
            ),
        )
    return channel_id


def switch_to_shadow(work: Work, *, channel_id: int) -> int:
    """The second URL becomes the channel's, in one event. Raises ShadowNotFound."""
    shadow_url = existing_channel(work, channel_id).webhook.shadow_url
    if not shadow_url:
        raise ShadowNotFound(channel_id)
    return change_channel(
        work, channel_id=channel_id, webhook_url=shadow_url, webhook={"shadow_url": ""}
    )


def drop_shadow(work: Work, *, channel_id: int) -> int:
    return change_channel(work, channel_id=channel_id, webhook={"shadow_url": ""})


def _check_reachable(webhook_url: str, options: WebhookOptions) -> None:
    if not webhook_url and not options.polling:
        raise WebhookUrlRequired


def disable_channel(work: Work, *, channel_id: int) -> int:
    if existing_channel(work, channel_id).active:
        work.record(CHANNELS, channel_id, ChannelWasDisabled(channel_id))
    return channel_id


def enable_channel(work: Work, *, channel_id: int) -> int:
    if not existing_channel(work, channel_id).active:
        work.record(CHANNELS, channel_id, ChannelWasEnabled(channel_id))
    return channel_id


def delete_channel(work: Work, *, channel_id: int) -> int:
    existing_channel(work, channel_id)
    work.record(CHANNELS, channel_id, ChannelWasDeleted(channel_id))
    return channel_id


class MadeSecret(Struct, frozen=True):
    fingerprint: str
    made_at: int
    others_expire_at: int


def make_secret(work: Work, *, channel_id: int, fingerprint: str, grace: int) -> MadeSecret:
    """From now on it signs webhooks; so do those before it for `grace` microseconds more.

    Raises ChannelNotFound, TooManySecrets.
    """
    channel = existing_channel(work, channel_id)
    check_room(channel.secrets, work.now)
    made = MadeSecret(fingerprint, work.now, work.now + grace)
    event = ChannelSecretMade(channel_id, fingerprint, made.made_at, made.others_expire_at)
    work.record(CHANNELS, channel_id, event)
    return made


def revoke_secret(work: Work, *, channel_id: int, fingerprint: str) -> int:
    """It stops signing at once. Raises ChannelNotFound, SecretNotFound, NewestSecret."""
    check_older(existing_channel(work, channel_id).secrets, fingerprint, work.now)
    work.record(CHANNELS, channel_id, ChannelSecretRevoked(channel_id, fingerprint))
    return channel_id


def existing_channel(work: Work, channel_id: int) -> Channel:
    """A channel that is not deleted. Raises ChannelNotFound."""
    channel = work.load(CHANNELS, channel_id)
    if not channel.channel_id or channel.deleted:
        raise ChannelNotFound(channel_id)
    return channel


def channel_open_to_users(work: Work, channel_id: int) -> Channel:
    """Raises ChannelNotFound, ChannelDisabled or ChannelDeleted."""
    channel = work.load(CHANNELS, channel_id)
    if not channel.channel_id:
        raise ChannelNotFound(f"cch{channel_id}")
    if channel.deleted:
        raise ChannelDeleted(channel_id)
    if not channel.active:
        raise ChannelDisabled(channel_id)
    return channel
