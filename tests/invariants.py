"""What must hold of delivery whatever happened: eight rules over what was written, what Kanal's ledger says and what the receiver saw.

Each rule is a function from the evidence to its breaches, one sentence each; `breaches` asks all of them.
"""

import base64
import hashlib
import hmac
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from webhook_receiver import Received

CLOCK_SECONDS: Final = 5.0
"""The API tells times in whole seconds, and on a busy machine a request is seen some time after its attempt began."""
HEED_SECONDS: Final = 1.0
"""An answer that asks for a pause has been read by then, also on a machine that is busy."""
EARLY_SECONDS: Final = 0.25
"""A busy receiver may note an answer so much later than Kanal reads it."""
LOST: Final = frozenset({"unknown", "reset", "response_timeout", "broken_answer"})
"""Attempts that the receiver may have taken without Kanal's knowing."""
UNSEEN: Final = LOST | {
    "dns",
    "refused",
    "unreachable",
    "tls",
    "connect_timeout",
    "blocked_by_policy",
    "invalid_url",
    "local_fault",
}
"""Attempts that the receiver may never have seen."""


class Message(NamedTuple):
    """An event of the log that has to go out."""

    message_id: int
    case_id: int
    channel_id: int


class Attempt(NamedTuple):
    number: int
    started_at: float
    ended_at: float | None
    outcome: str | None
    http_status: int | None


@dataclass
class Delivery:
    delivery_id: str
    message_id: int
    case_id: int
    channel_id: int
    sequence: int
    state: str
    reason: str | None
    attempts: int
    log: tuple[Attempt, ...] = ()
    """The first attempt first; empty where there was nothing to ask: one attempt, one receipt."""


class Closed(NamedTuple):
    """Nothing may be sent on the channel from then until then, by the receiver's clock."""

    channel_id: int
    since: float
    until: float


@dataclass
class Evidence:
    written: Iterable[int]
    """Ids of messages whose writes were answered."""
    log: list[Message]
    """In the log's order."""
    deliveries: list[Delivery]
    received: list[Received]
    """Their clock is the receiver's; `wall` is added to it to compare with the ledger's."""
    wall: float = 0.0
    secrets: Mapping[int, list[str]] = field(default_factory=dict)
    """Of each channel, all that ever signed."""
    in_flight_at_crashes: int = 0
    """The most that could have been under way at all crashes together."""
    first_delay: float = 1.0
    """Seconds after a failure before anything is tried again."""
    closed: list[Closed] = field(default_factory=list)
    stalled: bool = False
    """A process was held up beyond its lease on purpose, so that another one did what it was doing."""
    clocks_agree: bool = True
    """No clock was moved on purpose."""

    def by_delivery(self) -> dict[str, list[Received]]:
        """In the order of their arrival."""
        found: dict[str, list[Received]] = defaultdict(list)
        for receipt in sorted(self.received, key=lambda receipt: receipt.started):
            found[id_of(receipt)].append(receipt)
        return found

    def counts(self) -> dict[str, int]:
        """For people."""
        return {
            "events": len(self.log),
            "deliveries": len(self.deliveries),
            "duplicates": sum(_taken_again(self).values()),
            "losses": len(list(nothing_is_missing(self))),
            "reorderings": len(list(each_case_is_in_order(self))),
        }


Rule = Callable[[Evidence], Iterator[str]]


def id_of(receipt: Received) -> str:
    return receipt.headers["webhook-id"]


def case_of(receipt: Received) -> str:
    return receipt.form["object[case_id]"]


def taken(receipt: Received) -> bool:
    return receipt.answered is not None and 200 <= receipt.answered < 300


