"""An earlier moment of the read models: the same folds over a few streams, into tables in memory."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, NullPool, create_engine

from kanal.domain.stream import Recorded
from kanal.eventlog.projection import Changes, Projection
from kanal.projections.read_model import Views

IN_MEMORY = create_engine("sqlite://", poolclass=NullPool)
"""Each connection is an empty database of its own."""
GENERATION = 0
"""Stored generations count from 1."""


@contextmanager
def folded(
    projections: Sequence[Projection], events: Iterable[Recorded]
) -> Iterator[tuple[Connection, Views]]:
    """What these read models answer when nothing but these events, in the log's order, has happened."""
    views = Views({p.name: p.tables(GENERATION) for p in projections})
    changes = Changes()
    with IN_MEMORY.connect() as connection:
        for tables in views.values():
            for table in tables.values():
                table.create(connection, checkfirst=False)
        for recorded in events:
            for projection in projections:
                fold = projection.handles.get(type(recorded.event))
                if fold:
                    fold(changes, views[projection.name], recorded)
        changes.flush(connection)
        yield connection, views
