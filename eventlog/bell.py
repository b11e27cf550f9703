"""The bell: tells whoever follows the log that something was committed, in this process and, on PostgreSQL, in the others."""

from collections.abc import Callable, Collection, Sequence
from typing import Final

from sqlalchemy import Connection, func, select

from kanal.domain.event import Event
from kanal.domain.stream import Recorded
from kanal.eventlog.database import BatchStart
from kanal.eventlog.projection import Changes

NOTICE: Final = "kanal_log"
"""PostgreSQL's channel on which processes tell each other. A notice that is lost costs a moment: who follows looks by himself too."""


class Bell:
    """An inline projection without tables."""

    def __init__(self, concerning: Collection[type[Event]] = ()) -> None:
        """`concerning`: for other events no other process is told; none named: for all."""
        self._concerning = frozenset(concerning)
        self._rings: tuple[Callable[[], None], ...] = ()
        self._heard_here: Callable[[], bool] = lambda: False

    def attach(
        self, ring: Callable[[], None], heard_here: Callable[[], bool] | None = None
    ) -> None:
        """Both are called on the writer's thread. `heard_here`: of what only one process follows, that it is this one, so
        no other need be told.
        """
        self._rings = (*self._rings, ring)
        if heard_here:
            self._heard_here = heard_here

    def apply(
        self,
        connection: Connection,
        events: Sequence[Recorded],
        beginning: BatchStart,
        changes: Changes,
    ) -> None:
        if connection.dialect.name != "postgresql" or self._heard_here():
            return
        concerning = self._concerning
        if not concerning or any(type(each.event) in concerning for each in events):
            connection.execute(select(func.pg_notify(NOTICE, "")))

    def committed(self, events: Sequence[Recorded]) -> None:
        for ring in self._rings:
            ring()
