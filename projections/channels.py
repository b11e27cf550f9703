"""Custom channels as `GET /api/custom_channels.json` lists them."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import Connection, MetaData, Table

from kanal.domain.channels import (
    ChannelChanged,
    ChannelCreated,
    ChannelType,
    ChannelWasDeleted,
    ChannelWasDisabled,
    ChannelWasEnabled,
)
from kanal.domain.stream import Recorded
from kanal.domain.webhook_options import WebhookOptions, read, stored
from kanal.eventlog.projection import Changes, Tables
from kanal.projections.access import channel_seen
from kanal.projections.read_model import (
    Names,
    ReadModel,
    Views,
    columns_of,
    flag,
    number,
    one,
    text,
)


class ChannelRow(NamedTuple):
    channel_id: int
    title: str
    channel_type: ChannelType
    icon: str
    webhook_url: str
    chat_idle_minutes: int
    chat_offer_seconds: int
    chat_limit: int
    webhook: WebhookOptions
    undo_seconds: int
    active: bool
    deleted: bool
    """Its cases are still there, so the row stays."""
    created_at: int
    updated_at: int


def define(metadata: MetaData, name: Names) -> Iterable[Table]:
    yield Table(
        name("channels"),
        metadata,
        number("channel_id", key=True),
        text("title"),
        text("channel_type"),
        text("icon"),
        text("webhook_url"),
        number("chat_idle_minutes"),
        number("chat_offer_seconds"),
        number("chat_limit"),
        text("webhook"),
        number("undo_seconds"),
        flag("active"),
        flag("deleted"),
        number("created_at"),
        number("updated_at"),
    )


def fold(changes: Changes, tables: Tables, recorded: Recorded) -> None:
    channels = tables["channels"]
    event, at = recorded.event, recorded.envelope.at
    match event:
        case ChannelCreated():
            row = {
                "channel_id": event.channel_id,
                "title": event.title,
                "channel_type": event.channel_type,
                "icon": event.icon,
                "webhook_url": event.webhook_url,
                "chat_idle_minutes": event.chat_idle_minutes,
                "chat_offer_seconds": event.chat_offer_seconds,
                "chat_limit": event.chat_limit,
                "webhook": stored(event.webhook),
                "undo_seconds": event.undo_seconds,
                "active": True,
                "deleted": False,
                "created_at": at,
                "updated_at": at,
            }
            changes.insert(channels, row)
        case ChannelChanged():
            settings = {
                "title": event.title,
                "channel_type": event.channel_type,
                "icon": event.icon,
                "webhook_url": event.webhook_url,
                "chat_idle_minutes": event.chat_idle_minutes,
                "chat_offer_seconds": event.chat_offer_seconds,
                "chat_limit": event.chat_limit,
                "webhook": stored(event.webhook),
                "undo_seconds": event.undo_seconds,
                "updated_at": at,
            }
            changes.update(channels, (event.channel_id,), settings)
        case ChannelWasDisabled():
            changes.update(channels, (event.channel_id,), {"active": False, "updated_at": at})
        case ChannelWasEnabled():
            changes.update(channels, (event.channel_id,), {"active": True, "updated_at": at})
        case ChannelWasDeleted():
            gone = {"active": False, "deleted": True, "updated_at": at}
            changes.update(channels, (event.channel_id,), gone)


PROJECTION = ReadModel(
    name="channels",
    version=4,
    handles=dict.fromkeys(
        (
            ChannelCreated,
            ChannelChanged,
            ChannelWasDisabled,
            ChannelWasEnabled,
            ChannelWasDeleted,
        ),
        fold,
    ),
    define=define,
)


def find(connection: Connection, views: Views, channel_id: int) -> ChannelRow | None:
    """Deleted ones too; not what the views' scope does not see."""
    channels = views.channels["channels"]
    query = columns_of(channels, ChannelRow).where(
        channels.c.channel_id == channel_id, *channel_seen(channels.c.channel_id, views.scope)
    )
    return one(connection, query, _row)


def of_ids(connection: Connection, views: Views, channel_ids: Iterable[int]) -> list[ChannelRow]:
    """As `find`, of several."""
    channels = views.channels["channels"]
    query = columns_of(channels, ChannelRow).where(
        channels.c.channel_id.in_(list(channel_ids)),
        *channel_seen(channels.c.channel_id, views.scope),
    )
    return [_row(row) for row in connection.execute(query)]


def listed(connection: Connection, views: Views) -> list[ChannelRow]:
    """All that are not deleted, the oldest first."""
    channels = views.channels["channels"]
    query = columns_of(channels, ChannelRow).where(
        channels.c.deleted.is_(False), *channel_seen(channels.c.channel_id, views.scope)
    )
    rows = connection.execute(query.order_by(channels.c.channel_id))
    return [_row(row) for row in rows]


def _row(row: Any) -> ChannelRow:
    found = ChannelRow._make(row)
    return found._replace(webhook=read(row.webhook))
