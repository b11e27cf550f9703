"""Receipts: what a request with an Idempotency-Key led to, so that its repeat leads to nothing more."""

from typing import Any

from kanal.domain.event import Event
from kanal.domain.stream import Aggregate


class ReceiptKept(Event, frozen=True):
    NAME = "receipt.kept.1"
    request_hash: str
    """A keyed hash of the request; never its text."""
    result: Any
    """The ids that the request made."""


def evolve(receipt: ReceiptKept | None, event: Event) -> ReceiptKept | None:
    return event if isinstance(event, ReceiptKept) else receipt


RECEIPTS: Aggregate[ReceiptKept | None] = Aggregate("receipt", None, evolve, personal=True)
