"""What is known of API keys but the keys: whose, how they are called, what they take away. The hashes are in eventlog/tables.py."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, MetaData, Table

from kanal.domain.staff import KeyLimits, StaffKeyIssued, StaffKeyRevoked
from kanal.domain.stream import Recorded
from kanal.eventlog.projection import Changes, Tables
from kanal.eventlog.tables import api_keys
from kanal.projections.read_model import (
    Names,
    ReadModel,
    Views,
    columns_of,
    flag,
    number,
    text,
)

NO_CHANNELS = "[]"
_CHANNELS = msgspec.json.Decoder(tuple[int, ...])


class KeyRow(NamedTuple):
    key_id: int
    staff_id: int
    name: str
    fingerprint: str
    read_only: bool
    channels: tuple[int, ...]
    """None of them: all."""
    expires_at: int
    """0: never."""
    created_at: int


def define(metadata: MetaData, name: Names) -> Iterable[Table]:
    yield Table(
        name("staff_keys"),
        metadata,
        number("key_id", key=True),
        number("staff_id"),
        text("name"),
        text("fingerprint"),
        flag("read_only"),
        text("channels"),
        number("expires_at"),
        number("created_at"),
    )


def fold(changes: Changes, tables: Tables, recorded: Recorded) -> None:
    keys, event = tables["staff_keys"], recorded.event
    match event:
        case StaffKeyIssued():
            row = {
                "key_id": event.key_id,
                "staff_id": event.staff_id,
                "name": event.name,
                "fingerprint": event.fingerprint,
                "read_only": event.read_only,
                "channels": msgspec.json.encode(event.channels).decode(),
                "expires_at": event.expires_at,
                "created_at": recorded.envelope.at,
            }
            changes.insert(keys, row)
        case StaffKeyRevoked():
            changes.delete(keys, (event.key_id,))


PROJECTION = ReadModel(
    name="staff_keys",
    version=1,
    handles=dict.fromkeys((StaffKeyIssued, StaffKeyRevoked), fold),
    define=define,
)


def of_staff(
    connection: Connection, views: Views, staff_id: int | None = None
) -> list[tuple[KeyRow, int]]:
    """Live and expired keys, the oldest first, and when each was used last, 0 for never. None: of everybody."""
    keys = views.staff_keys["staff_keys"]
    query = (
        columns_of(keys, KeyRow)
        .add_columns(api_keys.c.last_used_at)
        .join_from(keys, api_keys, keys.c.key_id == api_keys.c.key_id)
        .order_by(keys.c.key_id)
    )
    if staff_id is not None:
        query = query.where(api_keys.c.staff_id == staff_id)
    found = []
    for *columns, last_used_at in connection.execute(query):
        row = KeyRow._make(columns)
        found.append((row._replace(channels=read_channels(str(row.channels))), last_used_at))
    return found


def limits_of(row: Any) -> KeyLimits:
    """Of a row that has these columns."""
    return KeyLimits(row.read_only, read_channels(row.channels), row.expires_at)


def read_channels(stored: str) -> tuple[int, ...]:
    return () if stored == NO_CHANNELS else _CHANNELS.decode(stored)
