"""A key for whoever has lost theirs: what `kanal staff new-key` does in the process that owns the log."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection

from kanal.domain.errors import DomainError, StaffNotFound
from kanal.domain.staff import STAFF_EMAILS, NewKey, active_staff, issue_key
from kanal.domain.work import Work
from kanal.eventlog.stream_ids import StreamIds
from kanal.eventlog.writer import Writer
from kanal.http import contacts, keys

NAME = "made by the operator"


class LostKeys:
    """Blocking: for a thread of its own, or for the command line."""

    def __init__(self, writer: Writer, stream_ids: StreamIds) -> None:
        self._writer = writer
        self._stream_ids = stream_ids

    def steps(self, email: str) -> Iterator[dict[str, Any]]:
        """One step: {"answer": {"key_id", "staff_id", "key"}} or {"refused": a sentence}."""
        try:
            yield {"answer": self._made(email)}
        except (DomainError, ValueError) as refusal:
            yield {"refused": str(refusal)}

    def _made(self, email: str) -> dict[str, Any]:
        """Raises StaffNotFound, StaffNotActive, ValueError."""
        login = contacts.email(email).normalised
        made = keys.new_key(self._stream_ids)

        def issue(work: Work) -> NewKey:
            staff_id = work.load(STAFF_EMAILS, login)
            if not staff_id:
                raise StaffNotFound(email)
            active_staff(work, staff_id)
            return issue_key(work, staff_id=staff_id, name=NAME, fingerprint=made.fingerprint)

        def keep(connection: Connection, new: NewKey) -> None:
            keys.keep(
                connection, staff_id=new.staff_id, key_id=new.key_id, email=login, hash=made.hash
            )

        new = self._writer.submit_and_wait(issue, beside=keep).result
        return {"key_id": new.key_id, "staff_id": new.staff_id, "key": made.key}
