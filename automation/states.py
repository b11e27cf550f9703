"""States of streams for who reads the log and must not hold up the writer with questions."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import Connection, select

from kanal.domain.business_hours import BUSINESS_HOURS
from kanal.domain.case_events import CaseOpened
from kanal.domain.cases import CASES, Case
from kanal.domain.conditions import TIMES
from kanal.domain.event import Event
from kanal.domain.response_targets import RESPONSE_TARGETS, Deadlines
from kanal.domain.stream import Aggregate, Recorded
from kanal.domain.users import USERS, UserRegistered
from kanal.eventlog.database import Database
from kanal.eventlog.snapshots import read_snapshot
from kanal.eventlog.stream_ids import StreamIds
from kanal.projections.measured_cases import OF_ACCOUNT, OF_CASES, Account, Measured, Reading

S = TypeVar("S")

KEPT: Final = 20_000
"""States in memory, about 1 KB each."""
PAST_KEPT: Final = 100_000
"""The same in a process of its own, which ends soon."""
NO_CASE: Final = 0
MEASURED: Final = (*OF_CASES, *OF_ACCOUNT)
BEGINNINGS: Final[dict[type[Event], Aggregate[Any]]] = {CaseOpened: CASES, UserRegistered: USERS}
"""Streams of which there are many, known by their first events: whoever reads a log from there on need not look for them."""


class _Kept(NamedTuple):
    aggregate: Aggregate[Any]
    version: int
    state: Any


class _Reader:
    """Asks the database inside of `reading` alone."""

    def __init__(self, database: Database, stream_ids: StreamIds) -> None:
        self._database = database
        self._stream_ids = stream_ids
        self._connection: Connection | None = None
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with self._database.reading() as connection:
            self._connection = connection
            try:
                yield connection
            finally:
                self._connection = None

    def _measured(self, case_id: int, upto: int | None = None) -> Reading:
        """What statistics know of that case, of its events and the account's."""
        assert self._connection
        streams = [
            self._stream_ids.of(CASES, str(case_id)),
            self._stream_ids.of(BUSINESS_HOURS, "all"),
            self._stream_ids.of(RESPONSE_TARGETS, "all"),
        ]
        reading = Reading(Account(), {})
        for recorded in self._database.streams(self._connection, streams, upto=upto):
            if isinstance(recorded.event, MEASURED):
                reading.read(recorded)
        return reading


class LogStates(_Reader):
    """Loads inside of `reading` alone. What is loaded is as new as the log; `follow` keeps it so. Not for several threads at once."""

    def load(self, aggregate: Aggregate[S], key: object) -> S:
        stream_id = self._stream_ids.of(aggregate, str(key))
        kept = self._kept.get(stream_id.hex)
        if kept is None:
            assert self._connection
            version, state = read_snapshot(self._connection, aggregate, stream_id)
            events = self._database.streams(self._connection, [stream_id], after=version)
            for recorded in events:
                version, state = recorded.version, aggregate.evolve(state, recorded.event)
            kept = self._kept[stream_id.hex] = _Kept(aggregate, version, state)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(stream_id.hex)
        return kept.state  # type: ignore[no-any-return]

    def time_of(self, case_id: int, version: int) -> int | None:
        """When that event of the case was recorded."""
        assert self._connection
        stream_id = self._stream_ids.of(CASES, str(case_id))
        return _time_of(self._database, self._connection, stream_id, version)

    def times_of(self, case: Case) -> dict[int, int]:
        """By version: of all that conditions may count from."""
        versions = {version(case) for version in TIMES.values()} - {0}
        found = {version: self.time_of(case.case_id, version) for version in versions}
        return {version: at for version, at in found.items() if at is not None}

    def deadlines_of(self, case_id: int) -> Deadlines:
        """As the statistics set them."""
        return _deadlines(self._measured(case_id).cases.get(case_id))

    def follow(self, events: Iterable[Recorded]) -> None:
        """What has been recorded, in order; what is known already is passed over."""
        for recorded in events:
            kept = self._kept.get(recorded.stream_id)
            if kept is None or recorded.version <= kept.version:
                continue
            if recorded.version > kept.version + 1:
                # Something in between is still to come: it is loaded anew when it is asked for.
                del self._kept[recorded.stream_id]
                continue
            state = kept.aggregate.evolve(kept.state, recorded.event)
            self._kept[recorded.stream_id] = kept._replace(version=recorded.version, state=state)

    def forget(self) -> None:
        self._kept.clear()


