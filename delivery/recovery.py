"""What is lost of the outbox is made again from the log, and held until somebody says from where on it is sent.

Whether a message arrived stands nowhere but in the outbox. When its rows are gone (tables emptied, a backup restored in part
or from another time) the log still says what went out, so they are made again: with their ids, bytes and numbers. What the
ledger of attempts knows to have arrived is delivered. Of all else nobody knows, so nothing of it is sent by itself.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple

import structlog
from sqlalchemy import Connection, Select, delete, func, insert, select, update

from kanal.delivery import replays
from kanal.delivery.ledger import lane_rows, notify, promote, wake
from kanal.delivery.outbox import LANE_CHANGES, Outbox, known_to_receivers
from kanal.delivery.outcome import OutcomeClass
from kanal.delivery.queues import queue_of
from kanal.delivery.rule_lanes import RULE_CHANGES
from kanal.delivery.schedule import SECOND
from kanal.delivery.tables import OPEN, attempts, deliveries, lanes
from kanal.delivery.verdict import LaneRow
from kanal.domain.case_events import MessageAdded
from kanal.domain.channel_delivery import CHANNEL_DELIVERIES
from kanal.domain.channels import CHANNELS, ChannelChanged, ChannelCreated
from kanal.domain.deliveries import (
    DELIVERIES,
    REPLAYS,
    DeliveryDeadLettered,
    DeliveryReplayAsked,
    DeliveryRetried,
    DeliverySkipped,
    recover_deliveries,
)
from kanal.domain.lanes import lane_of
from kanal.domain.rule_webhooks import RuleWebhookCalled, webhooks_in
from kanal.domain.rules import RULES, RuleChanged, RuleCreated
from kanal.domain.stream import Recorded
from kanal.domain.webhook_options import DEFAULTS, WebhookOptions
from kanal.domain.work import Work
from kanal.eventlog.database import Database
from kanal.eventlog.projection import Changes
from kanal.eventlog.tables import counters, installation
from kanal.eventlog.writer import Writer

LOST: Final = (
    "Nobody knows whether it has arrived: its delivery was lost and made again from the log. "
    "`kanal recover-deliveries` decides whether it is sent."
)
"""Of what is held until then; that is also how it is recognised."""
UNKNOWN: Final = "Not known whether it was delivered; the ledger was lost."
GIVEN_UP: Final = "Given up before the ledger was lost."

MARK: Final = "newest_delivery"
"""Name in `installation` of the delivery that was the newest at the last look: it must still be there."""
NEWEST: Final = 50
"""So many of the log's last messages are looked for."""
LOOK_BACK: Final = 5_000
"""Among so many of its last events: a start has no time for more."""
CHUNK: Final = 1_000
"""Rows decided on in one transaction of the writer, which others wait for."""
MAX_DIGITS: Final = 19
LOOK_SECONDS: Final = 60.0
"""Between two looks while Kanal serves."""

log = structlog.get_logger(__name__)


class Progress(NamedTuple):
    position: int
    head: int


