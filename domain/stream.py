"""Streams and the aggregates that live in them."""

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from kanal.domain.event import Envelope, Event

S = TypeVar("S")


class Aggregate(NamedTuple, Generic[S]):
    """How the events of one kind of stream become a state.

    `personal`: keys of these streams say something of a person (an e-mail, a phone, an external id),
    so the log must not show them in the stream's id.
    """

    kind: str
    initial: S
    evolve: Callable[[S, Event], S]
    personal: bool = False
    version: int = 1
    """Grows when `evolve` comes to another state for the same events, so that stored states are made anew."""


class Recorded(NamedTuple):
    """An event at its place in the log."""

    position: int
    stream_id: str
    """32 hexadecimal digits."""
    version: int
    """1 for the first event of the stream."""
    event: Event
    envelope: Envelope