def nothing_is_missing(evidence: Evidence) -> Iterator[str]:
    """I1: what was written is in the log, and each message of the log was taken, or waits or was given up with a reason."""
    logged = {message.message_id for message in evidence.log}
    for message_id in set(evidence.written) - logged:
        yield f"message {message_id} was answered and is not in the log"
    kept: dict[int, list[Delivery]] = defaultdict(list)
    for delivery in evidence.deliveries:
        kept[delivery.message_id].append(delivery)
    receipts = evidence.by_delivery()
    for message in evidence.log:
        found = kept[message.message_id]
        if len(found) != 1:
            yield f"message {message.message_id} has {len(found)} deliveries"
            continue
        (delivery,) = found
        arrived = any(taken(receipt) for receipt in receipts[delivery.delivery_id])
        if delivery.state == "delivered" and not arrived:
            yield f"{delivery.delivery_id} counts as delivered and was never taken"
        if delivery.state == "dead" and not delivery.reason:
            yield f"{delivery.delivery_id} was given up without a reason"


def nothing_else_arrives(evidence: Evidence) -> Iterator[str]:
    """I2: every id received is that of a message of the log."""
    logged = {message.message_id: message for message in evidence.log}
    known = {delivery.delivery_id: delivery for delivery in evidence.deliveries}
    for receipt in evidence.received:
        delivery = known.get(id_of(receipt))
        if delivery is None:
            yield f"{id_of(receipt)} arrived and nobody knows it"
            continue
        message = logged.get(delivery.message_id)
        said = (int(receipt.form["object[message_id]"]), int(case_of(receipt)))
        if message is None or said != (message.message_id, message.case_id):
            yield f"{id_of(receipt)} is about message and case {said}, the log has {message}"


def each_case_is_in_order(evidence: Evidence) -> Iterator[str]:
    """I3: the first successes of a case come in the log's order, numbered without a gap, each naming the one before it."""
    known = {delivery.delivery_id: delivery for delivery in evidence.deliveries}
    cases: dict[int, list[Delivery]] = defaultdict(list)
    for delivery in sorted(evidence.deliveries, key=lambda delivery: delivery.sequence):
        cases[delivery.case_id].append(delivery)
    previous = {
        later.delivery_id: earlier.delivery_id
        for case in cases.values()
        for earlier, later in itertools.pairwise(case)
    }
    last: dict[int, int] = {}
    seen: set[str] = set()
    for receipt in sorted(evidence.received, key=lambda receipt: receipt.started):
        delivery_id = id_of(receipt)
        found = known.get(delivery_id)
        if found is None:
            continue
        headers = receipt.headers
        said = (headers.get("kanal-sequence"), headers.get("kanal-previous-id"))
        if said != (str(found.sequence), previous.get(delivery_id)):
            yield f"{delivery_id} says it is number {said[0]} after {said[1]}"
        if taken(receipt) and delivery_id not in seen:
            seen.add(delivery_id)
            if found.sequence < last.get(found.case_id, 0):
                yield f"{delivery_id}, number {found.sequence} of case {found.case_id}, came after {last[found.case_id]}"
            last[found.case_id] = max(last.get(found.case_id, 0), found.sequence)
    logged: dict[int, list[int]] = defaultdict(list)
    for message in evidence.log:
        logged[message.case_id].append(message.message_id)
    for case_id, case in cases.items():
        if [delivery.message_id for delivery in case] != logged[case_id]:
            yield f"the numbers of case {case_id} are not in the log's order"


def repeats_have_a_cause(evidence: Evidence) -> Iterator[str]:
    """I4: what was taken is sent again only after a crash or a lost answer, and no more often."""
    known = {delivery.delivery_id: delivery for delivery in evidence.deliveries}
    after_crashes = 0
    for delivery_id, again in _taken_again(evidence).items():
        log = known[delivery_id].log if delivery_id in known else ()
        lost = sum(attempt.outcome in LOST for attempt in log)
        after_crashes += min(again, sum(attempt.outcome == "unknown" for attempt in log))
        if again > lost:
            yield f"{delivery_id} was taken {again + 1} times, and {lost} answers were lost"
    if after_crashes > evidence.in_flight_at_crashes:
        allowed = evidence.in_flight_at_crashes
        yield f"{after_crashes} were sent again after crashes that cut off {allowed} at most"


