"""The extra headers of channels' webhooks, where they are kept: values may be passwords, so events have fingerprints."""

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, delete, insert, select

from kanal.eventlog.tables import channel_headers


def keep(connection: Connection, channel_id: int, headers: Mapping[str, str]) -> None:
    """In the place of all that there were; in the transaction of the event that names them."""
    own = channel_headers.c.channel_id == channel_id
    connection.execute(delete(channel_headers).where(own))
    rows = [
        {"channel_id": channel_id, "name": name, "value": value} for name, value in headers.items()
    ]
    if rows:
        connection.execute(insert(channel_headers), rows)


def read(connection: Connection, channel_ids: Collection[int]) -> dict[int, dict[str, str]]:
    """By channel; in an order that stays."""
    kept = channel_headers.c
    query = select(kept.channel_id, kept.name, kept.value).where(kept.channel_id.in_(channel_ids))
    found: dict[int, dict[str, str]] = {}
    for channel_id, name, value in connection.execute(query.order_by(kept.name)):
        found.setdefault(channel_id, {})[name] = value
    return found
