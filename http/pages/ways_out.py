"""Why a reply may not reach anybody, or not soon: what a composer says before anything is sent."""

from collections.abc import Iterable
from typing import Literal

from sqlalchemy import Connection

from kanal.delivery import overview
from kanal.projections.channels import ChannelRow

WayOut = Literal[
    "", "merged", "no_channel", "deleted", "disabled", "no_url", "silent", "paused", "failing"
]
""""" if all is well."""


def ways_out(connection: Connection, channels: Iterable[ChannelRow]) -> dict[int, WayOut]:
    """Of custom channels, by their ids."""
    rows = list(channels)
    states = overview.of_channels(connection, [row.channel_id for row in rows])
    return {row.channel_id: _way_out(row, states[row.channel_id]) for row in rows}


def _way_out(channel: ChannelRow, delivery: overview.ChannelRow) -> WayOut:
    if channel.deleted:
        return "deleted"
    if not channel.active:
        return "disabled"
    if not channel.webhook.replies:
        return "silent"
    if not channel.webhook_url and not channel.webhook.polling:
        return "no_url"
    return "" if delivery.state == "ok" else delivery.state