class Recovery:
    """Blocking; for the start, the command line and threads."""

    def __init__(self, database: Database, writer: Writer, outbox: Outbox) -> None:
        self.made = Counter[str]()
        """States of the rows that were made again."""
        self.decided = Counter[str]()
        """States of the rows that were held, after the decision."""
        self._database = database
        self._writer = writer
        self._run = writer.run_and_wait
        self._outbox = outbox

    # -- is anything missing? ----------------------------------------------------------------------

    def is_whole(self) -> bool:
        """A cheap look: the newest of the last look and the newest of the log are there."""
        with self._database.reading() as connection:
            mark = connection.scalar(_MARK)
            if mark is None:
                return not self._database.head(connection)
            if self._channels_without_lane(connection) or self._rules_without_lane(connection):
                return False
            if self._lost_replays(connection):
                return False
            expected = {*self._newest(connection), *([mark] if mark else ())}
            return not expected - _known(connection, expected)

    def strays(self) -> int:
        """A cheap look: how many of the newest deliveries are of nothing that the log has, because it was rolled back alone."""
        with self._database.reading() as connection:
            newest = _PLACES.order_by(deliveries.c.position.desc()).limit(NEWEST)
            return len(self._stray(connection, newest))

    def keep_mark(self) -> None:
        """What is there now must be there at the next look."""
        newest = select(deliveries.c.delivery_id).order_by(deliveries.c.position.desc()).limit(1)

        def task(connection: Connection) -> None:
            connection.execute(delete(installation).where(installation.c.name == MARK))
            row = {"name": MARK, "value": connection.scalar(newest) or ""}
            connection.execute(insert(installation).values(row))

        with self._database.reading() as connection:
            current = connection.scalar(_MARK) == (connection.scalar(newest) or "")
        if not current:
            self._run(task)

    def undecided(self) -> int:
        """How many are held because of a loss."""
        query = select(func.count()).select_from(deliveries).where(*_UNDECIDED)
        with self._database.reading() as connection:
            return connection.scalar(query) or 0

    def _newest(self, connection: Connection) -> set[str]:
        """Ids of the log's last messages that go out."""
        events = self._database.events
        since = self._database.head(connection) - LOOK_BACK
        names = (MessageAdded.NAME, RuleWebhookCalled.NAME)
        query = select(events).where(events.c.name.in_(names), events.c.position > since)
        query = query.order_by(events.c.position.desc()).limit(NEWEST)
        found = map(self._outbox.delivery_id, self._database.decoded(connection, query))
        return {each for each in found if each}

    def position_of(self, since: str) -> int:
        """A position, an RFC 3339 time, or `now`. Raises WrongWatermark."""
        if since.isdecimal() and len(since) < MAX_DIGITS:
            return int(since)
        with self._database.reading() as connection:
            if since == "now":
                return self._database.head(connection) + 1
            try:
                at = datetime.fromisoformat(since)
            except ValueError:
                at = None
            if at is None or at.tzinfo is None:
                raise WrongWatermark(
                    f"--since {since}: give a position of the log, a time with its zone like 2026-04-26T20:17:10+03:00, or now."
                )
            moment = round(at.timestamp() * SECOND)
            return self._database.position_at(connection, moment - 1) + 1

    def _stray(self, connection: Connection, places: Select[Any]) -> list[str]:
        """Those among these deliveries whose place in the log has something else, or nothing."""
        rows = connection.execute(places).all()
        events = self._database.events
        there = select(events).where(events.c.position.in_({row.position for row in rows}))
        known: set[str] = set()
        for recorded in self._database.decoded(connection, there):
            known |= self._outbox.delivery_ids(recorded)
        return [row.delivery_id for row in rows if row.delivery_id not in known]

    # -- making it again ---------------------------------------------------------------------------

    def make_again(self) -> Iterator[Progress]:
        """Through the whole log. What is there stays as it is; doing it twice changes nothing."""
        self.made.clear()
        self._make_lanes()
        self._make_replays()
        options: dict[int, WebhookOptions] = {}
        position, head = 0, self._writer.position
        while events := self._database.events_after(position):
            if lost := self._lost(events, options):
                self.made.update(self._run(partial(self._make, lost=lost)))
            position = events[-1].position
            head = max(head, position)
            yield Progress(position, head)

    def _lost(
        self, events: Sequence[Recorded], options: dict[int, WebhookOptions]
    ) -> "list[_Lost]":
        """Of these events; `options`: of the channels, as they were before and then after them."""
        wanted = []
        for recorded in events:
            event = recorded.event
            if isinstance(event, ChannelCreated | ChannelChanged):
                options[event.channel_id] = event.webhook
            elif delivery_id := self._outbox.delivery_id(recorded):
                channel_id: int = event.channel_id  # type: ignore[attr-defined]
                wanted.append(_Lost(recorded, delivery_id, options.get(channel_id, DEFAULTS)))
        if not wanted:
            return []
        with self._database.reading() as connection:
            known = _known(connection, {each.delivery_id for each in wanted})
            lost = [each for each in wanted if each.delivery_id not in known]
            return _told_of(connection, lost)

    def _make(self, connection: Connection, lost: "list[_Lost]") -> Counter[str]:
        lost = _told_of(connection, lost)
        ids = {each.delivery_id for each in lost}
        found = lane_rows(connection, {each.channel_id for each in lost})
        attempted = _attempted(connection, ids)
        rows = []
        for each in lost:
            lane = found[each.channel_id]
            row = self._outbox.made_again(each.recorded, _as_of(lane, each.options))
            row |= {
                # Numbered afterwards; below all that are.
                "sequence": -row["position"],
                "queue": queue_of(lane.options, lane.channel_id, row["case_id"]),
                "due_at": None,
                "due_since": None,
                **_standing(lane, row["position"], attempted.get(each.delivery_id, ())),
            }
            rows.append(row)
        if rows:
            given_up = self._given_up(connection, rows)
            again = Changes()
            for row in rows:
                if row["delivery_id"] in given_up:
                    row |= {"state": "dead", "turn": None, "reason": given_up[row["delivery_id"]]}
                again.insert(deliveries, row)
            again.flush(connection)
            _number(connection, {row["case_id"] for row in rows})
        return Counter(row["state"] for row in rows)

    def _make_lanes(self) -> None:
        """Those that are missing, from all that was decided of their channels and rules."""
        self._make_rule_lanes()
        with self._database.reading() as connection:
            missing = self._channels_without_lane(connection)
            if not missing:
                return
            stream_ids = [
                self._writer.stream_ids.of(aggregate, str(channel_id))
                for channel_id in missing
                for aggregate in (CHANNELS, CHANNEL_DELIVERIES)
            ]
            events = self._database.streams(connection, stream_ids)

        def task(connection: Connection) -> None:
            left = missing.difference(connection.scalars(select(lanes.c.channel_id)))
            for recorded in events:
                change = LANE_CHANGES.get(type(recorded.event))
                if change and recorded.event.channel_id in left:  # type: ignore[attr-defined]
                    change(connection, recorded.event, recorded.envelope.at)
            wake(connection, dict.fromkeys(left, self._writer.clock()))

        self._run(task)

    def _make_rule_lanes(self) -> None:
        with self._database.reading() as connection:
            events = self._rules_without_lane(connection)

        def task(connection: Connection) -> None:
            changed: set[int] = set()
            for recorded in events:
                if change := RULE_CHANGES.get(type(recorded.event)):
                    changed.update(change(connection, recorded, recorded.envelope.at))
            wake(connection, dict.fromkeys(changed, self._writer.clock()))

        if events:
            self._run(task)

    def _make_replays(self) -> None:
        with self._database.reading() as connection:
            asked = self._lost_replays(connection)
        if asked:
            now = self._writer.clock()
            self._run(lambda connection: replays.make_again(connection, asked, now))

    def _lost_replays(self, connection: Connection) -> list[Recorded]:
        """The events that asked for those that have no row; a number alone may be taken for one that was never asked for."""
        count = connection.scalar(select(counters.c.value).where(counters.c.name == "replay"))
        missing = set(range(1, (count or 0) + 1)) - replays.numbers(connection)
        if not missing:
            return []
        of = self._writer.stream_ids.of
        streams = [of(REPLAYS, str(replay_id)) for replay_id in missing]
        events = self._database.streams(connection, streams)
        return [each for each in events if isinstance(each.event, DeliveryReplayAsked)]

    def _rules_without_lane(self, connection: Connection) -> list[Recorded]:
        """All that has happened to the rules of webhooks that have none; nothing, where each has one."""
        there = set(connection.scalars(select(lanes.c.channel_id).where(lanes.c.channel_id < 0)))
        count = connection.scalar(select(counters.c.value).where(counters.c.name == "webhook"))
        if there >= {lane_of(number) for number in range(1, (count or 0) + 1)}:
            return []
        rules = connection.scalar(select(counters.c.value).where(counters.c.name == "rule")) or 0
        of = self._writer.stream_ids.of
        streams = [of(RULES, str(rule_id)) for rule_id in range(1, rules + 1)]
        events = self._database.streams(connection, streams)
        lacking = {
            recorded.event.rule_id
            for recorded in events
            if isinstance(recorded.event, RuleCreated | RuleChanged)
            for _, webhook in webhooks_in(recorded.event.actions)
            if lane_of(webhook.webhook_id) not in there
        }
        return [each for each in events if each.event.rule_id in lacking]  # type: ignore[attr-defined]

    def _channels_without_lane(self, connection: Connection) -> set[int]:
        """A number alone is no channel: it may be taken for one that was never made."""
        count = connection.scalar(select(counters.c.value).where(counters.c.name == "channel"))
        there = connection.scalars(select(lanes.c.channel_id))
        missing = set(range(1, (count or 0) + 1)).difference(there)
        if not missing:
            return missing
        stream_ids = [self._writer.stream_ids.of(CHANNELS, str(each)) for each in missing]
        return {
            recorded.event.channel_id
            for recorded in self._database.streams(connection, stream_ids)
            if isinstance(recorded.event, ChannelCreated)
        }

    def _given_up(
        self, connection: Connection, rows: Sequence[Mapping[str, Any]]
    ) -> dict[str, str]:
        """Why, by the id: what had been skipped or dead-lettered is so still, however soon this is cut off."""
        ids = [row["delivery_id"] for row in rows if row["state"] == "held"]
        stream_ids = [self._writer.stream_ids.of(DELIVERIES, each) for each in ids]
        given_up: dict[str, str] = {}
        for recorded in self._database.streams(connection, stream_ids):
            _note_decision(given_up, recorded)
        return given_up

    # -- what the log does not know ----------------------------------------------------------------

    def drop_strays(self, *, dry_run: bool) -> int:
        """How many deliveries, of all, are of nothing that the log has. Unless it is dry they are removed, with their attempts:
        they would be in the way of what takes their places and ids.
        """
        position, stray = -1, 0
        while True:
            with self._database.reading() as connection:
                next_ones = _PLACES.where(deliveries.c.position > position)
                places = next_ones.order_by(deliveries.c.position).limit(CHUNK)
                last = connection.scalar(select(func.max(places.subquery().c.position)))
                if last is None:
                    return stray
                found = self._stray(connection, next_ones.where(deliveries.c.position <= last))
            position, stray = last, stray + len(found)
            if found and not dry_run:
                now = self._writer.clock()
                self._outbox.changed(self._run(partial(_remove, delivery_ids=found, now=now)))

    # -- deciding ----------------------------------------------------------------------------------

    def count(self, since: int) -> dict[str, int]:
        """How many of those that are held would be dead-lettered and how many sent."""
        behind = deliveries.c.position >= since
        query = select(behind, func.count()).where(*_UNDECIDED).group_by(behind)
        with self._database.reading() as connection:
            found = {bool(sent): count for sent, count in connection.execute(query)}
        return {"dead": found.get(False, 0), "pending": found.get(True, 0)}

    def decide(self, since: int) -> Iterator[Progress]:
        """What stands before that position is dead-lettered, all else becomes pending, in its order.

        Can be called again if it was cut off.
        """
        self.decided.clear()

        def command(work: Work) -> None:
            recover_deliveries(work, since=since)

        self._writer.submit_and_wait(command)
        with self._database.reading() as connection:
            channel_ids = list(connection.scalars(select(lanes.c.channel_id)))
        left = self.undecided()
        for channel_id in channel_ids:
            position = 0
            while found := self._chunk(channel_id, position):
                position = found[-1].position
                self._run(partial(self._settle, found=found, since=since))
                self._outbox.changed([channel_id])
                dead = sum(each.position < since for each in found)
                self.decided.update(dead=dead, pending=len(found) - dead)
                yield Progress(self.decided.total(), max(left, self.decided.total()))

    def _chunk(self, channel_id: int, after: int) -> "Sequence[Any]":
        d = deliveries.c
        query = select(d.delivery_id, d.channel_id, d.position, d.queue)
        query = query.where(d.channel_id == channel_id, d.position > after, *_UNDECIDED)
        with self._database.reading() as connection:
            return connection.execute(query.order_by(d.position).limit(CHUNK)).all()

    def _settle(self, connection: Connection, found: Sequence[Any], since: int) -> None:
        own = update(deliveries).where(*_UNDECIDED)
        before = [each.delivery_id for each in found if each.position < since]
        behind = [each.delivery_id for each in found if each.position >= since]
        connection.execute(
            own.where(deliveries.c.delivery_id.in_(before)).values(
                state="dead", turn=None, reason=UNKNOWN
            )
        )
        now, channel_id = self._writer.clock(), found[0].channel_id
        pending: dict[str, Any] = {"state": "pending", "reason": None}
        lane = lane_rows(connection, [channel_id])[channel_id]
        if lane.options.order == "none" and not lane.options.polling:
            pending |= {"due_at": now, "due_since": now}
        connection.execute(own.where(deliveries.c.delivery_id.in_(behind)).values(pending))
        promote(connection, [each.queue for each in found], now)
        wake(connection, {channel_id: now})
        notify(connection, [channel_id])