def a_case_never_overlaps(evidence: Evidence) -> Iterator[str]:
    """I5: no two requests of a case are in flight at once."""
    if evidence.stalled:
        return
    before: dict[str, Received] = {}
    for receipt in sorted(evidence.received, key=lambda receipt: receipt.started):
        earlier = before.get(case_of(receipt))
        if earlier and (earlier.ended is None or earlier.ended > receipt.started):
            yield f"{id_of(receipt)} began before {id_of(earlier)} of its case had ended"
        before[case_of(receipt)] = receipt


def every_receipt_is_in_the_ledger(evidence: Evidence) -> Iterator[str]:
    """I6: each receipt is an attempt of the ledger, at that time and with that answer."""
    known = {delivery.delivery_id: delivery for delivery in evidence.deliveries}
    for delivery_id, receipts in evidence.by_delivery().items():
        delivery = known.get(delivery_id)
        if delivery is None:
            continue
        if not delivery.log:
            if (len(receipts), delivery.attempts) != (1, 1):
                yield f"{delivery_id} has {len(receipts)} receipts and {delivery.attempts} attempts"
            continue
        if any(attempt is None for _, attempt in _matched(evidence, delivery, receipts)):
            yield f"{delivery_id}: its attempts are not what was seen. {_told(evidence, delivery, receipts)}"


def nothing_comes_early(evidence: Evidence) -> Iterator[str]:
    """I7: nothing is tried again before its time, nor while its channel is paused or disabled."""
    known = {delivery.delivery_id: delivery for delivery in evidence.deliveries}
    channel_of = {each.delivery_id: each.channel_id for each in evidence.deliveries}
    failed: dict[int, list[Received]] = defaultdict(list)
    for receipt in evidence.received:
        if not taken(receipt):
            failed[channel_of.get(id_of(receipt), 0)].append(receipt)
    for delivery_id, receipts in evidence.by_delivery().items():
        delivery = known.get(delivery_id)
        if delivery is None or len(receipts) < 2:
            continue
        matched = _matched(evidence, delivery, receipts)
        for (receipt, attempt), (later, _) in itertools.pairwise(matched):
            if attempt is None or attempt.outcome != "http_status" or receipt.ended is None:
                continue
            if receipt.answered is None:
                continue  # a dropped connection; the attempt went on over a new one at once
            # A failure beside it that was sooner known may have begun the wait.
            since = min(
                other.ended
                for other in failed[delivery.channel_id]
                if other.ended is not None and receipt.started <= other.ended <= receipt.ended
            )
            if later.started < since + evidence.first_delay - EARLY_SECONDS:
                wait = later.started - since
                told = _told(evidence, delivery, receipts)
                yield f"{delivery_id} was tried again {wait:.2f} s after a failure. {told}"
    pauses = [
        Closed(channel_id, receipt.ended + HEED_SECONDS, receipt.ended + receipt.retry_after)
        for channel_id, receipts in failed.items()
        for receipt in receipts
        if receipt.retry_after and receipt.ended is not None
    ]
    for receipt in evidence.received:
        for closed in [*evidence.closed, *pauses]:
            inside = closed.since < receipt.started < closed.until
            if inside and channel_of.get(id_of(receipt)) == closed.channel_id:
                yield f"{id_of(receipt)} was sent while channel {closed.channel_id} was paused"


def bytes_and_signatures_hold(evidence: Evidence) -> Iterator[str]:
    """I8: one id, one body; every receipt is signed for its own time with a secret of its channel."""
    channel_of = {each.delivery_id: each.channel_id for each in evidence.deliveries}
    bodies: dict[str, bytes] = {}
    for receipt in evidence.received:
        delivery_id = id_of(receipt)
        if bodies.setdefault(delivery_id, receipt.body) != receipt.body:
            yield f"{delivery_id} came with another body"
        at = receipt.headers["webhook-timestamp"]
        begun = receipt.started + evidence.wall
        if evidence.clocks_agree and abs(int(at) - begun) > CLOCK_SECONDS:
            yield f"{delivery_id} is signed for {at} and came at {begun:.1f}"
        signed = f"{delivery_id}.{at}.".encode() + receipt.body
        valid = {
            "v1," + base64.b64encode(_signature(secret, signed)).decode()
            for secret in evidence.secrets.get(channel_of.get(delivery_id, 0), ())
        }
        if not valid & set(receipt.headers["webhook-signature"].split()):
            yield f"{delivery_id} is not signed by its channel"


