"""States of streams for who reads the log and must not hold up the writer with questions."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, TypeVar

from sqlalchemy import Connection

from kanal.domain.stream import Aggregate, Recorded
from kanal.eventlog.database import Database
from kanal.eventlog.snapshots import read_snapshot
from kanal.eventlog.stream_ids import StreamIds

S = TypeVar("S")

KEPT: Final = 20_000
"""States in memory, about 1 KB each."""


class _Kept(NamedTuple):
    aggregate: Aggregate[Any]
    version: int
    state: Any


class LogStates:
    """Loads inside of `reading` alone. What is loaded is as new as the log; `follow` keeps it so. Not for several threads at once."""

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
