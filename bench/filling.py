"""Makes a large log quickly: the domain's own commands decide, but in memory and in big batches; then its read models.

Reads one job as JSON from standard input, writes what it made as JSON to standard output.
"""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from api import CONTENT
from eventsourcing.persistence import StoredEvent
from processes import ADMIN_EMAIL, ADMIN_KEY, ADMIN_PASSWORD
from sqlalchemy import Connection, delete, insert, select

from kanal.bootstrap import Store, appoint_first_administrator, open_database
from kanal.delivery import kept_secrets
from kanal.delivery.outbox import Outbox
from kanal.delivery.signing import new_secret
from kanal.domain.cases import change_case
from kanal.domain.channels import ChannelType, create_channel
from kanal.domain.conversation import (
    OpenedCase,
    add_note,
    add_staff_reply,
    add_user_message,
    open_case,
)
from kanal.domain.event import Envelope, Event
from kanal.domain.identities import Identification
from kanal.domain.links import Contact
from kanal.domain.stream import Aggregate
from kanal.domain.work import Work
from kanal.eventlog.bell import Bell
from kanal.eventlog.database import Database
from kanal.eventlog.files import FileLinks
from kanal.eventlog.migrate import migrate
from kanal.eventlog.projection import InlineProjection
from kanal.eventlog.stream_ids import StreamIds
from kanal.eventlog.tables import counters
from kanal.eventlog.writer import Writer
from kanal.projections import runner
from kanal.projections.clean_html import clean_html
from kanal.projections.registry import CORE, FOLLOWED
from kanal.settings import Settings

S = TypeVar("S")

BATCH = 5000
"""Events in one transaction."""
CASES_OF_A_USER = 3
WORDS = 5000
"""From which varied subjects are made."""
NOTE_EVERY = 4
CLOSED_EVERY = 2
PART_OF_A_LONG_CASE = 100
"""Messages that one command adds."""
DAY = 24 * 3600 * 1_000_000
STAFF_ID = 1
"""The first administrator."""
MADE_BEFORE = {"channel", "staff"}
"""Kinds of streams that are in the log when the mass of it is made."""
DEFAULT_URL = "https://receiver.example/webhook"


def conversation(work: Work, *, at: int, channel_id: int, messages: int) -> OpenedCase:
    """One case: user and staff take turns, with a note here and there; half of the cases end closed."""
    user = Identification(
        channel_id=channel_id,
        external_id=f"customer-{at // CASES_OF_A_USER}",
        details={"full_name": "Анна Example", "company_name": "Example Ltd"},
    )
    opened = open_case(work, who=user, channel="", subject="Where is my parcel?", content=CONTENT)
    write_on(work, case=opened, messages=messages - 1)
    if messages > 1 and at % NOTE_EVERY == 0:
        add_note(work, case_id=opened.case_id, staff_id=STAFF_ID, content="Called the carrier.")
    if messages > 1 and at % CLOSED_EVERY == 0:
        change_case(work, case_id=opened.case_id, status="closed")
    return opened


def varied(work: Work, *, at: int, channel_id: int, messages: int) -> OpenedCase:
    """As `conversation`, but no two are alike: words of the subject from rare to common, priorities, statuses, e-mails."""
    choose = Random(at)
    number = at // CASES_OF_A_USER
    address = f"customer-{number}@example.com"
    user = Identification(
        channel_id=channel_id,
        external_id=f"customer-{number}",
        email=Contact("email", address, address, "bench") if number % 3 == 0 else None,
    )
    words = [f"слово{int(choose.paretovariate(0.5)) % WORDS}" for _ in range(4)]
    opened = open_case(
        work,
        who=user,
        subject=" ".join(words) + " ",
        content=CONTENT,
        priority=choose.choices(("low", "normal", "high", "critical"), (50, 870, 79, 1))[0],
    )
    for _ in range(1, messages):
        add_user_message(work, case_id=opened.case_id, user_id=opened.user_id, content=CONTENT)
    status = choose.choices(("open", "waiting", "closed"), (3, 7, 90))[0]
    change_case(work, case_id=opened.case_id, status=status, staff_id=choose.randint(0, 1))
    return opened


def write_on(work: Work, *, case: OpenedCase, messages: int) -> None:
    for at in range(messages):
        if at % 2:
            add_user_message(work, case_id=case.case_id, user_id=case.user_id, content=CONTENT)
        else:
            add_staff_reply(work, case_id=case.case_id, staff_id=STAFF_ID, content=CONTENT)


class Slot(NamedTuple):
    version: int
    state: Any
    stream_id: UUID


