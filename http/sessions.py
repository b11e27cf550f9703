"""Who is signed in: kept rows (eventlog/tables.py), found by the hash of a token that only the browser has."""

import hashlib
import secrets
from typing import Final, NamedTuple

from sqlalchemy import Connection, and_, delete, func, insert, select, update

from kanal.domain.access import Scope
from kanal.eventlog.tables import (
    guesses,
    invitations,
    passwords,
    preferences,
    second_factors,
    sessions,
)
from kanal.http import contacts, second_factor
from kanal.projections.access import scope_of_role
from kanal.projections.read_model import Views

TOKEN_OCTETS: Final = 32
DAY: Final = 24 * 3600 * 1_000_000
LIFETIME: Final = 30 * DAY
"""After it whoever is signed in signs in again."""
SEEN_EVERY: Final = 600 * 1_000_000
"""Writing down each request would cost more than the request."""
INVITATION_LIFETIME: Final = 3 * DAY
ALERTS: Final = ("sound", "title", "notice")
"""What may tell of news while nobody looks: a tone, a number in the title, a notification of the browser's."""
FIRST_ALERTS: Final = "sound title"
"""Until somebody decides; a browser has to be asked before it notifies."""
MAX_AGENT: Final = 200
"""Characters that are kept of what a browser says it is."""


class SignedIn(NamedTuple):
    """Whose browser it is."""

    session_id: str
    staff_id: int
    email: str
    """As it was given."""
    full_name: str
    language: str
    """"" as the browser likes."""
    theme: str
    alerts: str
    """Those of ALERTS that are wanted, with blanks between."""
    seen_at: int
    second_factor: bool
    """Whether a code is asked for when they sign in."""
    scope: Scope
    """At the moment of reading."""


class SessionRow(NamedTuple):
    session_id: str
    created_at: int
    seen_at: int
    address: str
    agent: str


class Account(NamedTuple):
    """What a password is compared with."""

    staff_id: int
    password_hash: str
    second_factor: bool
    """Whether a code is asked for as well."""


def new_token() -> str:
    return secrets.token_urlsafe(TOKEN_OCTETS)


def id_of(token: str) -> str:
    return hashlib.sha256(octets(token)).hexdigest()


def octets(sent: str) -> bytes:
    """As they came: what is no UTF-8 in a header reaches us as half surrogates."""
    return sent.encode("utf-8", "surrogateescape")


def find(connection: Connection, views: Views, session_id: str, now: int) -> SignedIn | None:
    """None once it has expired or was revoked, and while its owner is disabled."""
    staff = views.staff["staff"]
    query = (
        select(
            sessions.c.session_id,
            staff.c.staff_id,
            staff.c.email,
            staff.c.full_name,
            func.coalesce(preferences.c.language, ""),
            func.coalesce(preferences.c.theme, ""),
            func.coalesce(preferences.c.alerts, FIRST_ALERTS),
            sessions.c.seen_at,
            func.coalesce(second_factors.c.confirmed, False),
            staff.c.role_id,
        )
        .join_from(sessions, staff, staff.c.staff_id == sessions.c.staff_id)
        .outerjoin(preferences, preferences.c.staff_id == sessions.c.staff_id)
        .outerjoin(second_factors, second_factors.c.staff_id == sessions.c.staff_id)
        .where(
            sessions.c.session_id == session_id,
            sessions.c.expires_at > now,
            staff.c.active.is_(True),
        )
    )
    row = connection.execute(query).first()
    if row is None:
        return None
    scope = scope_of_role(connection, views, row.staff_id, row.role_id)
    return SignedIn._make((*row[:-1], scope))


def account_of(connection: Connection, views: Views, email: str) -> Account | None:
    """Of an active staff member with a password. `email`: normalised."""
    staff_id = active_staff(connection, views, email)
    password_hash = password_of(connection, staff_id) if staff_id else ""
    if not password_hash:
        return None
    return Account(staff_id, password_hash, second_factor.is_on(connection, staff_id))


def active_staff(connection: Connection, views: Views, email: str) -> int:
    """Whose normalised e-mail it is, 0 for nobody's. The staff are few, so all of them are looked at."""
    staff = views.staff["staff"].c
    for staff_id, given in connection.execute(
        select(staff.staff_id, staff.email).where(staff.active.is_(True))
    ).all():
        if email in (given.lower(), contacts.email(given).normalised):
            return int(staff_id)
    return 0