class PastStates(_Reader):
    """As of a place of the log, which moves on with `follow`: all events that there are, one after the other.

    Loads inside of `reading` alone; in whichever of them, the answer is the same.
    """

    def __init__(
        self, database: Database, stream_ids: StreamIds, *, after: int, measuring: bool = False
    ) -> None:
        """`measuring`: whether deadlines will be asked for."""
        self.position = after
        super().__init__(database, stream_ids)
        self._ids: dict[tuple[str, str], UUID] = {}
        self._reading: Reading | None = None
        self._measuring = measuring

    def load(self, aggregate: Aggregate[S], key: object) -> S:
        stream_id = self.id_of(aggregate, str(key))
        kept = self._kept.get(stream_id.hex)
        if kept is None:
            kept = self._keep(stream_id.hex, _Kept(aggregate, *self._as_of(aggregate, stream_id)))
        return kept.state  # type: ignore[no-any-return]

    def follow(self, recorded: Recorded) -> None:
        if self._measuring:
            self._measure(recorded)
        self.position = recorded.position
        kept = self._kept.get(recorded.stream_id)
        if kept is None:
            aggregate = BEGINNINGS.get(type(recorded.event)) if recorded.version == 1 else None
            if aggregate is None:
                return
            kept = _Kept(aggregate, 0, aggregate.initial)
        state = kept.aggregate.evolve(kept.state, recorded.event)
        self._keep(recorded.stream_id, _Kept(kept.aggregate, recorded.version, state))

    def time_of(self, case_id: int, version: int) -> int | None:
        """When that event of the case was recorded."""
        assert self._connection
        return _time_of(self._database, self._connection, self.id_of(CASES, str(case_id)), version)

    def deadlines_of(self, case_id: int) -> Deadlines:
        """As the statistics set them by then. Of a closed case there are none, and it is not kept."""
        return _deadlines(self._of_case(case_id))

    def _of_case(self, case_id: int) -> Measured | None:
        if self._reading is None:
            self._reading = self._measured(NO_CASE, self.position)
        cases = self._reading.cases
        if case_id not in cases:
            found = self._measured(case_id, self.position).cases.get(case_id)
            if found:
                cases[case_id] = found
        return cases.get(case_id)

    def _measure(self, recorded: Recorded) -> None:
        event: Any = recorded.event
        if not isinstance(event, MEASURED):
            return
        case_id: int = getattr(event, "case_id", NO_CASE)
        if self._reading is None:
            self._reading = self._measured(NO_CASE, self.position)
        if case_id and not isinstance(event, CaseOpened):
            self._of_case(case_id)
        self._reading.read(recorded)
        self._reading.figures.clear()
        self._reading.ratings.clear()
        case = self._reading.cases.get(case_id)
        if case and (case.closed or case.deleted):
            del self._reading.cases[case_id]

    def id_of(self, aggregate: Aggregate[Any], key: str) -> UUID:
        address = aggregate.kind, key
        if (stream_id := self._ids.get(address)) is None:
            if len(self._ids) > PAST_KEPT:
                self._ids.clear()
            stream_id = self._ids[address] = self._stream_ids.of(aggregate, key)
        return stream_id

    def _as_of(self, aggregate: Aggregate[Any], stream_id: UUID) -> tuple[int, Any]:
        """From its snapshot, if that is not younger."""
        assert self._connection
        version, state = read_snapshot(self._connection, aggregate, stream_id)
        events = self._database.events
        own = select(events.c.position).where(
            events.c.stream_id == stream_id, events.c.version == version
        )
        if version and (self._connection.scalar(own) or 0) > self.position:
            version, state = 0, aggregate.initial
        found = self._database.streams(
            self._connection, [stream_id], after=version, upto=self.position
        )
        for recorded in found:
            version, state = recorded.version, aggregate.evolve(state, recorded.event)
        return version, state

    def _keep(self, stream_id: str, kept: _Kept) -> _Kept:
        self._kept[stream_id] = kept
        if len(self._kept) > PAST_KEPT:
            self._kept.popitem(last=False)
        return kept


def _deadlines(case: Measured | None) -> Deadlines:
    return case.deadlines if case and case.in_backlog else {}


def _time_of(
    database: Database, connection: Connection, stream_id: UUID, version: int
) -> int | None:
    events = database.events
    query = select(events).where(events.c.stream_id == stream_id, events.c.version == version)
    found = database.decoded(connection, query)
    return found[0].envelope.at if found else None
