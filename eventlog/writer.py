"""The group-commit writer: one thread, one connection, one transaction for all that queued up while the last one synced.

Each command is decided on the states of the identity map plus what earlier commands of the batch did; then one insert, the
inline projections, one commit, and only then the callers' answers. A command that is refused leaves no trace; a batch that
the database refuses is run again one by one, so that only the culprit fails. Nothing ends the thread but `close`.
"""

import asyncio
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

import msgspec
import structlog
from eventsourcing.persistence import StoredEvent
from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.exc import DBAPIError

from kanal.domain.errors import DomainError, IdempotencyKeyReused
from kanal.domain.event import Envelope, Event
from kanal.domain.receipts import RECEIPTS, ReceiptKept
from kanal.domain.stream import Aggregate, Recorded
from kanal.domain.work import Work
from kanal.eventlog.database import Database
from kanal.eventlog.failure import Failure, failure_of
from kanal.eventlog.projection import Changes, InlineProjection
from kanal.eventlog.snapshots import read_snapshot, shape
from kanal.eventlog.stream_ids import StreamIds
from kanal.eventlog.tables import counters, snapshots

R = TypeVar("R")
S = TypeVar("S")

BATCH_LIMIT = 512
"""Commands in one transaction. Batches of 64 already divide the cost of the sync by 64."""
QUEUE_LIMIT = 4096
"""Commands that may wait: under a second of work here. Beyond it callers are told to come again."""
IDENTITY_MAP_LIMIT = 50_000
"""States kept in memory, about 1 KB each."""
RECONNECT_SECONDS = 5
"""How long to try to learn whether a commit whose answer was lost took place."""
RECONNECT_PAUSE_SECONDS = 0.1
SNAPSHOT_EVERY = 100
"""Events between two snapshots of a stream: loading a cold one costs at most this many."""

log = structlog.get_logger(__name__)


class LogUnavailable(Exception):
    """The log cannot be written now; the request was not carried out. Try again later."""


class LogBusy(LogUnavailable):
    """Too many commands are waiting."""


class Receipt(NamedTuple):
    """What makes a request's repeat recognisable."""

    key: str
    """Scope and Idempotency-Key."""
    request_hash: str


class Done(NamedTuple, Generic[R]):
    """The answer to a command: durable when the caller sees it."""

    result: R
    events: Sequence[Recorded]
    repeated: bool
    """The request had been carried out before; `result` is what was kept then, and there are no events."""

    @property
    def position(self) -> int:
        return self.events[-1].position if self.events else 0


class Order(NamedTuple):
    """One item of the queue: a command, or other work that must share the writer's transaction."""

    command: Callable[[Work], Any] | None
    task: Callable[[Connection], Any] | None
    beside: Callable[[Connection, Any], None] | None
    who: str
    origin: str
    request: str
    cause: int | None
    receipt: Receipt | None
    future: "asyncio.Future[Any] | Future[Any]"
    admit: Callable[[Work], Work] | None = None


_Place = tuple[str, str]
"""Kind and key of a stream."""


class _Slot(NamedTuple):
    """A stream in memory."""

    version: int
    state: Any
    stream_id: UUID
    stream_hex: str


class _Accepted(NamedTuple):
    """A command's result before the commit, with the place of its events in the batch."""

    result: Any
    events: slice
    repeated: bool


class _Batch:
    """The overlay over the identity map, until the commit."""

    def __init__(self, counters: dict[str, int], last_time: int) -> None:
        self.slots: dict[_Place, _Slot] = {}
        self.aggregates: dict[_Place, Aggregate[Any]] = {}
        self.counters = dict(counters)
        self.last_time = last_time
        self.stored: list[StoredEvent] = []
        self.pending: list[tuple[str, int, Event, Envelope]] = []
        """Stream id, version, event, envelope: a Recorded but for its position."""


