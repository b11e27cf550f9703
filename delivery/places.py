"""Places for webhooks under way, so shared that channels that fail, are slow or hang cannot take them from the others."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from kanal.delivery.lanes import Lane

FAIR_SHARE: Final = 0.75
"""Of all places; the rest is for channels that have none, so that a few slow ones cannot take all."""
PROBING_SHARE: Final = 0.25
"""Of all places, for all channels together that are tried again after failures."""
SLOW_SECONDS: Final = 1.0
"""A webhook under way for longer gives its place back and goes on without one: it costs a socket and no more."""
SLOW_TIMES: Final = 2
"""So many times as many as there are places may be under way without one; each is a socket of its own."""


class Place:
    """Of one webhook under way."""

    def __init__(self, places: "Places", lane: Lane) -> None:
        self._places = places
        self._lane = lane
        self._probes = lane.probing
        self._is_slow = False
        lane.posting += 1
        places.taken += 1
        places.probing += self._probes
        self._wait()

    def leave(self) -> None:
        """Its webhook has ended. Who waits is not called yet: see `Places.feed`."""
        self._timer.cancel()
        self._lane.posting -= 1
        if self._is_slow:
            self._places.slow -= 1
        else:
            self._give_back()

    def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(SLOW_SECONDS, self._become_slow)

    def _become_slow(self) -> None:
        if self._places.slow >= self._places.limit * SLOW_TIMES:
            self._wait()
            return
        self._is_slow = True
        self._places.slow += 1
        self._give_back()
        self._places.feed()

    def _give_back(self) -> None:
        self._places.taken -= 1
        self._places.probing -= self._probes


class Places:
    def __init__(self, limit: int, pump: Callable[[Lane], None]) -> None:
        """`pump` is called with a lane that had to wait, once there may be a place for it."""
        self.limit = limit
        self.taken = 0
        self.probing = 0
        """Of those taken."""
        self.slow = 0
        """Under way without a place."""
        self._pump = pump
        self._hungry: deque[Lane] = deque()
        """They wait, and have some."""
        self._starving: deque[Lane] = deque()
        """They have none."""
        self._probers: deque[Lane] = deque()
        """They are tried again after failures."""

    @property
    def free(self) -> int:
        return self.limit - self.taken

    @property
    def under_way(self) -> int:
        """Webhooks."""
        return self.taken + self.slow

    def take(self, lane: Lane) -> Place | None:
        """None: the lane has all that it may have, or it is told when there may be a place."""
        if lane.posting >= lane.width:
            return None
        if self._may(lane):
            return Place(self, lane)
        if not lane.hungry:
            lane.hungry = True
            self._line(lane).append(lane)
        return None

    def feed(self) -> None:
        """A place may be free: first for channels that have none."""
        while lane := self._next():
            lane.hungry = False
            self._pump(lane)

    def _next(self) -> Lane | None:
        for line in (self._starving, self._hungry, self._probers):
            if line and self._has_room(line):
                return line.popleft()
        return None

    def _may(self, lane: Lane) -> bool:
        return self._has_room(self._line(lane))

    def _line(self, lane: Lane) -> deque[Lane]:
        if lane.probing:
            return self._probers
        return self._hungry if lane.posting else self._starving

    def _has_room(self, line: deque[Lane]) -> bool:
        if line is self._probers and self.probing >= max(1, self.limit * PROBING_SHARE):
            return False
        return self.taken < (self.limit * FAIR_SHARE if line is self._hungry else self.limit)
