"""The second step of signing in: codes of an authenticator (RFC 6238) and recovery codes; kept rows (eventlog/tables.py).

Secrets are kept as they are, since codes are made of them; whoever has a backup has them, but no password.
"""

import hashlib
import hmac
import secrets
from base64 import b32decode, b32encode
from typing import Final, NamedTuple
from urllib.parse import quote, urlencode

from sqlalchemy import Connection, delete, insert, select, update

from kanal.eventlog.tables import guesses, recovery_codes, second_factors

SECRET_OCTETS: Final = 20
"""As long as the hash that authenticators use (RFC 4226, 4)."""
STEP: Final = 30
DIGITS: Final = 6
"""Both are all that the common authenticators know."""
DRIFT: Final = 1
"""Steps that a clock may be before or behind ours (RFC 6238, 5.2)."""
RECOVERY_CODES: Final = 10
RECOVERY_OCTETS: Final = 10
"""Too many possibilities to be tried even by whoever has the hashes."""
GROUP: Final = 4
"""Characters of a secret or code between blanks, for whoever types them."""
ISSUER: Final = "Kanal"


class SecondFactor(NamedTuple):
    secret: str
    """Base32, as authenticators take it."""
    confirmed: bool
    """Whether a code was right once; before that it is not asked for."""


def new_secret() -> str:
    return b32encode(secrets.token_bytes(SECRET_OCTETS)).decode()


def code_of(secret: str, step: int) -> str:
    mac = hmac.digest(b32decode(secret), step.to_bytes(8, "big"), "sha1")
    place = mac[-1] & 0x0F
    number = int.from_bytes(mac[place : place + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**DIGITS:0{DIGITS}d}"


def step_of(secret: str, code: str, seconds: float) -> int | None:
    """The step whose code it is, if that is now or next to it."""
    given = "".join(code.split()).encode("utf-8", "surrogateescape")
    now = int(seconds) // STEP
    found = None
    for step in range(now - DRIFT, now + DRIFT + 1):
        if hmac.compare_digest(code_of(secret, step).encode(), given):
            found = step
    return found


def address_of(secret: str, email: str) -> str:
    """What an authenticator reads from the picture."""
    label = quote(f"{ISSUER}:{email}", safe=":")
    return f"otpauth://totp/{label}?{urlencode({'secret': secret, 'issuer': ISSUER})}"


def new_recovery_codes() -> list[str]:
    made = (b32encode(secrets.token_bytes(RECOVERY_OCTETS)).decode() for _ in range(RECOVERY_CODES))
    return [in_groups(each.lower()) for each in made]


def in_groups(text: str) -> str:
    return " ".join(text[at : at + GROUP] for at in range(0, len(text), GROUP))


def find(connection: Connection, staff_id: int) -> SecondFactor | None:
    c = second_factors.c
    row = connection.execute(select(c.secret, c.confirmed).where(c.staff_id == staff_id)).first()
    return SecondFactor._make(row) if row else None


def is_on(connection: Connection, staff_id: int) -> bool:
    found = find(connection, staff_id)
    return found is not None and found.confirmed


def having(connection: Connection) -> set[int]:
    """Ids of staff who are asked for it."""
    c = second_factors.c
    return set(connection.scalars(select(c.staff_id).where(c.confirmed.is_(True))))


def recovery_codes_left(connection: Connection, staff_id: int) -> int:
    c = recovery_codes.c
    return len(connection.scalars(select(c.code_hash).where(c.staff_id == staff_id)).all())


def begin(connection: Connection, staff_id: int, secret: str) -> None:
    """Keep a secret until a code of it was right; one that is in force stays as it is."""
    if not is_on(connection, staff_id):
        forget(connection, staff_id)
        row = {"staff_id": staff_id, "secret": secret, "confirmed": False, "last_step": 0}
        connection.execute(insert(second_factors).values(row))


def confirm(connection: Connection, staff_id: int, step: int, codes: list[str]) -> None:
    """Beside the command that turns it on. `step`: of the code that was right, which is used up by that."""
    own = second_factors.c.staff_id == staff_id
    connection.execute(update(second_factors).where(own).values(confirmed=True, last_step=step))
    keep_recovery_codes(connection, staff_id, codes)


def keep_recovery_codes(connection: Connection, staff_id: int, codes: list[str]) -> None:
    """In place of those that there were."""
    connection.execute(delete(recovery_codes).where(recovery_codes.c.staff_id == staff_id))
    rows = [{"staff_id": staff_id, "code_hash": _hash(code)} for code in codes]
    connection.execute(insert(recovery_codes), rows)


def forget(connection: Connection, staff_id: int) -> None:
    """Beside the command that turns it off, or deletes the staff member."""
    for table in (second_factors, recovery_codes, guesses):
        connection.execute(delete(table).where(table.c.staff_id == staff_id))


def use(connection: Connection, staff_id: int, code: str, seconds: float) -> bool:
    """Whether the code of an authenticator lets them in: once, and none of an earlier step after it."""
    found = find(connection, staff_id)
    step = step_of(found.secret, code, seconds) if found and found.confirmed else None
    if step is None:
        return False
    c = second_factors.c
    unused = update(second_factors).where(c.staff_id == staff_id, c.last_step < step)
    return connection.execute(unused.values(last_step=step)).rowcount == 1


def use_recovery_code(connection: Connection, staff_id: int, code: str) -> bool:
    """Whether the code lets them in, for this one time."""
    c = recovery_codes.c
    own = delete(recovery_codes).where(c.staff_id == staff_id, c.code_hash == _hash(code))
    return connection.execute(own).rowcount == 1


def _hash(code: str) -> str:
    plain = "".join(code.lower().replace("-", "").split())
    return hashlib.sha256(plain.encode("utf-8", "surrogateescape")).hexdigest()
