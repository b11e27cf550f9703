"""What every measurement is given."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple

from databases import Databases, Place
from processes import ask
from report import Report


class Filled(NamedTuple):
    """A database with a large log in it."""

    place: Place
    made: dict[str, Any]
    """What filling.py says it made."""


class Bench:
    def __init__(self, databases: Databases, stack: ExitStack, *, quick: bool) -> None:
        self.databases = databases
        self.quick = quick
        self._stack = stack
        self._filled: dict[tuple[str, int], Filled] = {}

    def filled(self, kind: str, events: int) -> Filled:
        """A log of about so many events: conversations of five messages. Made once, kept for all measurements."""
        key = kind, events
        if key not in self._filled:
            place = self._stack.enter_context(self.databases.place(kind))
            self._filled[key] = Filled(place, ask("filling.py", place.job() | {"events": events}))
        return self._filled[key]


Measure = Callable[[Bench], Report]
