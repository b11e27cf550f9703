"""Generations of read models: which tables are live, folding into them inside the writer's transaction, rebuilding beside them.

A generation is a set of tables with a position of its own. Queries go to the active one; a rebuild folds the whole log into
the next one while the active one goes on, catches up inside the writer's queue, compares, and switches.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, insert, inspect, select, update

from kanal.domain.event import Event
from kanal.domain.stream import Recorded
from kanal.eventlog.database import BatchStart, Database, LiveTables
from kanal.eventlog.follower import Following
from kanal.eventlog.postgres import PostgresDatabase
from kanal.eventlog.projection import Changes, Fold, Projection, Tables
from kanal.eventlog.tables import generations
from kanal.projections.read_model import Views

IDLE_CHUNK = 5000
"""Events folded in one transaction while nobody else writes."""
BUSY_CHUNK = 500
BUSY_PAUSE_SECONDS = 0.005
"""Beside other writes: measured to cost them little (p99 10 -> 15 ms) at 35,000 events a second."""
LARGE = 20_000
"""Events in the log from which on it counts whether the database knows how full new tables are."""

Folds = dict[type[Event], list[tuple[Fold, Tables]]]
"""Event type -> the folds that handle it, with their tables."""
Task = Callable[[Connection], Any]
Write = Callable[[Task], Any]
"""Runs a task in a transaction of the writer's and waits until it is durable."""


class Generation(NamedTuple):
    model: Projection
    number: int
    position: int

    @property
    def tables(self) -> Tables:
        return self.model.tables(self.number)


class Progress(NamedTuple):
    """How far a rebuild is."""

    position: int
    head: int


class Difference(NamedTuple):
    """What the comparison before a switch found."""

    table: str
    live_rows: int
    rebuilt_rows: int


def active_generations(connection: Connection, models: Iterable[Projection]) -> list[Generation]:
    """The live generation of each model, for this version of its code."""
    columns = [generations.c[name] for name in LiveTables._fields]
    rows = connection.execute(select(*columns).where(generations.c.active))
    return _active((LiveTables(*row) for row in rows), models)


def _active(rows: Iterable[LiveTables], models: Iterable[Projection]) -> list[Generation]:
    live = {(row.name, row.version): row for row in rows}
    found = []
    for model in models:
        row = live.get((model.name, model.version))
        if row:
            found.append(Generation(model, row.generation, row.position))
    return found


class Standing(NamedTuple):
    """A read model as operators look at it."""

    name: str
    version: int
    generation: int
    position: int
    next_generation: int | None
    """That a rebuild makes, or has left unfinished."""
    next_position: int


def standings(connection: Connection, models: Iterable[Projection]) -> list[Standing]:
    rows = connection.execute(select(generations)).all()
    found = []
    for live in active_generations(connection, models):
        model = live.model
        later = [row for row in rows if row.name == model.name and row.generation > live.number]
        made = max(later, key=lambda row: row.generation, default=None)
        found.append(
            Standing(
                model.name,
                model.version,
                live.number,
                live.position,
                made.generation if made else None,
                made.position if made else 0,
            )
        )
    return found


def views(connection: Connection, models: Iterable[Projection]) -> Views:
    """What queries run on: the live tables, as of this connection's moment."""
    live = active_generations(connection, models)
    found = Views({generation.model.name: generation.tables for generation in live})
    found.moment = tuple(part for each in live for part in (each.number, each.position))
    return found


