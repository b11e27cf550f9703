"""Snapshots: stored states of long streams, so that loading one costs the same at any length."""

import hashlib
from functools import cache
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, bindparam, select

from kanal.domain.stream import Aggregate
from kanal.eventlog.tables import snapshots

# Made once: building a statement costs more than running it.
SNAPSHOT = select(snapshots).where(snapshots.c.stream_id == bindparam("stream"))


def read_snapshot(
    connection: Connection, aggregate: Aggregate[Any], stream_id: UUID
) -> tuple[int, Any]:
    """Version and state; the beginning, if there is none that this version of Kanal can read."""
    row = connection.execute(SNAPSHOT, {"stream": stream_id.hex}).first()
    if row is None or row.shape != shape(aggregate):
        return 0, aggregate.initial
    return row.version, msgspec.json.decode(row.state, type=type(aggregate.initial))


def shape(aggregate: Aggregate[Any]) -> str:
    """Changes whenever the state's fields or the way to it do, so that an older snapshot is not misread."""
    state: type = type(aggregate.initial)
    return _shape_of(aggregate.kind, aggregate.version, state)


@cache
def _shape_of(kind: str, version: int, state: type) -> str:
    schema = msgspec.json.encode(msgspec.json.schema(state), order="sorted")
    return f"{kind}.{version}:{hashlib.sha256(schema).hexdigest()[:16]}"