def recovering(
    recovery: Recovery, since: str, dry_run: bool, drop_strays: bool = False
) -> Iterator[dict[str, Any]]:
    """The steps of `kanal recover-deliveries`; the last one says what came of it. Raises WrongWatermark."""
    position = recovery.position_of(since)
    strays = recovery.drop_strays(dry_run=dry_run or not drop_strays)
    for made in recovery.make_again():
        yield {"done": made.position, "of": made.head}
    counts = recovery.count(position)
    if not dry_run and (counts["dead"] or counts["pending"]):
        for decided in recovery.decide(position):
            yield {"done": decided.position, "of": decided.head}
    yield {"counts": {**counts, "strays": strays}, "since": position}


class WrongWatermark(Exception):
    """It is neither a position nor a time."""


class LossWatch:
    """`start`, then the outbox is looked at once a minute until `close`."""

    def __init__(self, recovery: Recovery, database: Database) -> None:
        self.undecided = 0
        """How many deliveries are held because of a loss."""
        self.strays = 0
        """How many of the newest deliveries the log does not know."""
        self._recovery = recovery
        self._database = database
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._look_on())

    async def close(self) -> None:
        self._closing = True
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def look(self) -> None:
        await self._database.in_thread(self._look)

    async def _look_on(self) -> None:
        while True:
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 whatever it is, the next look may find more
                log.warning("outbox_not_looked_at", error=repr(error))
            await asyncio.sleep(LOOK_SECONDS)

    def _look(self) -> None:
        recovery = self._recovery
        if not recovery.is_whole():
            for _ in recovery.make_again():
                if self._closing:
                    return
        recovery.keep_mark()
        known, self.undecided = self.undecided, recovery.undecided()
        if self.undecided and self.undecided != known:
            log.error("deliveries_lost", held=self.undecided, decide="kanal recover-deliveries")
        seen, self.strays = self.strays, recovery.strays()
        if self.strays and not seen:
            log.error(
                "log_behind_deliveries",
                strays=self.strays,
                decide="kanal recover-deliveries --drop-strays",
            )


