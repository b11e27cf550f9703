"""The bell: tells whoever follows the log in this process that something was committed."""

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from kanal.domain.stream import Recorded


class Bell:
    """An inline projection without tables."""

    def __init__(self) -> None:
        self._ring: Callable[[], None] | None = None

    def attach(self, ring: Callable[[], None] | None) -> None:
        """`ring` is called on the writer's thread."""
        self._ring = ring

    def apply(self, connection: Connection, events: Sequence[Recorded], *, head: int) -> None:
        pass

    def committed(self, events: Sequence[Recorded]) -> None:
        if self._ring:
            self._ring()
