"""Reading the log: a time maps to one position, a reader sees one moment, and what is unknown is named."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from open_log import OpenLog, open_log
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from kanal.domain.event import Envelope
from kanal.domain.groups import GROUPS, GroupCreated, create_group
from kanal.eventlog.mapper import EventMapper, UnknownEvent


def leave_a_gap(log: OpenLog, positions: int) -> None:
    """As a transaction that was rolled back leaves it."""

    def burn(connection: Connection) -> None:
        if log.database.shared:
            sequence = "pg_get_serial_sequence('events', 'notification_id')"
            for _ in range(positions):
                connection.execute(text(f"SELECT nextval({sequence})"))
        else:
            connection.execute(
                text("UPDATE sqlite_sequence SET seq = seq + :n WHERE name = 'events'"),
                {"n": positions},
            )

    log.writer.run_and_wait(burn)


TIMES = [10, 10, 10, 20, 30, 30, 45, 60, 60, 60, 61]


@pytest.fixture
def timed(database_url: str, data_dir: Path) -> Iterator[OpenLog]:
    """Events at TIMES, with gaps between their positions."""
    times = iter(TIMES)
    with open_log(database_url, data_dir, clock=lambda: next(times)) as log:
        for number in range(len(TIMES)):
            log.do(create_group, title="x")
            leave_a_gap(log, number % 4)
        yield log


def test_a_time_maps_to_the_last_event_that_is_not_later(timed: OpenLog) -> None:
    events = timed.events()
    assert events[-1].position > len(TIMES)
    moments = [0, *(time + offset for time in TIMES for offset in (-1, 0, 1)), 10**18]
    with timed.database.reading() as connection:
        found = {at: timed.database.position_at(connection, at) for at in moments}
    assert found == {
        at: max((r.position for r in events if r.envelope.at <= at), default=0) for at in moments
    }


def test_an_empty_log_has_no_position(log: OpenLog) -> None:
    with log.database.reading() as connection:
        assert log.database.position_at(connection, 10**18) == 0
        assert log.database.head(connection) == 0


def test_events_are_read_behind_a_position_up_to_another_and_so_many(timed: OpenLog) -> None:
    database, events = timed.database, timed.events()
    places = [recorded.position for recorded in events]
    assert database.events_after(places[2]) == events[3:]
    assert database.events_after(places[2], limit=2) == events[3:5]
    assert database.events_after(places[2], upto=places[4]) == events[3:5]
    assert database.events_after(places[-1]) == []


def test_a_stream_is_read_in_order_from_a_version_up_to_a_position(log: OpenLog) -> None:
    def several(work: object) -> None:
        for key in (1, 2, 1, 2, 1):
            work.record(GROUPS, key, GroupCreated(key, "x", "", ""))  # type: ignore[attr-defined]

    log.do(several)
    events = log.events()
    one, two = (log.stream_ids.of(GROUPS, key) for key in ("1", "2"))
    with log.database.reading() as connection:

        def read(*ids: object, **limits: int) -> list[tuple[str, int]]:
            found = log.database.streams(connection, ids, **limits)  # type: ignore[arg-type]
            return [(recorded.stream_id, recorded.version) for recorded in found]

        assert read(one, two) == [(r.stream_id, r.version) for r in events]
        assert read(one) == [(one.hex, 1), (one.hex, 2), (one.hex, 3)]
        assert read(one, after=1) == [(one.hex, 2), (one.hex, 3)]
        assert read(one, upto=events[2].position) == [(one.hex, 1), (one.hex, 2)]
        assert read() == []


def test_a_reader_sees_one_moment(log: OpenLog) -> None:
    log.do(create_group, title="a")
    with log.database.reading() as connection:
        before = log.database.head(connection)
        log.do(create_group, title="b")
        assert log.database.head(connection) == before
    with log.database.reading() as connection:
        assert log.database.head(connection) > before


def test_a_reader_cannot_write(data_dir: Path) -> None:
    with (
        open_log("", data_dir) as log,
        log.database.reading() as connection,
        pytest.raises(OperationalError, match="readonly"),
    ):
        connection.execute(text("DELETE FROM counters"))


async def test_queries_run_beside_the_event_loop(log: OpenLog) -> None:
    await log.submit(create_group, title="a")
    assert await log.database.read(log.database.head) == log.events()[-1].position


def test_an_event_of_a_newer_version_is_named() -> None:
    with pytest.raises(UnknownEvent, match=r"case.teleported.9.*does not know"):
        EventMapper().decode("case.teleported.9", b"{}")


def test_an_envelope_without_a_cause_is_read() -> None:
    body = EventMapper().encode(
        GroupCreated(1, "x", "", ""), Envelope(at=1, who="system", origin="cli", request="")
    )
    event, envelope = EventMapper().decode("group.created.1", body)
    assert (event, envelope.cause, envelope.about) == (GroupCreated(1, "x", "", ""), None, ())
