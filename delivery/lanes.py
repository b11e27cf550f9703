"""A channel's sending, as the process that owns it keeps it in memory. Only the event loop's thread changes it."""

import asyncio
import time
from collections import deque
from collections.abc import Collection
from contextlib import suppress
from typing import Final

from kanal.delivery.ledger import Claimed
from kanal.delivery.outcome import Outcome
from kanal.delivery.pace import Pace
from kanal.delivery.signing import Signers, signers_of
from kanal.delivery.tables import NEVER
from kanal.delivery.verdict import Delivery, LaneRow

FIRST_WIDTH: Final = 2
"""In flight on a channel that nothing is known of yet; each success doubles it up to the channel's limit."""
PROBES: Final = 2
"""In flight after a pause: the oldest head, and the one least tried in case the oldest itself is the trouble."""
PROBE_SAMPLE: Final = 50
"""Of so many of the oldest heads the least tried one is taken."""
AHEAD: Final = 4
"""For each place in flight so many are begun, so that none stays empty while the log is busy with other commits."""
HEADS_LIMIT: Final = 64
"""Heads kept in memory that nothing has been begun for; the others stay in the database."""
HEADS_LOW: Final = 16
"""With fewer the next ones are read."""


class Lane:
    def __init__(self, claimed: Claimed, per_channel: int, lease_ends: float) -> None:
        self.row: LaneRow = claimed.lane
        self.equip(claimed)
        self.lease_ends = lease_ends
        """By this process' monotonic clock; nothing is begun after it."""
        self.heads: deque[Delivery] = deque()
        """Due, nothing begun."""
        self.prepared: deque[Delivery] = deque()
        """Their intents are durable; they wait for a place in flight."""
        self.known: dict[str, Delivery] = {}
        """All that is in memory, until its outcome is durable."""
        self.intended = 0
        """Intents being written."""
        self.posting = 0
        self.suspicions = 0
        """Failures of the endpoint that are not durable yet: until they are, nobody knows of the pause they make."""
        self.width = min(FIRST_WIDTH, per_channel)
        self.succeeded_at = 0
        self.refusals = 0
        """Messages that the receiver refused since it last took one."""
        self.more = True
        """The database may hold due heads that are not here."""
        self.loading = False
        self.settled: set[str] = set()
        """What ended while heads were being read: the reader may have seen it still due."""
        self.next_due = NEVER
        self.timer: asyncio.TimerHandle | None = None
        self.hungry = False
        """Waits for a place among all that the process has in flight."""
        self.room = 0
        """How many new heads may be sent at once; the writer's thread takes from it."""
        self.used_at = time.monotonic()
        self._per_channel = per_channel
        self.pace: Pace | None = None
        """Only where the channel's deliveries are limited."""
        self._set_pace()

    @property
    def channel_id(self) -> int:
        return self.row.channel_id

    @property
    def probing(self) -> bool:
        return self.row.failures > 0

    @property
    def busy(self) -> bool:
        return bool(self.known)

    def equip(self, claimed: Claimed) -> None:
        """With what is kept beside the row."""
        self.headers = claimed.headers
        self._secrets = claimed.secrets
        self._signers: Signers | None = None

    def signers(self, now: int) -> Signers:
        if self._signers is None or now >= self._signers.until:
            self._signers = signers_of(self._secrets, self.row.options.signature, now)
        return self._signers

    def is_idle(self, since: float, until: int) -> bool:
        """Nothing was sent `since` (monotonic), nothing is to be sent `until`."""
        unused = not self.known and not self.loading and self.used_at < since
        if self.pace and not self.pace.is_full(time.monotonic_ns() // 1000):
            return False  # whoever took the lane next would not know how much was sent just now
        return unused and max(self.next_due, self.row.paused_until) > until

    def may_send(self, now: int) -> bool:
        row = self.row
        return row.state == "active" and row.paused_until <= now and not row.options.polling

    @property
    def ahead(self) -> int:
        """How many may be begun."""
        return self.width * (1 if self.probing else AHEAD)

    @property
    def begun(self) -> int:
        return self.intended + len(self.prepared) + self.posting

    def take(self, delivery: Delivery) -> None:
        """A head that is due."""
        if delivery.delivery_id in self.known:
            return
        if len(self.heads) >= HEADS_LIMIT or self.row.paused_until or self.probing:
            self.more = True
            return
        self.known[delivery.delivery_id] = delivery
        self.heads.append(delivery)

    def prepare(self, delivery: Delivery) -> None:
        """Its intent is durable."""
        self.known[delivery.delivery_id] = delivery
        self.prepared.append(delivery)

    def prepare_new(self, delivery: Delivery) -> None:
        """As `prepare`, for one that came with its intent; the database's heads may have told of it before."""
        if known := self.known.get(delivery.delivery_id):
            with suppress(ValueError):  # an intent is asked for already, and will be refused
                self.heads.remove(known)
        self.prepare(delivery)

    def withdraw(self, only: Collection[str] | None = None) -> list[Delivery]:
        """What is begun and not sent yet: these, or all of it."""
        prepared, self.prepared = self.prepared, deque()
        if only is not None:
            self.prepared.extend(each for each in prepared if each.delivery_id not in only)
        return [each for each in prepared if only is None or each.delivery_id in only]

    def loaded(self, due: list[Delivery], next_due: int | None, full: bool) -> None:
        """What the database has. `full`: there may be yet more."""
        self.loading = False
        self.more = self.more or full
        self.next_due = min(self.next_due, next_due or NEVER)
        settled, self.settled = self.settled, set()
        fresh = [each for each in due if each.delivery_id not in settled]
        fresh = [each for each in fresh if each.delivery_id not in self.known]
        if self.probing:
            self.more = self.more or len(fresh) > PROBES
            fresh = _probes(fresh)
        for delivery in fresh:
            self.known[delivery.delivery_id] = delivery
            self.heads.append(delivery)

    def forget(self, delivery: Delivery) -> None:
        if self.known.get(delivery.delivery_id) is delivery:
            del self.known[delivery.delivery_id]
        if self.loading:
            self.settled.add(delivery.delivery_id)

    def forget_heads(self) -> None:
        """Nothing was begun for them; they are read again when their time comes."""
        for delivery in self.heads:
            self.known.pop(delivery.delivery_id, None)
        self.more = self.more or bool(self.heads)
        self.heads.clear()

    def follow(self, row: LaneRow) -> None:
        """The row as it is now."""
        if row.state == "active" and self.row.state != "active":
            # What piled up meanwhile must not fall upon the receiver all at once.
            self.width = min(FIRST_WIDTH, self._per_channel)
        changed = row.options != self.row.options
        self.row = row
        if changed:
            self._signers = None
            self._set_pace()
        if row.state != "active" or row.failures or row.paused_until:
            self.forget_heads()
        if row.failures:
            self.width = min(PROBES, self._per_channel)

    def keeps_pace(self) -> bool:
        """Whether one more may be begun now; then it counts."""
        return self.pace is None or self.pace.take(time.monotonic_ns() // 1000)

    def _set_pace(self) -> None:
        limit = self.row.options.rate_limit
        if not limit:
            self.pace = None
        elif self.pace is None or self.pace.per_minute != limit:
            self.pace = Pace(limit, time.monotonic_ns() // 1000)

    def learn(self, outcome: Outcome) -> None:
        """As soon as it is known."""
        self.used_at = time.monotonic()
        self.suspicions += _is_suspicious(outcome)
        self.refusals += outcome.message_class
        if outcome.succeeded:
            self.succeeded_at = outcome.ended_at
            self.refusals = 0
            self.width = min(self.width * 2, self._per_channel)

    def learned(self, outcome: Outcome) -> None:
        """It is durable, and so is what it means for the channel."""
        self.suspicions -= _is_suspicious(outcome)


def _is_suspicious(outcome: Outcome) -> bool:
    return outcome.endpoint_class or outcome.permanent or "disable" in outcome.wishes


def _probes(due: list[Delivery]) -> list[Delivery]:
    """`due`: the oldest first."""
    if len(due) <= PROBES:
        return due
    oldest, *others = due
    return [oldest, min(others, key=lambda delivery: delivery.failures)]
