"""What a command sees of the world: states in, events out, within one transaction."""

from typing import Protocol, TypeVar

from kanal.domain.event import Event
from kanal.domain.stream import Aggregate

S = TypeVar("S")


class Work(Protocol):
    """Handed to each command as its first argument.

    A command is all or nothing: if it raises, nothing that it recorded remains.
    """

    @property
    def now(self) -> int:
        """The log's time in microseconds since the epoch, UTC; it never goes back."""
        ...

    def load(self, aggregate: Aggregate[S], key: object) -> S:
        """The state of that stream, with all that this command has recorded so far."""
        ...

    def record(self, aggregate: Aggregate[S], key: object, *events: Event) -> None:
        """Append events to that stream."""
        ...

    def take(self, counter: str) -> int:
        """The next number of that counter, counting from 1; numbers grow in the log's order."""
        ...