class _Lost(NamedTuple):
    recorded: Recorded
    delivery_id: str
    options: WebhookOptions
    """Of its channel, as they were then."""

    @property
    def channel_id(self) -> int:
        channel_id: int = self.recorded.event.channel_id  # type: ignore[attr-defined]
        return channel_id


_PLACES: Final = select(deliveries.c.delivery_id, deliveries.c.position)
_MARK: Final = select(installation.c.value).where(installation.c.name == MARK)
_UNDECIDED: Final = (OPEN, deliveries.c.state == "held", deliveries.c.reason == LOST)


def _remove(connection: Connection, delivery_ids: Sequence[str], now: int) -> set[int]:
    """Returns the channels that they were on. What stood behind them is next."""
    query = select(deliveries.c.channel_id, deliveries.c.queue).distinct()
    stood = connection.execute(query.where(deliveries.c.delivery_id.in_(delivery_ids))).all()
    for table in (attempts, deliveries):
        connection.execute(delete(table).where(table.c.delivery_id.in_(delivery_ids)))
    channel_ids = {each.channel_id for each in stood}
    promote(connection, [each.queue for each in stood], now)
    wake(connection, dict.fromkeys(channel_ids, now))
    notify(connection, channel_ids)
    return channel_ids


def _known(connection: Connection, delivery_ids: Collection[str]) -> set[str]:
    known = select(deliveries.c.delivery_id).where(deliveries.c.delivery_id.in_(delivery_ids))
    return set(connection.scalars(known))


