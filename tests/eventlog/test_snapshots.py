"""Loading a stream costs the same at any length, and a snapshot is never taken for more than it is."""

from pathlib import Path
from typing import Any

import pytest
from open_log import OpenLog, open_log
from sqlalchemy import select, update

from kanal.domain.cases import CASES, Case
from kanal.domain.conversation import add_staff_reply, add_user_message, open_case
from kanal.domain.custom_fields import GivenValues, create_field
from kanal.domain.event import Envelope, Event
from kanal.domain.identities import Identification
from kanal.domain.labels import create_label
from kanal.domain.links import Contact
from kanal.domain.staff import create_staff
from kanal.domain.work import Work
from kanal.eventlog.mapper import EventMapper
from kanal.eventlog.tables import snapshots
from kanal.eventlog.writer import SNAPSHOT_EVERY

MESSAGES = 1_000


class CountingMapper(EventMapper):
    def __init__(self) -> None:
        super().__init__()
        self.decoded = 0

    def decode(self, name: str, body: bytes) -> tuple[Event, Envelope]:
        self.decoded += 1
        return super().decode(name, body)


def contact(address: str) -> Contact:
    return Contact("email", address, address, "test.1")


def long_case(log: OpenLog) -> None:
    """Case 1, with a label and a custom field's value: many messages of both sides, in many transactions."""
    log.do(create_staff, email=contact("s@example.com"), full_name="S", key_fingerprint="f")
    log.do(create_label, title="VIP")
    log.do(create_field, title="Urgent", field_type="checkbox", field_level="case")
    log.do(
        open_case,
        who=Identification(email=contact("a@example.com")),
        content="x",
        labels=[1],
        given_values=GivenValues(day=str, values={"cf_1": "1"}),
    )

    def talk(work: Work) -> None:
        for _ in range(MESSAGES // 20 // 2):
            add_user_message(work, case_id=1, user_id=1, content="x")
            add_staff_reply(work, case_id=1, staff_id=1, content="y")

    for _ in range(20):
        log.do(talk)


def folded(log: OpenLog) -> Case:
    """The state by the whole stream."""
    state = Case()
    for recorded in log.events():
        if getattr(recorded.event, "case_id", 0) == 1:
            state = CASES.evolve(state, recorded.event)
    return state


def loaded(log: OpenLog) -> tuple[Case, int]:
    """The state as a command gets it, and how many events were read for it."""
    counting: Any = CountingMapper()
    log.database.mapper = counting
    return log.do(lambda work: work.load(CASES, 1)), counting.decoded


@pytest.fixture
def long_log(database_url: str, data_dir: Path) -> None:
    with open_log(database_url, data_dir) as log:
        long_case(log)


@pytest.mark.usefixtures("long_log")
def test_a_long_stream_is_loaded_from_its_last_snapshot(database_url: str, data_dir: Path) -> None:
    with open_log(database_url, data_dir) as log:
        state, read = loaded(log)
        assert read <= SNAPSHOT_EVERY
        assert state == folded(log)
        assert state.version > 2 * MESSAGES
        again, read = loaded(log)
        assert (again, read) == (state, 0)


@pytest.mark.usefixtures("long_log")
def test_a_snapshot_of_another_shape_is_not_used(database_url: str, data_dir: Path) -> None:
    with open_log(database_url, data_dir) as log:
        stream_id = log.stream_ids.of(CASES, "1").hex

        def reshape(connection: Any) -> None:
            shape = {"shape": "case:case_id", "state": b'{"case_id":77}'}
            ours = snapshots.c.stream_id == stream_id
            connection.execute(update(snapshots).where(ours).values(shape))

        log.writer.run_and_wait(reshape)
        state, read = loaded(log)
        assert state == folded(log)
        assert read == state.version
        # It is replaced when the stream has grown enough.
        for _ in range(SNAPSHOT_EVERY):
            log.do(add_user_message, case_id=1, user_id=1, content="x")
    with open_log(database_url, data_dir) as log:
        assert loaded(log)[1] <= SNAPSHOT_EVERY


def test_a_stream_has_one_snapshot_and_a_short_one_has_none(
    database_url: str, data_dir: Path
) -> None:
    with open_log(database_url, data_dir) as log:
        long_case(log)
        with log.database.reading() as connection:
            found = connection.scalars(select(snapshots.c.stream_id)).all()
        assert found == [log.stream_ids.of(CASES, "1").hex]
