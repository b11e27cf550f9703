"""Makes a large log quickly: through the domain's own commands and the writer, in big batches; then its read models.

Reads one job as JSON from standard input, writes what it made as JSON to standard output.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import uvloop
from api import CONTENT
from processes import ADMIN_EMAIL, ADMIN_KEY
from sqlalchemy import Connection, insert

from kanal.bootstrap import Store, appoint_first_administrator, open_database
from kanal.delivery.outbox import Outbox
from kanal.delivery.signing import new_secret
from kanal.domain.cases import (
    OpenedCase,
    add_note,
    add_staff_reply,
    add_user_message,
    change_case,
    open_case,
)
from kanal.domain.channels import create_channel
from kanal.domain.identities import Identification
from kanal.domain.work import Work
from kanal.eventlog.database import Database
from kanal.eventlog.migrate import migrate
from kanal.eventlog.projection import InlineProjection
from kanal.eventlog.stream_ids import StreamIds
from kanal.eventlog.tables import channel_secrets
from kanal.eventlog.writer import Writer
from kanal.projections import runner
from kanal.projections.registry import CORE, FOLLOWED
from kanal.settings import Settings

AT_ONCE = 2000
"""Commands that wait for the writer together: several of its largest batches."""
CASES_OF_A_USER = 3
EVENTS_OF_A_CASE = 12
"""A little more than there are, so that a log gets little longer than asked."""
NOTE_EVERY = 4
CLOSED_EVERY = 2
PARTS_OF_A_LONG_CASE = 100
"""Messages that one command adds."""
STAFF_ID = 1
"""The first administrator."""
DEFAULT_URL = "https://receiver.example/webhook"


def conversation(work: Work, *, at: int, channel_id: int, staff_id: int, messages: int) -> Any:
    """One case: user and staff take turns, with a note here and there; half of the cases end closed."""
    user = Identification(
        channel_id=channel_id,
        external_id=f"customer-{at // CASES_OF_A_USER}",
        details={"full_name": "Анна Example", "company_name": "Example Ltd"},
    )
    opened = open_case(work, who=user, channel="", subject="Where is my parcel?", content=CONTENT)
    _write_on(work, case=opened, staff_id=staff_id, messages=messages - 1)
    if messages > 1 and at % NOTE_EVERY == 0:
        add_note(work, case_id=opened.case_id, staff_id=staff_id, content="Called the carrier.")
    if messages > 1 and at % CLOSED_EVERY == 0:
        change_case(work, case_id=opened.case_id, status="closed")
    return opened


def _write_on(work: Work, *, case: OpenedCase, staff_id: int, messages: int) -> None:
    for at in range(messages):
        if at % 2:
            add_user_message(work, case_id=case.case_id, user_id=case.user_id, content=CONTENT)
        else:
            add_staff_reply(work, case_id=case.case_id, staff_id=staff_id, content=CONTENT)


class Filling:
    def __init__(self, writer: Writer, job: dict[str, Any], channel_id: int) -> None:
        self._writer = writer
        self._job = job
        self._channel_id = channel_id
        self._opened = 0

    async def run(self) -> dict[str, Any]:
        long_cases = [await self._long_case(number) for number in self._job.get("long", [])]
        events, cases = self._job.get("events", 0), self._job.get("cases", 0)
        while (missing := events - self._writer.position) > 0 or self._opened < cases:
            cases_missing = max(cases - self._opened, missing // EVENTS_OF_A_CASE, 1)
            await self._wave(min(AT_ONCE, cases_missing))
        return {
            "channel_id": self._channel_id,
            "events": self._writer.position,
            "cases": self._opened + len(long_cases),
            "long": long_cases,
        }

    async def _wave(self, number: int) -> None:
        self._opened += number
        await asyncio.gather(
            *(
                self._submit(self._conversation(at, self._job.get("messages", 5)))
                for at in range(self._opened - number, self._opened)
            )
        )

    def _conversation(self, at: int, messages: int) -> Callable[[Work], Any]:
        return partial(
            conversation, at=at, channel_id=self._channel_id, staff_id=STAFF_ID, messages=messages
        )

    async def _long_case(self, messages: int) -> int:
        opened: OpenedCase = await self._submit(self._conversation(-1, 1))
        left = messages - 1
        while left > 0:
            part = min(left, PARTS_OF_A_LONG_CASE)
            await self._submit(partial(_write_on, case=opened, staff_id=STAFF_ID, messages=part))
            left -= part
        return opened.case_id

    async def _submit(self, command: Callable[[Work], Any]) -> Any:
        done = await self._writer.submit(command, who="system", origin="import", request="")
        return done.result


def make_channel(writer: Writer, webhook_url: str) -> int:
    command = partial(
        create_channel,
        title="Bench",
        webhook_url=webhook_url,
        channel_type="sync",
        secret_fingerprint="bench",
    )

    def keep_secret(connection: Connection, channel_id: int) -> None:
        row = {
            "channel_id": channel_id,
            "created_at": time.time_ns() // 1000,
            "secret": new_secret(),
        }
        connection.execute(insert(channel_secrets).values(row))

    return writer.submit_and_wait(command, beside=keep_secret).result


@contextmanager
def writing(
    database: Database, stream_ids: StreamIds, inline: Iterable[InlineProjection] = ()
) -> Iterator[Writer]:
    writer = Writer(database, stream_ids, inline)
    writer.start()
    try:
        yield writer
    finally:
        writer.close()


def fill(job: dict[str, Any]) -> dict[str, Any]:
    settings = Settings.load(
        data_dir=Path(job["data_dir"]),
        database_url=job["database_url"],
        admin_email=ADMIN_EMAIL,
        admin_api_key=ADMIN_KEY,
    )
    with closing(open_database(settings)) as database:
        stream_ids = migrate(database)
        inline = runner.Inline(CORE, database)
        outbox = Outbox(settings.timezone, stream_ids)
        with writing(database, stream_ids, [outbox]) as writer:
            store = Store(settings, database, stream_ids, writer, inline, outbox)
            appoint_first_administrator(store)
            channel_id = make_channel(writer, job.get("webhook_url", DEFAULT_URL))
        # Without outbox and read models: what was written long ago is not sent, and models are built once.
        with writing(database, stream_ids) as writer:
            began = time.perf_counter()
            made = uvloop.run(Filling(writer, job, channel_id).run())
            filled = time.perf_counter()
            for _ in runner.build_missing(database, writer.run_and_wait, CORE + FOLLOWED, inline):
                pass
            built = time.perf_counter()
    return made | {"fill_seconds": filled - began, "build_seconds": built - filled}


if __name__ == "__main__":
    json.dump(fill(json.loads(sys.stdin.readline())), sys.stdout)