def _told_of(connection: Connection, lost: list[_Lost]) -> list[_Lost]:
    """Without what the outbox never had, because its message had not gone out."""
    told = {
        (each.stream_id, each.version)
        for each in known_to_receivers(connection, [each.recorded for each in lost])
    }
    return [each for each in lost if (each.recorded.stream_id, each.recorded.version) in told]


def _as_of(lane: LaneRow, options: WebhookOptions) -> LaneRow:
    copied = LaneRow(**{name: getattr(lane, name) for name in LaneRow.__struct_fields__})
    copied.options = options
    return copied


def _attempted(connection: Connection, delivery_ids: Collection[str]) -> dict[str, list[Any]]:
    """What the ledger still has of them, in order."""
    a = attempts.c
    query = select(a.delivery_id, a.number, a.ended_at, a.outcome_class, a.http_status, a.sentence)
    found: dict[str, list[Any]] = {}
    for row in connection.execute(query.where(a.delivery_id.in_(delivery_ids)).order_by(a.number)):
        found.setdefault(row.delivery_id, []).append(row)
    return found


def _standing(lane: LaneRow, position: int, attempted: Sequence[Any]) -> dict[str, Any]:
    known: dict[str, Any] = {}
    if attempted:
        last = attempted[-1]
        known = {
            "attempts": last.number,
            "outcome_class": last.outcome_class,
            "http_status": last.http_status,
            "sentence": last.sentence,
            "outcome_at": last.ended_at,
        }
    arrived = [each for each in attempted if each.outcome_class == OutcomeClass.OK]
    if arrived:
        ended = {"state": "delivered", "turn": None, "reason": None}
        return known | ended | {"delivered_at": arrived[0].ended_at}
    if lane.state == "deleted":
        return known | {"state": "dead", "turn": None, "reason": UNKNOWN}
    return known | {"state": "held", "turn": position, "reason": LOST}


