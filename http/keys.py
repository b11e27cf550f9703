"""API keys: 256 random bits each, so that their SHA-256 needs no salt and no slow hash per request."""

import hashlib
import secrets
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from kanal.domain.staff import Role
from kanal.eventlog.stream_ids import StreamIds
from kanal.eventlog.tables import api_keys, passwords
from kanal.projections.read_model import Views

KEY_BYTES = 32
PREFIX = "kanal_"
"""Lets people and secret scanners see what it is."""
FINGERPRINT_DIGITS = 16


class NewApiKey(NamedTuple):
    key: str
    """Shown once."""
    hash: bytes
    fingerprint: str
    """For the event: it tells nothing to whoever lacks the installation's secret."""


class Holder(NamedTuple):
    staff_id: int
    key_id: int
    role: Role
    email: str
    """Normalised; the key goes with this one alone."""


def new_key(stream_ids: StreamIds, key: str = "") -> NewApiKey:
    """A random key, or the one that the operator gave, taken as it is."""
    key = key or PREFIX + secrets.token_urlsafe(KEY_BYTES)
    fingerprint = stream_ids.keyed_hash(key).hex()[:FINGERPRINT_DIGITS]
    return NewApiKey(key, hash_of(key), fingerprint)


def hash_of(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def keep(connection: Connection, *, staff_id: int, key_id: int, email: str, hash: bytes) -> None:
    """`email`: normalised. Beside the command that issues the key."""
    row = {"key_id": key_id, "staff_id": staff_id, "email": email, "key_hash": hash}
    connection.execute(insert(api_keys).values(row))


def forget(connection: Connection, key_id: int) -> None:
    """Beside the command that revokes the key."""
    connection.execute(delete(api_keys).where(api_keys.c.key_id == key_id))


def forget_all(connection: Connection, staff_id: int) -> None:
    """Beside the command that deletes the holder."""
    for table in (api_keys, passwords):
        connection.execute(delete(table).where(table.c.staff_id == staff_id))


def move(connection: Connection, staff_id: int, email: str) -> None:
    """`email`: the holder's new one, normalised. Beside the command that changes it."""
    theirs = update(api_keys).where(api_keys.c.staff_id == staff_id)
    connection.execute(theirs.values(email=email))


def holder_of(connection: Connection, views: Views, email: str, key: str) -> Holder | None:
    """Whose live key it is, if the holder is active and has that e-mail."""
    staff = views.staff["staff"].c
    query = (
        select(staff.staff_id, api_keys.c.key_id, staff.role, api_keys.c.email)
        .join_from(api_keys, views.staff["staff"], staff.staff_id == api_keys.c.staff_id)
        .where(api_keys.c.key_hash == hash_of(key), api_keys.c.email == email, staff.active)
    )
    row = connection.execute(query).first()
    return Holder._make(row) if row else None


def is_live(connection: Connection, views: Views, holder: Holder) -> bool:
    staff = views.staff["staff"].c
    query = (
        select(api_keys.c.key_id)
        .join_from(api_keys, views.staff["staff"], staff.staff_id == api_keys.c.staff_id)
        .where(api_keys.c.key_id == holder.key_id, api_keys.c.email == holder.email, staff.active)
    )
    return connection.scalar(query) is not None