class _Unit:
    """The Work of one command: its changes reach the batch only if it succeeds."""

    def __init__(
        self, writer: "Writer", connection: Connection, batch: _Batch, order: Order
    ) -> None:
        self._writer = writer
        self._connection = connection
        self._batch = batch
        self._order = order
        self._slots: dict[_Place, _Slot] = {}
        self._aggregates: dict[_Place, Aggregate[Any]] = {}
        self._counters: dict[str, int] = {}
        self._new: set[_Place] = set()
        """Places named by numbers that were just taken: nothing can be stored there."""
        self._recorded: list[tuple[UUID, str, int, Event]] = []
        self.now = max(writer.clock(), batch.last_time)

    def load(self, aggregate: Aggregate[S], key: object) -> S:
        return self._slot(aggregate, (aggregate.kind, str(key))).state  # type: ignore[no-any-return]

    def record(self, aggregate: Aggregate[S], key: object, *events: Event) -> None:
        place = (aggregate.kind, str(key))
        version, state, stream_id, stream_hex = self._slot(aggregate, place)
        for event in events:
            version += 1
            state = aggregate.evolve(state, event)
            self._recorded.append((stream_id, stream_hex, version, event))
        self._slots[place] = _Slot(version, state, stream_id, stream_hex)
        self._aggregates[place] = aggregate

    def take(self, counter: str) -> int:
        number = self._counters.get(counter) or self._batch.counters.get(counter, 0)
        self._counters[counter] = number + 1
        self._new.add((counter, str(number + 1)))
        return number + 1

    def _slot(self, aggregate: Aggregate[Any], place: _Place) -> _Slot:
        slot = self._slots.get(place) or self._batch.slots.get(place)
        if slot:
            return slot
        if place in self._new:
            stream_id = self._writer.stream_ids.of(aggregate, place[1])
            return _Slot(0, aggregate.initial, stream_id, stream_id.hex)
        return self._writer.load(self._connection, aggregate, place)

    def merge(self) -> slice:
        """Into the batch; returns the place of this command's events in it."""
        batch, order, writer = self._batch, self._order, self._writer
        start = len(batch.pending)
        encode = writer.database.mapper.encode
        for stream_id, stream_hex, version, event in self._recorded:
            envelope = Envelope(
                self.now, order.who, order.origin, order.request, order.cause, event.about()
            )
            body = encode(event, envelope)
            batch.stored.append(StoredEvent(stream_id, version, event.NAME, body))
            batch.pending.append((stream_hex, version, event, envelope))
        batch.slots.update(self._slots)
        batch.aggregates.update(self._aggregates)
        batch.counters.update(self._counters)
        if self._recorded:
            batch.last_time = self.now
        return slice(start, len(batch.pending))


_Attempt = tuple[_Batch, list[Any], list[Recorded]]