def _number(connection: Connection, case_ids: Collection[int]) -> None:
    """In each case and channel in the log's order, from 1. Who has the right number keeps it."""
    d = deliveries.c
    of_case: dict[str, Any] = {"partition_by": (d.case_id, d.channel_id), "order_by": d.position}
    numbered = select(
        *(d.delivery_id, d.sequence, d.previous_id),
        func.row_number().over(**of_case).label("number"),
        func.coalesce(func.lag(d.delivery_id).over(**of_case), "").label("before"),
    ).where(d.case_id.in_(case_ids))
    # Out of the way first: no two may have the same at any moment.
    away, right = Changes(), Changes()
    for delivery_id, sequence, previous_id, number, before in connection.execute(numbered):
        if (sequence, previous_id) != (number, before):
            away.update(deliveries, (delivery_id,), {"sequence": -(2**62) + number})
            values = {"sequence": number, "previous_id": before}
            right.update(deliveries, (delivery_id,), values)
    away.flush(connection)
    right.flush(connection)


def _note_decision(given_up: dict[str, str], recorded: Recorded) -> None:
    event = recorded.event
    if isinstance(event, DeliveryDeadLettered):
        given_up[event.delivery_id] = event.reason
    elif isinstance(event, DeliverySkipped):
        given_up[event.delivery_id] = event.reason or GIVEN_UP
    elif isinstance(event, DeliveryRetried):
        given_up.pop(event.delivery_id, None)
