"""Sends what the outbox holds: takes lanes, writes each intent, POSTs, writes each outcome, keeps every case in order.

In memory is only what is about to be sent; all else is read when its time comes. No transaction is open during a POST.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

import structlog
from msgspec import json
from sqlalchemy import Connection

from kanal.delivery import ledger, queues, replays
from kanal.delivery.lanes import HEADS_LIMIT, HEADS_LOW, PROBE_SAMPLE, Lane
from kanal.delivery.leases import LEASE_SECONDS, Leases
from kanal.delivery.ledger import (
    AttemptDecision,
    Claimed,
    DecidedOtherwise,
    Entry,
    Intent,
    LeaseLost,
    Withdrawn,
    Written,
)
from kanal.delivery.meter import Meter
from kanal.delivery.networks import networks_of
from kanal.delivery.outbox import Outbox
from kanal.delivery.outcome import Outcome, OutcomeClass
from kanal.delivery.places import Place, Places
from kanal.delivery.post import WebhookClient
from kanal.delivery.schedule import (
    DAY,
    HORIZON,
    LONGEST_ATTEMPT,
    SECOND,
    attempt_seconds,
    next_attempt_at,
)
from kanal.delivery.shadow import Copy, ShadowSender
from kanal.delivery.signing import signature_headers
from kanal.delivery.tables import NEVER
from kanal.delivery.verdict import (
    Attempted,
    Delivery,
    LaneRow,
    Rules,
    Schedule,
    asked_for,
    failure_of,
    reason_for,
)
from kanal.domain.channel_delivery import pause_delivery
from kanal.domain.deliveries import DeliveryNow, dead_letter, hold
from kanal.domain.errors import ChannelNotFound
from kanal.domain.rule_webhooks import filled_url
from kanal.domain.work import Work
from kanal.eventlog.database import Database
from kanal.eventlog.writer import LogUnavailable, Writer

R = TypeVar("R")

BATCH_LIMIT: Final = 256
"""Intents and outcomes in one transaction."""
REPLAY_SECONDS: Final = 1.0
"""Replays are looked for at least so often, whichever process they were asked of."""
AGAIN_SECONDS: Final = 0.25
"""After the database failed."""

WRITING_SECONDS: Final = 2.0
"""For the last outcomes, when Kanal stops."""

log = structlog.get_logger(__name__)


class Sender:
    """`await start()`, then it sends until `await close(seconds)`."""

    def __init__(
        self,
        database: Database,
        writer: Writer,
        outbox: Outbox,
        client: WebhookClient,
        *,
        in_flight: int = 256,
        per_channel: int = 16,
        timeout: float = 20.0,
        horizon_days: int = HORIZON // DAY,
        schedule: Schedule = next_attempt_at,
        lease_seconds: float = LEASE_SECONDS,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
        meter: Meter | None = None,
    ) -> None:
        """`timeout`: no attempt is longer, whatever its channel's type allows. Raises ValueError."""
        self.meter = meter or Meter()
        self.lanes: dict[int, Lane] = {}
        self._database = database
        self._writer = writer
        self._outbox = outbox
        self._client = client
        self._per_channel = per_channel
        self._rules = Rules(schedule, horizon_days * DAY)
        self._timeout = timeout
        self._leases = Leases(
            database,
            writer,
            self,
            seconds=lease_seconds,
            longest_attempt=min(timeout, LONGEST_ATTEMPT),
            clock=clock,
            meter=self.meter,
        )
        self.owner = self._leases.owner
        self._places = Places(in_flight, self._pump)
        self._entries: list[Entry] = []
        """To be written in the next transaction."""
        self._something = asyncio.Event()
        self._decided = asyncio.Event()
        """Somebody may have asked for a replay."""
        self._written = asyncio.Event()
        self._closing = False
        self._shadows = ShadowSender(client, writer)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._posts: set[asyncio.Task[Any]] = set()
        self._decisions: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        leases = await self._leases.start()
        self._outbox.attach(self)
        for each in (self._write_on, self._replay_on, *leases):
            self._spawn(self._always(each))

    async def close(self, seconds: float) -> int:
        """POSTs under way may end, nothing new begins. Returns how many did not end in time: their outcome is unknown."""
        self._closing = True
        self._outbox.attach(None)
        for lane in self.lanes.values():
            self._withdraw(lane)
        if self._posts:
            await asyncio.wait(self._posts, timeout=seconds)
        abandoned = len(self._posts)
        await self._shadows.close()
        await _cancelled(self._posts)
        with suppress(TimeoutError):
            async with asyncio.timeout(WRITING_SECONDS):
                await self._all_written()
        await _cancelled(self._tasks | self._decisions)
        for lane in list(self.lanes.values()):
            self.drop(lane)
        with suppress(LogUnavailable, TimeoutError):
            async with asyncio.timeout(WRITING_SECONDS):
                await self._leases.release_all()
        if abandoned:
            log.warning("webhooks_abandoned", count=abandoned)
        return abandoned

    async def _all_written(self) -> None:
        while True:
            self._written.clear()
            self._something.set()
            await self._written.wait()
            if self._decisions:
                await asyncio.wait(self._decisions)
            elif not self._entries:
                return

    # -- for the outbox, on the writer's thread ----------------------------------------------------

    def grant(self, channel_id: int) -> int | None:
        # A guess is enough: what turns out to be one too many waits its turn with its intent written.
        lane = self.lanes.get(channel_id)
        if lane is None or lane.room <= 0 or time.monotonic() > lane.lease_ends:
            return None
        lane.room -= 1
        return lane.row.token

    def enqueued(self, fresh: Sequence[Delivery], changed: frozenset[int]) -> None:
        with suppress(RuntimeError):  # the loop has ended; the rows are durable
            self._loop.call_soon_threadsafe(self._take_in, fresh, changed)

    @property
    def posting(self) -> int:
        """Webhooks under way."""
        return self._places.under_way

    # -- what comes in -------------------------------------------------------------------------------

    def _take_in(self, fresh: Sequence[Delivery], changed: Collection[int]) -> None:
        touched = {}
        for delivery in fresh:
            lane = self.lanes.get(delivery.channel_id)
            if lane is None:
                self._leases.wanted.set()
                continue
            if delivery.attempt_id:
                lane.prepare_new(delivery)
            else:
                lane.take(delivery)
            touched[lane.channel_id] = lane
        for lane in touched.values():
            self._pump(lane)
        if changed:
            self._decided.set()
            self.look_at(changed)

    def look_at(self, channel_ids: Collection[int]) -> None:
        """Something is new on these channels; none named: on any."""
        if self._closing:
            return
        own = [each for each in channel_ids or self.lanes if each in self.lanes]
        if len(own) < len(channel_ids) or not channel_ids:
            self._leases.wanted.set()
        if own:
            self._spawn(self._read_anew(own))

    async def _read_anew(self, channel_ids: Collection[int]) -> None:
        # Through the writer, so that what it reads is not older than what was written meanwhile.
        self.follow(await self._run(partial(ledger.read_lanes, channel_ids=channel_ids)))
        lanes = [self.lanes[each] for each in channel_ids if each in self.lanes]
        if waiting := {each.delivery_id for lane in lanes for each in lane.prepared}:
            found = await self._run(partial(queues.standings, delivery_ids=waiting))
            decided = {
                key for key, each in found.items() if each.state != "pending" or not each.is_head
            }
            for lane in lanes:
                self._withdraw(lane, decided)

    def follow(self, found: Iterable[Claimed]) -> None:
        for claimed in found:
            lane = self.lanes.get(claimed.lane.channel_id)
            if lane is None:
                continue
            lane.equip(claimed)
            lane.more = True
            self._follow_row(lane, claimed.lane)
            self._pump(lane)

    def _follow_row(self, lane: Lane, row: LaneRow) -> None:
        if row.token != lane.row.token or row.owner != self.owner:
            self.drop(lane)
            return
        lane.follow(row)
        if row.state == "deleted":
            self._withdraw(lane)
            self.drop(lane)

    def may_take_more(self) -> bool:
        return self._places.free > 0

    def adopt(self, claimed: Claimed, lease_ends: float) -> None:
        lane = Lane(claimed, self._per_channel, lease_ends)
        self.lanes[lane.channel_id] = lane
        self._pump(lane)

    def drop(self, lane: Lane) -> None:
        """Not ours any more. What is in flight ends, and whoever owns the lane decides what that means."""
        if self.lanes.get(lane.channel_id) is lane:
            del self.lanes[lane.channel_id]
        lane.room = 0
        if lane.timer:
            lane.timer.cancel()

    # -- what goes out -------------------------------------------------------------------------------

    def _pump(self, lane: Lane) -> None:
        """Begin and send whatever this lane may."""
        now = self._leases.now()
        lane.room = 0
        if self._closing or lane.suspicions or self.lanes.get(lane.channel_id) is not lane:
            return
        if not lane.may_send(now) or time.monotonic() > lane.lease_ends:
            self._withdraw(lane)
            self._set_timer(lane, lane.row.paused_until - now)
            return
        while lane.prepared and (place := self._places.take(lane)):
            self._send(lane, lane.prepared.popleft(), place)
        while lane.heads and lane.begun < lane.ahead and lane.keeps_pace():
            self._begin(lane, lane.heads.popleft())
        if lane.next_due <= now:
            lane.more, lane.next_due = True, NEVER
        if lane.more and not lane.loading and self._wants_heads(lane):
            lane.more, lane.loading = False, True
            self._spawn(self._load(lane))
        wait = lane.next_due - now
        if lane.pace and lane.heads and lane.begun < lane.ahead:
            wait = min(wait, max(1, lane.pace.wait(time.monotonic_ns() // 1000)))
        self._set_timer(lane, wait)
        busy = lane.probing or lane.heads or lane.more or lane.loading
        if not busy and lane.pace is None:
            lane.room = min(lane.ahead - lane.begun, self._places.free)

    def _wants_heads(self, lane: Lane) -> bool:
        # Probes are chosen among all that are due, so none may be under way.
        return not lane.busy if lane.probing else len(lane.heads) <= HEADS_LOW

    def _begin(self, lane: Lane, delivery: Delivery) -> None:
        lane.intended += 1
        self._enter(Intent(delivery, lane.row.token))

    def _withdraw(self, lane: Lane, only: Collection[str] | None = None) -> None:
        for delivery in lane.withdraw(only):
            self._enter(Withdrawn(delivery, lane.row.token))

    def _enter(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._something.set()

    def _send(self, lane: Lane, delivery: Delivery, place: Place) -> None:
        post = asyncio.create_task(self._post(lane, delivery, place))
        self._posts.add(post)
        post.add_done_callback(self._posts.discard)

    async def _post(self, lane: Lane, delivery: Delivery, place: Place) -> None:
        url, token = lane.row.webhook_url, lane.row.token
        options, lane_failures = lane.row.options, lane.row.failures
        deadline = attempt_seconds(lane.row.channel_type, options.timeout, self._timeout)
        try:
            outcome = await self._client.post(
                address_of(url, delivery),
                delivery.body or b"",
                self._headers(lane, delivery),
                deadline,
                networks_of(options.networks) if options.networks else (),
                method=lane.row.method,
                now=self._leases.now(),
            )
        except Exception as error:  # a fault of ours must not cost the message its turn
            log.exception("webhook_not_sent", delivery=delivery.delivery_id)
            outcome = self._not_sent(type(error).__name__)
        finally:
            place.leave()
        lane.learn(outcome)
        self.meter.attempted(outcome)
        self._enter(
            Attempted(
                delivery,
                token,
                url,
                outcome,
                lane.succeeded_at,
                lane.refusals,
                options.networks,
                lane_failures,
            )
        )
        if options.shadow_url and not self._closing:
            self._copy(lane, delivery, outcome, deadline)
        self._places.feed()
        self._pump(lane)

    def _copy(self, lane: Lane, delivery: Delivery, outcome: Outcome, deadline: float) -> None:
        options = lane.row.options
        self._shadows.send(
            Copy(
                channel_id=lane.channel_id,
                url=options.shadow_url,
                delivery_id=delivery.delivery_id,
                queue=delivery.queue,
                body=delivery.body or b"",
                headers=partial(self._headers, lane, delivery),
                deadline=deadline,
                networks=networks_of(options.networks) if options.networks else (),
                outcome=outcome,
            )
        )

    def _headers(self, lane: Lane, delivery: Delivery) -> dict[str, str]:
        now = self._leases.now()
        headers = signature_headers(
            delivery.delivery_id, now // SECOND, delivery.body or b"", lane.signers(now)
        )
        if lane.headers:
            headers.update(lane.headers)
        if delivery.content_type:
            headers["Content-Type"] = delivery.content_type
        headers["Kanal-Sequence"] = str(delivery.sequence)
        if delivery.previous_id:
            headers["Kanal-Previous-Id"] = delivery.previous_id
        if delivery.replay_id:
            headers["Kanal-Replay"] = str(delivery.replay_id)
        return headers

    def _not_sent(self, detail: str) -> Outcome:
        now = self._leases.now()
        return Outcome(
            outcome_class=OutcomeClass.LOCAL_FAULT, started_at=now, ended_at=now, detail=detail
        )

    # -- what is durable -----------------------------------------------------------------------------

    async def _write_on(self) -> None:
        """One transaction after another, each with all that came up while the last one was committed."""
        while True:
            await self._something.wait()
            self._something.clear()
            while self._entries:
                entries, self._entries = self._entries[:BATCH_LIMIT], self._entries[BATCH_LIMIT:]
                await self._write(entries)
            self._written.set()

    async def _replay_on(self) -> None:
        """Put what is replayed into the queues, a little at a time. Whichever process does it, each step is made once."""
        while not self._closing:
            self._decided.clear()
            now = self._leases.now()
            failed = [
                replay_id
                for replay_id in await self._database.read(replays.due, now)
                if not await self._replay(replay_id, now)
            ]
            wait = await self._database.read(replays.wait, self._leases.now())
            with suppress(TimeoutError):
                wait = REPLAY_SECONDS if failed else min(wait, REPLAY_SECONDS)
                async with asyncio.timeout(wait):
                    await self._decided.wait()

    async def _replay(self, replay_id: int, now: int) -> bool:
        """Whether it could: one that cannot go on must not keep the others from it."""
        try:
            step = partial(replays.step, replay_id=replay_id, now=now)
            if channel_ids := await self._run(step):
                self.look_at(channel_ids)
        except Exception as error:  # noqa: BLE001 whatever it is
            log.error("replay_failed", replay=replay_id, error=repr(error))
            return False
        return True

    async def _write(self, entries: Sequence[Entry]) -> None:
        channel_ids = {entry.delivery.channel_id for entry in entries}
        eager = {each for each in channel_ids if each in self.lanes and self.lanes[each].room > 0}
        task = partial(
            ledger.write, entries=entries, eager=eager, rules=self._rules, now=self._leases.now()
        )
        try:
            written = await self._run(task)
        except Exception as error:  # noqa: BLE001 one bad row must not hold up the others
            if len(entries) == 1:
                log.error("delivery_not_written", error=repr(error))
                await asyncio.sleep(AGAIN_SECONDS)
                self._give_up(entries[0])
                return
            for entry in entries:
                await self._write([entry])
            return
        self._wrote(written, entries)

    def _give_up(self, entry: Entry) -> None:
        """An outcome that cannot be written stays known, so that its message is not sent again and again."""
        lane = self.lanes.get(entry.delivery.channel_id)
        if lane is None or lane.row.token != entry.token:
            return
        if isinstance(entry, Attempted):
            lane.learned(entry.outcome)
        else:
            lane.intended -= isinstance(entry, Intent)
            lane.forget(entry.delivery)
            lane.more = True
        self._pump(lane)

    def _wrote(self, written: Written, entries: Sequence[Entry]) -> None:
        self.meter.fenced += len(written.fenced)
        kept = {decision.attempted.delivery.delivery_id for decision in written.decisions}
        self._count_successes(entries, kept | written.fenced)
        kept.update(delivery.delivery_id for delivery in written.begun)
        for entry in entries:
            lane = self.lanes.get(entry.delivery.channel_id)
            if lane is None or lane.row.token != entry.token:
                continue
            if isinstance(entry, Intent):
                lane.intended -= 1
            if entry.delivery.delivery_id in kept:
                continue
            lane.forget(entry.delivery)
            if isinstance(entry, Attempted):
                lane.learned(entry.outcome)
            else:
                lane.more = True
        for decision in written.decisions:
            self._spawn(self._decide(decision), self._decisions)
        for delivery in written.begun:
            if lane := self.lanes.get(delivery.channel_id):
                lane.prepare(delivery)
                if self._closing:
                    self._withdraw(lane)
        self._go_on(written)

    def _count_successes(self, entries: Iterable[Entry], others: Collection[str]) -> None:
        """Not those of a replay: their event is long past."""
        for entry in entries:
            delivery = entry.delivery
            if not isinstance(entry, Attempted) or delivery.delivery_id in others:
                continue
            if entry.outcome.succeeded and delivery.replay_id is None:
                self.meter.delivered(delivery.created_at, entry.outcome)

    def _go_on(self, written: Written) -> None:
        for row in written.lanes.values():
            if lane := self.lanes.get(row.channel_id):
                self._follow_row(lane, row)
        for delivery in written.promoted:
            if lane := self.lanes.get(delivery.channel_id):
                lane.take(delivery)
        for channel_id, due_at in written.again:
            if lane := self.lanes.get(channel_id):
                lane.next_due = min(lane.next_due, due_at)
        for channel_id in written.lanes:
            if lane := self.lanes.get(channel_id):
                self._pump(lane)

    async def _decide(self, decision: AttemptDecision) -> None:
        """What becomes of a message or its channel is an event, and all that follows from it is in the same commit."""
        attempted = decision.attempted
        delivery = attempted.delivery
        reason, failure = reason_for(attempted, self._rules), failure_of(attempted)
        subject = DeliveryNow(
            delivery_id=delivery.delivery_id,
            channel_id=delivery.channel_id,
            case_id=delivery.case_id,
            message_id=delivery.message_id,
            state="pending",
        )

        def command(work: Work) -> None:
            if decision.state == "dead":
                dead_letter(work, delivery=subject, reason=reason, failure=failure)
            elif decision.state == "held":
                hold(work, delivery=subject, reason=reason, failure=failure)
            if decision.pause:
                with suppress(ChannelNotFound):  # deleted meanwhile
                    pause_delivery(
                        work,
                        channel_id=delivery.channel_id,
                        by="receiver",
                        reason=asked_for("disable", attempted.outcome),
                        failure=failure,
                    )

        concluded: list[Written] = []

        def beside(connection: Connection, _: None) -> None:
            now = self._leases.now()
            concluded[:] = [ledger.conclude(connection, decision, self._rules, reason, now)]

        while True:
            try:
                await self._writer.submit(
                    command,
                    who="system",
                    origin="delivery",
                    request="",
                    cause=delivery.position,
                    beside=beside,
                )
            except LogUnavailable:
                await asyncio.sleep(AGAIN_SECONDS)
            except LeaseLost:
                self.meter.fenced += 1
                return
            except DecidedOtherwise:
                self._enter(attempted)
                return
            except Exception as error:  # noqa: BLE001 one bad row must not hold up its channel
                log.error("delivery_not_decided", error=repr(error))
                await asyncio.sleep(AGAIN_SECONDS)
                self._give_up(attempted)
                return
            else:
                break
        self.meter.dead += decision.state == "dead"
        if decision.state is None:
            self._count_successes([attempted], ())
        if decision.pause:
            # Its row was read before the event changed it.
            concluded[0].lanes.clear()
            await self._read_anew([delivery.channel_id])
        lane = self.lanes.get(delivery.channel_id)
        if lane and lane.row.token == attempted.token:
            lane.forget(delivery)
            lane.learned(attempted.outcome)
        self._go_on(concluded[0])

    async def _run(self, task: Callable[[Connection], R]) -> R:
        """Until the log can be written."""
        while True:
            try:
                return await self._writer.run(task)
            except LogUnavailable:
                await asyncio.sleep(AGAIN_SECONDS)

    async def _load(self, lane: Lane) -> None:
        limit = (PROBE_SAMPLE if lane.probing else HEADS_LIMIT) + len(lane.known)
        try:
            found = await self._database.read(
                ledger.due_heads, lane.channel_id, self._leases.now(), limit
            )
        except Exception as error:  # noqa: BLE001 it is read again
            log.warning("deliveries_not_read", error=repr(error))
            await asyncio.sleep(AGAIN_SECONDS)
            lane.loaded([], None, full=True)
        else:
            lane.loaded(found.due, found.next_due, len(found.due) == limit)
        self._pump(lane)

    def _set_timer(self, lane: Lane, wait: int) -> None:
        """`wait`: microseconds. A time that has passed is none: whatever ends what the lane waits for pumps it."""
        if lane.timer:
            lane.timer.cancel()
            lane.timer = None
        if 0 < wait < NEVER // 2:
            lane.timer = self._loop.call_later(wait / SECOND, self._pump, lane)

    async def _always(self, work: Callable[[], Awaitable[None]]) -> None:
        """A mistake in one turn must not end all sending."""
        while True:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 whatever it is
                log.error("sender_failed", error=repr(error))
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                return

    def _spawn(
        self, work: Coroutine[Any, Any, None], among: set[asyncio.Task[Any]] | None = None
    ) -> None:
        tasks = self._tasks if among is None else among
        task = asyncio.create_task(work)
        tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            tasks.discard(task)
            if not task.cancelled() and (error := task.exception()):
                log.error("sender_failed", error=repr(error))

        task.add_done_callback(ended)


def address_of(url: str, delivery: Delivery) -> str:
    """Where it goes: a rule's webhook may have variables in its address."""
    if delivery.variables is None:
        return url
    return filled_url(url, json.decode(delivery.variables))


async def _cancelled(tasks: Collection[asyncio.Task[Any]]) -> None:
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
