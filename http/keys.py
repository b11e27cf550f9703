"""API keys: 256 random bits each, so that their SHA-256 needs no salt and no slow hash per request."""

import hashlib
import secrets
import time
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from kanal.domain.access import Scope
from kanal.eventlog.stream_ids import StreamIds
from kanal.eventlog.tables import (
    api_keys,
    begun_cases,
    drafts,
    guesses,
    invitations,
    passwords,
    preferences,
    recovery_codes,
    second_factors,
    sessions,
)
from kanal.projections.access import scope_of_role
from kanal.projections.read_model import Views
from kanal.projections.staff_keys import limits_of

KEY_BYTES = 32
PREFIX = "kanal_"
"""Lets people and secret scanners see what it is."""


class NewApiKey(NamedTuple):
    key: str
    """Shown once."""
    hash: bytes
    fingerprint: str


class Holder(NamedTuple):
    staff_id: int
    key_id: int
    email: str
    """Normalised; the key goes with this one alone."""
    scope: Scope
    """At the moment of reading."""


def new_key(stream_ids: StreamIds, key: str = "") -> NewApiKey:
    """A random key, or the one that the operator gave, taken as it is."""
    key = key or PREFIX + secrets.token_urlsafe(KEY_BYTES)
    return NewApiKey(key, hash_of(key), stream_ids.fingerprint(key))


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
    tables = (api_keys, passwords, sessions, invitations, preferences, drafts, begun_cases)
    for table in (*tables, second_factors, recovery_codes, guesses):
        connection.execute(delete(table).where(table.c.staff_id == staff_id))


def move(connection: Connection, staff_id: int, email: str) -> None:
    """`email`: the holder's new one, normalised. Beside the command that changes it."""
    theirs = update(api_keys).where(api_keys.c.staff_id == staff_id)
    connection.execute(theirs.values(email=email))


def holder_of(connection: Connection, views: Views, email: str, key: str) -> Holder | None:
    """Whose live key it is, if the holder is active and has that e-mail."""
    return _found(connection, views, api_keys.c.key_hash == hash_of(key), email)


def scope_now(connection: Connection, views: Views, holder: Holder) -> Scope | None:
    """What the key reaches by now; None if it is not live any more."""
    found = _found(connection, views, api_keys.c.key_id == holder.key_id, holder.email)
    return found.scope if found else None


def used(connection: Connection, key_id: int, at: int) -> None:
    """Note when it was used last."""
    theirs = update(api_keys).where(api_keys.c.key_id == key_id, api_keys.c.last_used_at < at)
    connection.execute(theirs.values(last_used_at=at))


def _found(
    connection: Connection, views: Views, which: ColumnElement[bool], email: str
) -> Holder | None:
    staff, keys = views.staff["staff"], views.staff_keys["staff_keys"]
    limits = (keys.c.read_only, keys.c.channels, keys.c.expires_at)
    query = (
        select(staff.c.staff_id, api_keys.c.key_id, staff.c.role_id, *limits)
        .join_from(api_keys, staff, staff.c.staff_id == api_keys.c.staff_id)
        .join(keys, keys.c.key_id == api_keys.c.key_id)
        .where(which, api_keys.c.email == email, staff.c.active)
    )
    row = connection.execute(query).first()
    if row is None or 0 < row.expires_at <= time.time_ns() // 1000:
        return None
    scope = scope_of_role(connection, views, row.staff_id, row.role_id, limits_of(row))
    return Holder(row.staff_id, row.key_id, email, scope)