RULES: Final[tuple[Rule, ...]] = (
    nothing_is_missing,
    nothing_else_arrives,
    each_case_is_in_order,
    repeats_have_a_cause,
    a_case_never_overlaps,
    every_receipt_is_in_the_ledger,
    nothing_comes_early,
    bytes_and_signatures_hold,
)


def breaches(evidence: Evidence) -> list[str]:
    """`rule: what broke it`; empty if all is well."""
    return [f"{rule.__name__}: {breach}" for rule in RULES for breach in rule(evidence)]


def all_delivered(evidence: Evidence) -> list[str]:
    """Those that are not."""
    return [each.delivery_id for each in evidence.deliveries if each.state != "delivered"]


def _taken_again(evidence: Evidence) -> dict[str, int]:
    """Id -> how often it was taken beyond once."""
    times = {
        delivery_id: sum(map(taken, receipts))
        for delivery_id, receipts in evidence.by_delivery().items()
    }
    return {delivery_id: count - 1 for delivery_id, count in times.items() if count > 1}


def _told(evidence: Evidence, delivery: Delivery, receipts: list[Received]) -> str:
    """For whoever has to find out."""
    log = [tuple(attempt) for attempt in delivery.log]
    seen = [(f"{each.started + evidence.wall:.2f}", each.answered) for each in receipts]
    return f"Channel {delivery.channel_id}, attempts {log}, seen {seen}."


def _matched(
    evidence: Evidence, delivery: Delivery, receipts: list[Received]
) -> list[tuple[Received, Attempt | None]]:
    """Each receipt with its attempt, both in their order; None for each if they do not fit together."""
    found = _fit(evidence, receipts, delivery.log) or [None] * len(receipts)
    return list(zip(receipts, found, strict=True))


def _fit(
    evidence: Evidence,
    receipts: Sequence[Received],
    attempts: Sequence[Attempt],
    resent: bool = False,
) -> list[Attempt] | None:
    """`resent`: the first attempt has been seen already, on a kept connection that was dropped without an answer."""
    if not receipts:
        left = attempts[1:] if resent else attempts
        return [] if all(attempt.outcome in (*UNSEEN, None) for attempt in left) else None
    if not attempts:
        return None
    receipt, attempt = receipts[0], attempts[0]

    def is_its_own() -> list[Attempt] | None:
        rest = _fit(evidence, receipts[1:], attempts[1:]) if _may_be(receipt, attempt) else None
        return None if rest is None else [attempt, *rest]

    def is_sent_again() -> list[Attempt] | None:
        if resent or receipt.answered is not None:
            return None
        rest = _fit(evidence, receipts[1:], attempts, resent=True)
        return None if rest is None else [attempt, *rest]

    def was_not_seen() -> list[Attempt] | None:
        unseen = resent or attempt.outcome in UNSEEN
        return _fit(evidence, receipts, attempts[1:]) if unseen else None

    ways = [is_its_own, is_sent_again, was_not_seen]
    if evidence.clocks_agree:
        at = receipt.started + evidence.wall
        if at < attempt.started_at - CLOCK_SECONDS:
            return None
        if attempt.ended_at is not None and at > attempt.ended_at + 1:
            ways.reverse()
            if at > attempt.ended_at + CLOCK_SECONDS:
                ways = [was_not_seen]
    for way in ways:
        found = way()
        if found is not None:
            return found
    return None


def _may_be(receipt: Received, attempt: Attempt) -> bool:
    if attempt.outcome is None or attempt.outcome in LOST:
        return True
    if receipt.answered is None:
        return attempt.outcome == "over_long_answer"
    return attempt.http_status == receipt.answered


def _signature(secret: str, signed: bytes) -> bytes:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return hmac.digest(key, signed, hashlib.sha256)