class Past:
    """The Work of many commands, in memory: the writer would look for each new stream in the log first."""

    def __init__(self, database: Database, stream_ids: StreamIds, now: int) -> None:
        """`now`: microseconds; what is made happens then, until it is set to be later."""
        self._database = database
        self._stream_ids = stream_ids
        self._slots: dict[tuple[str, str], Slot] = {}
        self._stored: list[StoredEvent] = []
        with database.reading() as connection:
            self._counters: dict[str, int] = {
                row.name: row.value for row in connection.execute(select(counters))
            }
            self.events = database.head(connection)
            """In the log, when all of it is stored."""
        self.now = now

    def load(self, aggregate: Aggregate[S], key: object) -> S:
        state: S = self._slot(aggregate, str(key)).state
        return state

    def record(self, aggregate: Aggregate[S], key: object, *events: Event) -> None:
        version, state, stream_id = self._slot(aggregate, str(key))
        for event in events:
            version, state = version + 1, aggregate.evolve(state, event)
            envelope = Envelope(self.now, "system", "api", str(key), None, event.about())
            body = self._database.mapper.encode(event, envelope)
            self._stored.append(StoredEvent(stream_id, version, event.NAME, body))
        self._slots[aggregate.kind, str(key)] = Slot(version, state, stream_id)
        self.events += len(events)

    def take(self, counter: str) -> int:
        number = self._counters.get(counter, 0) + 1
        self._counters[counter] = number
        return number

    def store(self, *, at_least: int = 1) -> None:
        """Into the log, if so many events wait."""
        if len(self._stored) < at_least:
            return
        with self._database.writer.begin() as connection:
            self._database.lock(connection)
            self._database.append(connection, self._stored)
            connection.execute(delete(counters))
            rows = [{"name": name, "value": value} for name, value in self._counters.items()]
            connection.execute(insert(counters), rows)
        self._stored = []

    def _slot(self, aggregate: Aggregate[Any], key: str) -> Slot:
        slot = self._slots.get((aggregate.kind, key))
        if slot is None:
            slot = Slot(0, aggregate.initial, self._stream_ids.of(aggregate, key))
            if aggregate.kind in MADE_BEFORE:
                slot = self._read(aggregate, slot)
            self._slots[aggregate.kind, key] = slot
        return slot

    def _read(self, aggregate: Aggregate[Any], slot: Slot) -> Slot:
        with self._database.reading() as connection:
            for recorded in self._database.streams(connection, [slot.stream_id]):
                state = aggregate.evolve(slot.state, recorded.event)
                slot = slot._replace(version=recorded.version, state=state)
        return slot


def fill_with_conversations(past: Past, job: dict[str, Any], channel_id: int) -> int:
    """Until there are as many events and cases as asked for; returns how many cases it opened."""
    opened = 0
    make = varied if job.get("varied") else conversation
    began, until = past.now, _now()
    while past.events < job.get("events", 0) or opened < job.get("cases", 0):
        make(past, at=opened, channel_id=channel_id, messages=job.get("messages", 5))
        opened += 1
        if "days" in job:
            past.now = began + (until - began) * opened // job["cases"]
        else:
            past.now = _now()
        past.store(at_least=BATCH)
    past.store()
    return opened


def make_channel(writer: Writer, webhook_url: str, channel_type: ChannelType) -> int:
    command = partial(
        create_channel,
        title="Bench",
        webhook_url=webhook_url,
        channel_type=channel_type,
        secret_fingerprint="bench",
    )

    def keep_secret(connection: Connection, channel_id: int) -> None:
        kept_secrets.keep(connection, channel_id, new_secret(), at=time.time_ns() // 1000)

    return writer.submit_and_wait(command, beside=keep_secret).result


def make_long_case(writer: Writer, channel_id: int, messages: int) -> int:
    """Through the writer, which keeps snapshots of it."""
    first = partial(conversation, at=-1, channel_id=channel_id, messages=1)
    opened = writer.submit_and_wait(first).result
    for done in range(1, messages, PART_OF_A_LONG_CASE):
        part = min(PART_OF_A_LONG_CASE, messages - done)
        writer.submit_and_wait(partial(write_on, case=opened, messages=part))
    return opened.case_id


@contextmanager
def writing(
    database: Database,
    stream_ids: StreamIds,
    inline: Iterable[InlineProjection] = (),
    at: int | None = None,
) -> Iterator[Writer]:
    """`at`: microseconds; what is written happens then, and not now."""
    clock = partial(int, at) if at else _now
    writer = Writer(database, stream_ids, inline, clock)
    writer.start()
    try:
        yield writer
    finally:
        writer.close()


def _now() -> int:
    return time.time_ns() // 1000


def fill(job: dict[str, Any]) -> dict[str, Any]:
    """`days` and `cases`: so many cases one after the other until now; without, all of it happens as it is made."""
    first = _now() - job.get("days", 0) * DAY
    settings = Settings.load(
        data_dir=Path(job["data_dir"]),
        database_url=job["database_url"],
        admin_email=ADMIN_EMAIL,
        admin_api_key=ADMIN_KEY,
        admin_password=ADMIN_PASSWORD,
    )
    with closing(open_database(settings)) as database:
        stream_ids = migrate(database)
        inline = runner.Inline(CORE, database)
        links = FileLinks("https://desk.example")
        outbox = Outbox(settings.timezone, stream_ids, links, clean_html)
        began = time.perf_counter()
        with writing(database, stream_ids, [outbox], first) as writer:
            store = Store(settings, database, stream_ids, writer, inline, outbox, Bell(), links)
            appoint_first_administrator(store)
            channel_type = job.get("channel_type", "sync")
            channel_id = make_channel(writer, job.get("webhook_url", DEFAULT_URL), channel_type)
        # From here on without the outbox: what was written long ago is not to be sent.
        with writing(database, stream_ids, at=first) as writer:
            long = [make_long_case(writer, channel_id, each) for each in job.get("long", [])]
        past = Past(database, stream_ids, first)
        cases = fill_with_conversations(past, job, channel_id)
        filled = time.perf_counter()
        with writing(database, stream_ids) as writer:
            for _ in runner.build_missing(database, writer.run_and_wait, CORE + FOLLOWED, inline):
                pass
        built = time.perf_counter()
    return {
        "channel_id": channel_id,
        "events": past.events,
        "cases": cases + len(long),
        "long": long,
        "fill_seconds": filled - began,
        "build_seconds": built - filled,
    }


if __name__ == "__main__":
    json.dump(fill(json.loads(sys.stdin.readline())), sys.stdout)
