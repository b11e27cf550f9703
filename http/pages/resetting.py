"""`kanal staff reset-password`: for when nobody can sign in who could help."""

import secrets
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import argon2
from sqlalchemy import Connection

from kanal.domain.staff import note_password, turn_off_second_factor
from kanal.eventlog.database import Database
from kanal.eventlog.writer import Writer
from kanal.http import contacts, second_factor, sessions
from kanal.projections import runner
from kanal.projections.registry import CORE

PASSWORD_OCTETS: Final = 12


def resetting(
    database: Database,
    writer: Writer,
    hasher: argon2.PasswordHasher,
    email: str,
    *,
    second_factor_too: bool = False,
) -> Iterator[dict[str, Any]]:
    """One step: {"password": text} or {"refused": a sentence}. Blocking; all sessions of theirs end.

    `second_factor_too`: it is turned off; otherwise the new password opens nothing without it.
    """
    try:
        normalised = contacts.email(email).normalised
    except ValueError as error:
        yield {"refused": f"the e-mail {error}."}
        return

    def find(connection: Connection) -> int:
        return sessions.active_staff(connection, runner.views(connection, CORE), normalised)

    with database.reading() as connection:
        staff_id = find(connection)
    if not staff_id:
        yield {"refused": "there is no active staff member with this e-mail."}
        return
    password = secrets.token_urlsafe(PASSWORD_OCTETS)
    hashed = hasher.hash(password)

    def keep(connection: Connection, _: int) -> None:
        sessions.keep_password(connection, staff_id, hashed)
        sessions.end_others(connection, staff_id)

    writer.submit_and_wait(partial(note_password, staff_id=staff_id), beside=keep)
    if second_factor_too:
        turn_off = partial(turn_off_second_factor, staff_id=staff_id)
        writer.submit_and_wait(turn_off, beside=second_factor.forget)
    yield {"password": password}
