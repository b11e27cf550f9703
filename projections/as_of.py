"""An earlier moment of the read models: the same folds over a few streams, into tables in memory."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager

from sqlalchemy import Connection, NullPool, create_engine

from kanal.domain.stream import Recorded
from kanal.eventlog.projection import Changes, Projection
from kanal.projections.read_model import Views

IN_MEMORY = create_engine("sqlite://", poolclass=NullPool)
"""Each connection is an empty database of its own."""
GENERATION = 0
"""Stored generations count from 1."""


class Memory:
    """Tables for one moment after the other: making them takes longer than folding some streams into them. `close` it."""

    def __init__(self, projections: Sequence[Projection]) -> None:
        self._projections = projections
        self._views = Views({p.name: p.tables(GENERATION) for p in projections})
        self._connection = IN_MEMORY.connect()
        for tables in self._views.values():
            for table in tables.values():
                table.create(self._connection, checkfirst=False)
        self._connection.commit()

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def folded(self, events: Iterable[Recorded]) -> Iterator[tuple[Connection, Views]]:
        """What these read models answer when nothing but these events, in the log's order, has happened."""
        changes = Changes()
        for recorded in events:
            for projection in self._projections:
                fold = projection.handles.get(type(recorded.event))
                if fold:
                    fold(changes, self._views[projection.name], recorded)
        try:
            changes.flush(self._connection)
            yield self._connection, self._views
        finally:
            self._connection.rollback()


@contextmanager
def folded(
    projections: Sequence[Projection], events: Iterable[Recorded]
) -> Iterator[tuple[Connection, Views]]:
    """As `Memory.folded`, once."""
    with closing(Memory(projections)) as memory, memory.folded(events) as found:
        yield found