class Inline:
    """The core models, applied by the writer: a reader sees every write that was answered."""

    def __init__(self, models: Sequence[Projection], database: Database) -> None:
        self._models = models
        self._database = database
        self._live: list[Generation] | None = None
        self._settled = False
        """Whether what was read of the pointers is committed: a switch may be rolled back for a neighbour's failure."""
        self._folds: Folds = {}

    def apply(
        self,
        connection: Connection,
        events: Sequence[Recorded],
        beginning: BatchStart,
        changes: Changes,
    ) -> None:
        if not self._settled:
            # Perhaps they changed behind the beginning: the switch may stand in this very batch.
            self._follow_pointers(active_generations(connection, self._models))
        elif beginning.live is not None:
            self._follow_pointers(_active(beginning.live, self._models))
        for generation in self._live or ():
            if self._database.shared and generation.position < beginning.head:
                self._close_gap(connection, changes, generation, beginning.head)
        fold_events(changes, self._folds, events)
        _move(changes, self._live or (), events[-1].position)

    def committed(self, events: Sequence[Recorded]) -> None:
        self._settled = True

    def applies(self, model: Projection) -> bool:
        return model in self._models

    def pointers_changed(self) -> None:
        """A switch takes place in the transaction that the writer is in."""
        self._settled = False

    def _follow_pointers(self, live: list[Generation]) -> None:
        if self._live is None or [g[:2] for g in live] != [g[:2] for g in self._live]:
            self._folds = folds_of(live)
        self._live = live

    def _close_gap(
        self, connection: Connection, changes: Changes, generation: Generation, head: int
    ) -> None:
        """A process with another version of this model wrote in between."""
        events = self._database.events
        query = (
            select(events)
            .where(events.c.position > generation.position, events.c.position <= head)
            .order_by(events.c.position)
        )
        fold_events(changes, folds_of([generation]), self._database.decoded(connection, query))


def following(connection: Connection, models: Iterable[Projection]) -> list[Following]:
    """For the follower: the live generation of each followed model and how to fold into it."""

    def fold_with(folds: Folds) -> Callable[[Changes, Sequence[Recorded]], None]:
        return lambda changes, events: fold_events(changes, folds, events)

    return [
        Following(g.model.name, g.number, g.position, fold_with(folds_of([g])))
        for g in active_generations(connection, models)
    ]


def folds_of(live: Iterable[Generation]) -> Folds:
    folds: Folds = {}
    for generation in live:
        for event_type, fold in generation.model.handles.items():
            folds.setdefault(event_type, []).append((fold, generation.tables))
    return folds


def fold_events(
    changes: Changes,
    folds: Folds,
    events: Iterable[Recorded],
) -> None:
    for recorded in events:
        for fold, tables in folds.get(type(recorded.event), ()):
            fold(changes, tables, recorded)


