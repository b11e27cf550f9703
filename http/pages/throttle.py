"""How often a password or a code may be tried in vain; kept rows (eventlog/tables.py), so that all processes count together.

Nobody can lock somebody else out: a browser in which one has signed in before, and a session, are counted for themselves
alone (OWASP, device cookies), whatever else comes from their address. A try counts as failed from its beginning, so that many at once are no more than many in a row.
"""

from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address
from typing import Final, NamedTuple

from sqlalchemy import Connection, and_, delete, insert, select, update

from kanal.eventlog.stream_ids import StreamIds
from kanal.eventlog.tables import guesses
from kanal.http import contacts

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOST_BITS: Final = 64
"""Of an IPv6 address: whoever has one has all that differ in these alone."""


class Limit(NamedTuple):
    tries: int
    """In vain, at once."""
    every: int
    """Microseconds after which one of them is forgiven."""
    most: int = 0
    """In vain since one was right, whenever they were; 0: not counted."""


OF_ADDRESS: Final = Limit(40, 15 * MINUTE // 40)
"""An office stands behind one."""
OF_PASSWORD: Final = Limit(10, 15 * MINUTE)
"""Whoever mistypes needs three. A hundred thousand guesses would take three years."""
OF_CODE: Final = Limit(10, 60 * MINUTE, 100)
"""Three codes of a million are right at any time, so guesses succeed sooner or later unless they end (NIST SP 800-63B, 5.2.2)."""
EVER: Final = 10**9
"""Seconds to wait for what time alone does not give back."""


class Count(NamedTuple):
    """For whom or what a try counts."""

    name: str
    limit: Limit
    staff_id: int = 0
    """Who gets it back with a new password; 0 where it is forgiven in any case."""


def of_address(address: str) -> Count:
    return Count(f"address/{_network(address)}", OF_ADDRESS)


def of_account(email: str) -> Count:
    """Of browsers that nobody has signed in with; also of accounts that there are not."""
    return Count(f"account/{account_of(email)}", OF_PASSWORD)


def of_browser(staff_id: int, browser: str) -> Count:
    return Count(f"browser/{staff_id}/{browser}", OF_PASSWORD)


def of_session(session_id: str) -> Count:
    """Where somebody who is signed in proves anew who they are."""
    return Count(f"session/{session_id}", OF_PASSWORD)


def of_codes(staff_id: int, browser: str) -> Count:
    """`browser`: "" for all in which they have not signed in before."""
    return Count(f"code/{staff_id}/{browser}", OF_CODE, staff_id)


def account_of(email: str) -> str:
    """One account however its e-mail is spelled."""
    try:
        return contacts.email(email).normalised
    except ValueError:
        return email.strip().lower()[: contacts.MAX_LENGTH]


class Throttle:
    """Its methods are for the writer's transaction."""

    def __init__(self, stream_ids: StreamIds) -> None:
        self._stream_ids = stream_ids

    def attempt(self, connection: Connection, counts: Iterable[Count], now: int) -> int:
        """Seconds until they may try; at 0 they try now, which counts as failed unless `succeeded` or `not_made` is told later."""
        g = guesses.c
        connection.execute(delete(guesses).where(g.until <= now, g.failed == 0))
        rows = [(each, self._row(connection, each)) for each in counts]
        if wait := max(_wait(each.limit, row, now) for each, row in rows):
            return wait
        for each, row in rows:
            until = max(row.until, now) + each.limit.every
            failed = row.failed + 1 if each.limit.most else 0
            self._keep(connection, each, Row(until, failed))
        return 0

    def succeeded(self, connection: Connection, own: Count, *others: Count) -> None:
        """`others`: other failures of theirs stay, since an address may own one account and try others."""
        self.forget(connection, own)
        self.not_made(connection, others)

    def not_made(self, connection: Connection, counts: Iterable[Count]) -> None:
        """An attempt that came to no comparison, or only to half of what was asked for."""
        for each in counts:
            if row := self._found(connection, each):
                left = Row(row.until - each.limit.every, max(0, row.failed - 1))
                self._keep(connection, each, left)

    def forget(self, connection: Connection, count: Count) -> None:
        connection.execute(delete(guesses).where(guesses.c.subject == self._subject(count)))

    def _row(self, connection: Connection, count: Count) -> "Row":
        return self._found(connection, count) or Row(0, 0)

    def _found(self, connection: Connection, count: Count) -> "Row | None":
        g = guesses.c
        query = select(g.until, g.failed).where(g.subject == self._subject(count))
        row = connection.execute(query).first()
        return Row._make(row) if row else None

    def _keep(self, connection: Connection, count: Count, row: "Row") -> None:
        subject = self._subject(count)
        own = update(guesses).where(guesses.c.subject == subject)
        if not connection.execute(own.values(**row._asdict())).rowcount:
            new = {"subject": subject, "staff_id": count.staff_id, **row._asdict()}
            connection.execute(insert(guesses).values(new))

    def _subject(self, count: Count) -> str:
        return self._stream_ids.keyed_hash(
            f"guesses/{count.name}".encode("utf-8", "surrogateescape")
        ).hex()


class Row(NamedTuple):
    until: int
    """When the last of them is forgiven, in microseconds."""
    failed: int


def _wait(limit: Limit, row: Row, now: int) -> int:
    if limit.most and row.failed >= limit.most:
        return EVER
    left = row.until - (limit.tries - 1) * limit.every - now
    return -(-left // SECOND) if left > 0 else 0


def codes_in_vain(connection: Connection, staff_id: int) -> int:
    """Since one was right, in all browsers: whoever typed them knew the password."""
    g = guesses.c
    query = select(g.failed).where(and_(g.staff_id == staff_id, g.failed > 0))
    return sum(connection.scalars(query))


def _network(address: str) -> str:
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if not isinstance(ip, IPv6Address):
        return address
    if ip.ipv4_mapped:
        return str(ip.ipv4_mapped)
    return f"{int(ip) >> HOST_BITS:x}/{HOST_BITS}"