class Writer:
    """Start it with `start`, give it work with `submit` or `run`, end it with `close`."""

    def __init__(
        self,
        database: Database,
        stream_ids: StreamIds,
        inline: Iterable[InlineProjection] = (),
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self.database = database
        self.stream_ids = stream_ids
        self.clock = clock
        self.position = 0
        """Of the last event that this writer has seen."""
        self.failing: Failure | None = None
        """Why the last batch could not be stored; None while all is well."""
        self.carried_out = 0
        """Orders so far: whoever sees it grow is not alone."""
        self._inline = tuple(inline)
        events = database.events
        self._stream = (
            select(events)
            .where(events.c.stream_id == bindparam("stream"), events.c.version > bindparam("known"))
            .order_by(events.c.position)
        )
        self._queue: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
        self._identity_map: OrderedDict[_Place, _Slot] = OrderedDict()
        self._places: dict[str, _Place] = {}
        """Stream id -> place in the identity map, where other processes write too."""
        self._counters: dict[str, int] = {}
        self._last_time = 0
        self._in_doubt: _Attempt | None = None
        """What was being committed when the database fell silent."""
        self._doubtful = False
        """After a failure: memory may be ahead of the log or behind it."""
        self._closing = False
        self._door = threading.Lock()
        """Nobody may come in behind the one who closes."""
        self._thread = threading.Thread(target=self._work, name="kanal-writer", daemon=True)

    def start(self) -> None:
        """Reads where the log ends; needs the tables."""
        with self.database.writer.begin() as connection:
            self._catch_up(connection, first=True)
        self._thread.start()

    def close(self) -> None:
        """Carries out what is queued, then ends."""
        with self._door:
            self._closing = True
            self._queue.put(None)
        self._thread.join()

    async def submit(
        self,
        command: Callable[[Work], R],
        *,
        who: str,
        origin: str,
        request: str,
        cause: int | None = None,
        receipt: Receipt | None = None,
        beside: Callable[[Connection, R], None] | None = None,
        admit: Callable[[Work], Work] | None = None,
    ) -> Done[R]:
        """Returns when the command's events are durable and the inline projections show them.

        `admit` makes what the command works with, or raises a DomainError: also where a receipt has the answer already.

        `beside` runs in the same transaction, for what may not be in an event: it gets the command's result. Both may be
        run again, like a task of `run`.
        Raises the command's DomainError, IdempotencyKeyReused, LogBusy or LogUnavailable.
        """
        future: asyncio.Future[Done[R]] = asyncio.get_running_loop().create_future()
        self._put(Order(command, None, beside, who, origin, request, cause, receipt, future, admit))
        return await future

    async def run(self, task: Callable[[Connection], R]) -> R:
        """Other writing work, durable on return: ledger rows, rebuilding, switching. Keep it short.

        A neighbour's failure rolls its transaction back; then it is run again, so it may change nothing but the database.

        Raises whatever the task raises, LogBusy or LogUnavailable.
        """
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._put(Order(None, task, None, "", "", "", None, None, future))
        return await future

    def submit_and_wait(self, command: Callable[[Work], R], *, beside: Any = None) -> Done[R]:
        """For the command line, outside any event loop."""
        future: Future[Done[R]] = Future()
        self._put(Order(command, None, beside, "system", "cli", "", None, None, future))
        return future.result()

    def run_and_wait(self, task: Callable[[Connection], R]) -> R:
        """For the command line and for threads, outside any event loop."""
        future: Future[R] = Future()
        self._put(Order(None, task, None, "", "", "", None, None, future))
        return future.result()

    @property
    def waiting(self) -> int:
        return self._queue.qsize()

    def _put(self, order: Order) -> None:
        with self._door:
            if self._closing:
                raise LogUnavailable("Kanal is shutting down. Try again in a moment.")
            if self._queue.qsize() >= QUEUE_LIMIT:
                raise LogBusy("Too many requests are waiting to be written. Try again in a moment.")
            self._queue.put(order)

    # -- the thread ------------------------------------------------------------------------------

    def _work(self) -> None:
        ending = False
        while not ending:
            batch: list[Order] = []
            order = self._queue.get()
            while True:
                if order is None:
                    ending = True
                else:
                    batch.append(order)
                if len(batch) >= BATCH_LIMIT:
                    break
                try:
                    order = self._queue.get_nowait()
                except queue.Empty:
                    break
            if batch:
                self._carry_out(batch)

    def _carry_out(self, orders: list[Order]) -> None:
        try:
            batch, answers, events = self._attempt(orders)
        except Exception as error:  # noqa: BLE001 nothing may end the thread
            in_doubt, self._in_doubt = self._in_doubt, None
            self._doubtful = True
            storage_failed = self.database.is_storage_failure(error)
            if storage_failed:
                # Whatever ails the connection, the next batch gets a new one.
                self.database.writer.dispose()
            if storage_failed and in_doubt and self._is_stored(in_doubt[0]):
                batch, answers, events = in_doubt
            elif storage_failed:
                _resolve(orders, [self._unavailable(error, orders)] * len(orders))
                return
            elif len(orders) > 1:
                for order in orders:
                    self._carry_out([order])
                return
            else:
                log.error("command_failed", error=repr(error))
                _resolve(orders, [error])
                return
        self.failing = None
        self.carried_out += len(orders)
        self._adopt(batch, events)
        _resolve(
            orders,
            [
                Done(answer.result, events[answer.events], answer.repeated)
                if isinstance(answer, _Accepted)
                else answer
                for answer in answers
            ],
        )

    def _unavailable(self, error: Exception, orders: list[Order]) -> LogUnavailable:
        self.failing = failure_of(error)
        error_id, said = self.failing.error_id, f"{self.failing.kind}: {error}"
        log.error("log_unavailable", error_id=error_id, error=said, commands=len(orders))
        unavailable = LogUnavailable("The log cannot be written now. Try again in a moment.")
        unavailable.__cause__ = error
        return unavailable

    def _attempt(self, orders: list[Order]) -> _Attempt:
        """Answers or refusals, one for each order; raises when the transaction was rolled back."""
        with self.database.writer.connect() as connection, connection.begin() as transaction:
            beginning = self.database.begin(connection, self.position)
            if self._doubtful:
                self._start_anew(connection)
                beginning = beginning._replace(head=self.position)
            elif beginning.head > self.position:
                self._catch_up(connection)
            batch = _Batch(self._counters, self._last_time)
            answers = [self._decide(connection, batch, order) for order in orders]
            events: list[Recorded] = []
            if batch.stored:
                positions = self.database.append(connection, batch.stored)
                events = [
                    Recorded(position, *pending)
                    for position, pending in zip(positions, batch.pending, strict=True)
                ]
                changes = Changes()
                for projection in self._inline:
                    projection.apply(connection, events, beginning, changes)
                self._store_counters(changes, batch)
                changes.flush(connection)
                self._store_snapshots(connection, batch)
            attempt = batch, answers, events
            self._in_doubt = attempt if events else None
            transaction.commit()
            self._in_doubt = None
        return attempt

    def _is_stored(self, batch: _Batch) -> bool:
        """Whether a commit whose answer was lost took place after all."""
        first, (_, version, _, _) = batch.stored[0], batch.pending[0]
        events = self.database.events
        query = select(events.c.body).where(
            events.c.stream_id == first.originator_id, events.c.version == version
        )
        give_up = time.monotonic() + RECONNECT_SECONDS
        while True:
            try:
                with self.database.writer.begin() as connection:
                    self.database.lock(connection)  # waits for a commit that is still under way
                    return connection.scalar(query) == first.state
            except DBAPIError as error:
                log.error("commit_in_doubt", error=str(error))
            if time.monotonic() > give_up:
                return False
            time.sleep(RECONNECT_PAUSE_SECONDS)

    def _decide(self, connection: Connection, batch: _Batch, order: Order) -> Any:
        if order.task is not None:
            return order.task(connection)
        assert order.command is not None
        unit = _Unit(self, connection, batch, order)
        try:
            work = order.admit(unit) if order.admit else unit
            if order.receipt:
                kept = unit.load(RECEIPTS, order.receipt.key)
                if kept:
                    if kept.request_hash != order.receipt.request_hash:
                        raise IdempotencyKeyReused
                    return _Accepted(kept.result, slice(0, 0), True)
            result = order.command(work)
            if order.receipt:
                receipt = ReceiptKept(order.receipt.request_hash, msgspec.to_builtins(result))
                unit.record(RECEIPTS, order.receipt.key, receipt)
        except DomainError as refusal:
            return refusal
        except DBAPIError:
            raise
        except Exception as error:  # noqa: BLE001 a command's mistake is its caller's alone
            log.error("command_failed", error=repr(error), request=order.request)
            return error
        if order.beside:
            order.beside(connection, result)
        return _Accepted(result, unit.merge(), False)

    def _adopt(self, batch: _Batch, events: list[Recorded]) -> None:
        for place, slot in batch.slots.items():
            self._remember(place, slot)
        if events:
            self._counters = batch.counters
            self._last_time = batch.last_time
            self.position = events[-1].position
            for projection in self._inline:
                try:
                    projection.committed(events)
                except Exception as error:  # noqa: BLE001 the events are durable, whoever missed it
                    log.error("committed_hook_failed", error=repr(error))

    def _remember(self, place: _Place, slot: _Slot) -> None:
        self._identity_map[place] = slot
        self._identity_map.move_to_end(place)
        if self.database.shared:
            self._places[slot.stream_hex] = place
        while len(self._identity_map) > IDENTITY_MAP_LIMIT:
            self._identity_map.popitem(last=False)
        if len(self._places) > 2 * IDENTITY_MAP_LIMIT:
            self._places = {i: p for i, p in self._places.items() if p in self._identity_map}

    def _start_anew(self, connection: Connection) -> None:
        """From what is stored."""
        self._identity_map.clear()
        self._places.clear()
        self._catch_up(connection, first=True)
        self._doubtful = False

    # -- states ----------------------------------------------------------------------------------

    def load(self, connection: Connection, aggregate: Aggregate[Any], place: _Place) -> _Slot:
        """Version and state from the identity map, else from the last snapshot and the events behind it."""
        slot = self._identity_map.get(place)
        if slot is not None:
            self._identity_map.move_to_end(place)
            return slot
        stream_id = self.stream_ids.of(aggregate, place[1])
        version, state = read_snapshot(connection, aggregate, stream_id)
        parameters = {"stream": stream_id, "known": version}
        for recorded in self.database.decoded(connection, self._stream, parameters):
            version, state = recorded.version, aggregate.evolve(state, recorded.event)
        slot = _Slot(version, state, stream_id, stream_id.hex)
        self._remember(place, slot)
        return slot

    def _store_snapshots(self, connection: Connection, batch: _Batch) -> None:
        for place, slot in batch.slots.items():
            known = self._identity_map.get(place)
            before = known.version if known else 0
            if slot.version // SNAPSHOT_EVERY == before // SNAPSHOT_EVERY:
                continue
            row = {
                "version": slot.version,
                "shape": shape(batch.aggregates[place]),
                "state": msgspec.json.encode(slot.state),
            }
            stream_id = slot.stream_hex
            changed = connection.execute(
                update(snapshots).where(snapshots.c.stream_id == stream_id).values(row)
            )
            if not changed.rowcount:
                connection.execute(insert(snapshots).values(stream_id=stream_id, **row))

    def _store_counters(self, changes: Changes, batch: _Batch) -> None:
        for name, value in batch.counters.items():
            if name not in self._counters:
                changes.insert(counters, {"name": name, "value": value})
            elif value != self._counters[name]:
                changes.update(counters, (name,), {"value": value})

    def _catch_up(self, connection: Connection, *, first: bool = False) -> None:
        """What other processes have written since: the tail, the numbers given out, the time."""
        events = self.database.events
        if first:
            query = select(events).order_by(events.c.position.desc()).limit(1)
        else:
            query = select(events).where(events.c.position > self.position)
            query = query.order_by(events.c.position)
        tail = self.database.decoded(connection, query)
        if tail:
            self.position = tail[-1].position
            self._last_time = max(self._last_time, tail[-1].envelope.at)
            if not first:
                self._follow(tail)
        if first or tail:
            rows = connection.execute(select(counters))
            self._counters = {row.name: row.value for row in rows}

    def _follow(self, tail: list[Recorded]) -> None:
        """Streams that another process has written to are loaded anew."""
        for recorded in tail:
            place = self._places.pop(recorded.stream_id, None)
            if place:
                self._identity_map.pop(place, None)


def _resolve(batch: list[Order], answers: list[Any]) -> None:
    """One wake-up for each event loop, not one for each command."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
    for order, answer in zip(batch, answers, strict=True):
        future = order.future
        if isinstance(future, asyncio.Future):
            loops.setdefault(future.get_loop(), []).append((future, answer))
        elif isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
    for loop, settled in loops.items():
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, settled)


def _settle(settled: list[tuple["asyncio.Future[Any]", Any]]) -> None:
    for future, answer in settled:
        if future.done():  # the caller went away
            continue
        if isinstance(answer, StopIteration):  # no future takes it
            answer = RuntimeError(repr(answer))
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