def begin(
    connection: Connection, session_id: str, staff_id: int, *, now: int, address: str, agent: str
) -> None:
    connection.execute(delete(sessions).where(sessions.c.expires_at <= now))
    row = {
        "session_id": session_id,
        "staff_id": staff_id,
        "created_at": now,
        "seen_at": now,
        "expires_at": now + LIFETIME,
        "address": address,
        "agent": octets(agent).decode("utf-8", "replace")[:MAX_AGENT],
    }
    connection.execute(insert(sessions).values(row))


def seen(connection: Connection, session_id: str, *, now: int, address: str) -> None:
    own = update(sessions).where(sessions.c.session_id == session_id)
    connection.execute(own.values(seen_at=now, address=address))


def of_staff(connection: Connection, staff_id: int, now: int) -> list[SessionRow]:
    """The one that was used last first."""
    columns = [sessions.c[name] for name in SessionRow._fields]
    query = select(*columns).where(sessions.c.staff_id == staff_id, sessions.c.expires_at > now)
    rows = connection.execute(query.order_by(sessions.c.seen_at.desc()))
    return [SessionRow._make(row) for row in rows]


def end(connection: Connection, session_id: str, staff_id: int) -> None:
    """Nobody can end what is another's."""
    own = and_(sessions.c.session_id == session_id, sessions.c.staff_id == staff_id)
    connection.execute(delete(sessions).where(own))


def end_others(connection: Connection, staff_id: int, session_id: str = "") -> None:
    """All of that staff member's but this one."""
    others = and_(sessions.c.staff_id == staff_id, sessions.c.session_id != session_id)
    connection.execute(delete(sessions).where(others))


def end_all(connection: Connection, staff_id: int) -> None:
    """Whoever is disabled or deleted is signed out everywhere, and comes back by no link of before."""
    end_others(connection, staff_id)
    connection.execute(delete(invitations).where(invitations.c.staff_id == staff_id))


def keep_password(connection: Connection, staff_id: int, password_hash: str) -> None:
    """In place of the former one, whose links are void from here on; whoever knew that one guesses no more codes."""
    connection.execute(delete(passwords).where(passwords.c.staff_id == staff_id))
    connection.execute(insert(passwords).values(staff_id=staff_id, hash=password_hash))
    for table in (invitations, guesses):
        connection.execute(delete(table).where(table.c.staff_id == staff_id))


def password_of(connection: Connection, staff_id: int) -> str:
    """Its hash, "" if they have none."""
    return connection.scalar(select(passwords.c.hash).where(passwords.c.staff_id == staff_id)) or ""


def invite(connection: Connection, invitation_id: str, staff_id: int, now: int) -> None:
    """One link at a time: a new one makes the former void."""
    connection.execute(delete(invitations).where(invitations.c.staff_id == staff_id))
    row = {
        "invitation_id": invitation_id,
        "staff_id": staff_id,
        "expires_at": now + INVITATION_LIFETIME,
    }
    connection.execute(insert(invitations).values(row))


def invited(connection: Connection, views: Views, invitation_id: str, now: int) -> int:
    """Whom the link is for, 0 if it is void."""
    staff = views.staff["staff"].c
    query = (
        select(invitations.c.staff_id)
        .join_from(invitations, views.staff["staff"], staff.staff_id == invitations.c.staff_id)
        .where(
            invitations.c.invitation_id == invitation_id,
            invitations.c.expires_at > now,
            staff.active.is_(True),
        )
    )
    return connection.scalar(query) or 0


def accept(connection: Connection, invitation_id: str, staff_id: int, password_hash: str) -> bool:
    """Whether the link was good yet, which it is once. All that were signed in as them are not any more."""
    i = invitations.c
    own = delete(invitations).where(i.invitation_id == invitation_id, i.staff_id == staff_id)
    if connection.execute(own).rowcount != 1:
        return False
    keep_password(connection, staff_id, password_hash)
    end_others(connection, staff_id)
    return True


def prefer(connection: Connection, staff_id: int, **wishes: str) -> None:
    """`wishes`: any columns of preferences; the others stay."""
    own = preferences.c.staff_id == staff_id
    if connection.scalar(select(preferences.c.staff_id).where(own)):
        connection.execute(update(preferences).where(own).values(**wishes))
    else:
        row = {"language": "", "theme": "", "alerts": FIRST_ALERTS, **wishes}
        connection.execute(insert(preferences).values(staff_id=staff_id, **row))
