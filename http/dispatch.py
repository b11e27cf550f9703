"""What `kanal deliveries` does in the process that owns the log: the API's calls about deliveries, in the operator's name."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection

from kanal.delivery.decisions import look_to_decide, unchanged
from kanal.domain import deliveries as domain
from kanal.domain.errors import DecidedMeanwhile, DeliveryNotFound, DomainError
from kanal.eventlog.database import Database
from kanal.eventlog.writer import Writer
from kanal.http.api import deliveries, replays
from kanal.http.dates import Dates
from kanal.http.errors import ApiError
from kanal.http.fields import Fields, Id, Line, Paging

R = TypeVar("R")

DECISIONS: dict[str, Callable[..., None]] = {
    "hold": domain.hold,
    "release": domain.release,
    "skip": domain.skip,
    "retry": domain.retry,
}


class Decided(Fields):
    delivery: Line
    reason: Line | None = None


class Asked(replays.ReplayOfMany):
    delivery: Line | None = None


class Cancelled(Fields):
    replay: Id
    reason: Line | None = None


class Dispatch:
    """Blocking: for a thread of its own, or for the command line."""

    def __init__(self, database: Database, writer: Writer, dates: Dates, phone_region: str) -> None:
        self.dates = dates
        self.phone_region = phone_region
        self._database = database
        self._writer = writer

    def steps(self, call: str, arguments: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """One step: {"answer": as the API answers} or {"refused": a sentence}."""
        try:
            yield {"answer": msgspec.to_builtins(self._answer(call, arguments))}
        except DomainError as refusal:
            yield {"refused": str(refusal)}
        except ApiError as refusal:
            yield {"refused": refusal.message}

    def _answer(self, call: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        match call:
            case "list":
                asked = deliveries.DeliveriesQuery.read(arguments, self)
                return self._read(partial(deliveries.listed, asked=asked, dates=self.dates))
            case "show":
                return self._delivery(Decided.read(arguments).delivery)
            case "replays":
                paging = Paging.read(arguments)
                return self._read(partial(replays.listed, asked=paging, dates=self.dates))
            case "replay":
                return self._replay(Asked.read(arguments, self))
            case "cancel":
                return self._cancel(Cancelled.read(arguments))
            case _:
                return self._decide(DECISIONS[call], Decided.read(arguments))

    def _delivery(self, delivery_id: str) -> dict[str, Any]:
        query = partial(deliveries.whole, delivery_id=delivery_id, dates=self.dates)
        return {"delivery": self._read(query)}

    def _decide(self, command: Callable[..., None], given: Decided) -> dict[str, Any]:
        while True:
            now = self._writer.clock()
            find = partial(
                look_to_decide,
                delivery_id=given.delivery,
                now=now,
                database=self._database,
                stream_ids=self._writer.stream_ids,
            )
            seen = self._read(find)
            if seen is None:
                raise DeliveryNotFound(given.delivery)
            decide = partial(command, delivery=seen, reason=given.reason or "")
            try:
                self._writer.submit_and_wait(decide, beside=unchanged(seen))
            except DecidedMeanwhile:
                continue
            return self._delivery(given.delivery)

    def _replay(self, given: Asked) -> dict[str, Any]:
        choose = partial(replays.chosen_of_many, self._database, given=given)
        if given.delivery:
            delivery_id, now = given.delivery, self._writer.clock()
            choose = partial(
                replays.chosen_of_one, self._database, given=given, delivery_id=delivery_id, now=now
            )
        while True:
            chosen = self._read(choose)
            if given.dry_run:
                return {"replay": replays.dry(chosen, given, self.dates)}
            beside = unchanged(chosen.delivery) if chosen.delivery else None
            try:
                done = self._writer.submit_and_wait(replays.asking(chosen, given), beside=beside)
            except DecidedMeanwhile:
                continue
            return self._shown(done.result)

    def _cancel(self, given: Cancelled) -> dict[str, Any]:
        row = self._read(partial(replays.found, replay_id=given.replay))
        command = partial(
            domain.cancel_replay,
            replay_id=row.replay_id,
            running=row.state == "running",
            reason=given.reason or "",
        )
        self._writer.submit_and_wait(command)
        return self._shown(row.replay_id)

    def _shown(self, replay_id: int) -> dict[str, Any]:
        row = self._read(partial(replays.found, replay_id=replay_id))
        return {"replay": replays.shown(row, self.dates)}

    def _read(self, query: Callable[[Connection], R]) -> R:
        with self._database.reading() as connection:
            return query(connection)