class Rebuild:
    """One rebuild of some read models beside their live tables. Blocking: run it in a thread of its own."""

    def __init__(
        self, database: Database, write: Write, models: Sequence[Projection], inline: Inline
    ) -> None:
        self._database = database
        self._write = write
        self._models = models
        self._inline = inline
        self._next: list[Generation] = []
        self._folds: Folds = {}
        self._position = 0
        self.differences: list[Difference] = []

    def run(self) -> Iterator[Progress]:
        """Yields after each chunk; the switch has taken place when it ends."""
        with self._database.rebuilding():
            yield from self.steps()

    def steps(self) -> Iterator[Progress]:
        """`run`, for a caller that sees to it that nobody else rebuilds."""
        self._next = self._write(self._start)
        self._folds = folds_of(self._next)
        yield from self._catch_up()
        if self._position > LARGE:
            tables = [table.name for each in self._next for table in each.tables.values()]
            self._database.filled(tables)
            yield from self._catch_up()
        self._position = self._write(self._switch)
        yield Progress(self._position, self._position)
        self._aside(self._drop_old)

    def _catch_up(self) -> Iterator[Progress]:
        head, chunk = self._head(), IDLE_CHUNK
        while events := self._database.events_after(self._position, limit=chunk):
            self._fold_chunk(events)
            before, head = head, self._head()
            yield Progress(self._position, head)
            if head == before:
                chunk = IDLE_CHUNK
                continue
            if head - self._position < BUSY_CHUNK:
                break  # never quite there while others write; the switch folds the rest
            chunk = BUSY_CHUNK
            time.sleep(BUSY_PAUSE_SECONDS)

    def _head(self) -> int:
        with self._database.reading() as connection:
            return self._database.head(connection)

    def _aside(self, task: Task) -> None:
        """For tables that nobody else uses, or not any more: no need to hold up the log, if that can be helped."""
        if isinstance(self._database, PostgresDatabase):
            with self._database.bulk() as connection:
                task(connection)
        else:
            self._write(task)

    def _start(self, connection: Connection) -> list[Generation]:
        """Empty tables of the next generation, and their pointers. An unfinished rebuild's are dropped."""
        made = []
        for model in self._models:
            same = generations.c.name == model.name
            rows = connection.execute(
                select(generations).where(same).order_by(generations.c.generation)
            ).all()
            active = [row.generation for row in rows if row.active]
            for row in rows:
                if row.generation > max(active, default=0):
                    _drop(connection, model, row.generation)
            number = max(active, default=0) + 1
            for table in model.tables(number).values():
                table.create(connection)
            connection.execute(
                insert(generations).values(
                    name=model.name,
                    generation=number,
                    version=model.version,
                    position=0,
                    active=False,
                )
            )
            made.append(Generation(model, number, 0))
        return made

    def _fold_chunk(self, events: Sequence[Recorded]) -> None:
        changes = Changes()
        fold_events(changes, self._folds, events)
        position = events[-1].position
        _move(changes, self._next, position)
        self._aside(partial(changes.flush, bulk=True))
        self._position = position

    def _switch(self, connection: Connection) -> int:
        """On the writer's queue: nobody appends now. Fold the tail, compare, flip; returns the position.

        If the transaction is rolled back for a neighbour's failure this is run again, so it changes nothing of its own.
        """
        position = self._position
        events = self._database.events
        query = select(events).where(events.c.position > self._position)
        tail = self._database.decoded(connection, query.order_by(events.c.position))
        if tail:
            changes = Changes()
            fold_events(changes, self._folds, tail)
            position = tail[-1].position
            _move(changes, self._next, position)
            changes.flush(connection)
        self.differences = [
            difference
            for old in active_generations(connection, self._models)
            if old.position == position  # else it is followed, and some events behind
            for difference in self._compare(connection, old)
        ]
        for generation in self._next:
            connection.execute(
                update(generations)
                .where(
                    generations.c.name == generation.model.name,
                    generations.c.version == generation.model.version,
                )
                .values(active=generations.c.generation == generation.number)
            )
        self._inline.pointers_changed()
        return position

    def _compare(self, connection: Connection, old: Generation) -> Iterator[Difference]:
        rebuilt = next(g for g in self._next if g.model is old.model)
        for name, table in old.tables.items():
            live_rows = connection.scalar(select(func.count()).select_from(table)) or 0
            new_rows = (
                connection.scalar(select(func.count()).select_from(rebuilt.tables[name])) or 0
            )
            if live_rows != new_rows:
                yield Difference(name, live_rows, new_rows)

    def _drop_old(self, connection: Connection) -> None:
        """The generation before stays until the next rebuild: readers may still be on it."""
        for generation in self._next:
            rows = connection.execute(
                select(generations.c.generation).where(
                    generations.c.name == generation.model.name,
                    generations.c.version == generation.model.version,
                    generations.c.generation < generation.number - 1,
                )
            ).all()
            for row in rows:
                _drop(connection, generation.model, row.generation)


def build_missing(
    database: Database, write: Write, models: Sequence[Projection], inline: Inline
) -> Iterator[Progress]:
    """Build what has no live tables for this version of the code: all on a new installation, changed models after an
    upgrade, and inline ones that are behind, because another version wrote since this one ran.
    """
    with database.rebuilding():
        with database.reading() as connection:
            head = database.head(connection)
            live = {
                generation.model.name
                for generation in active_generations(connection, models)
                if generation.position == head or not inline.applies(generation.model)
            }
        missing = [model for model in models if model.name not in live]
        if missing:
            yield from Rebuild(database, write, missing, inline).steps()


def _move(changes: Changes, moved: Iterable[Generation], position: int) -> None:
    for generation in moved:
        key = (generation.model.name, generation.number)
        changes.update(generations, key, {"position": position})


def _drop(connection: Connection, model: Projection, number: int) -> None:
    present = set(inspect(connection).get_table_names())
    for table in model.tables(number).values():
        if table.name in present:
            table.drop(connection)
    connection.execute(
        delete(generations).where(
            generations.c.name == model.name, generations.c.generation == number
        )
    )
