"""How often a password may be tried in vain: by one address, and for one account, whichever address tries.

Counted in each process for itself, and forgotten when it ends.
"""

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Final

WINDOW: Final = 15 * 60
"""Seconds."""
OF_ACCOUNT: Final = 10
"""Failures within the window; whoever mistypes needs three. A hundred thousand guesses would take three months."""
OF_ADDRESS: Final = 40
"""An office stands behind one."""
REMEMBERED: Final = 10_000
"""Addresses and accounts; the one that failed the longest time ago is forgotten first."""


class Throttle:
    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[tuple[str, str], list[float]] = OrderedDict()

    def wait(self, address: str, account: str) -> int:
        """Seconds until they may try again, 0 for at once."""
        waits = [
            self._wait(("address", address), OF_ADDRESS),
            self._wait(("account", account), OF_ACCOUNT),
        ]
        return max(waits)

    def failed(self, address: str, account: str) -> None:
        for key in (("address", address), ("account", account)):
            self._failures[key] = [*self._recent(key), self._clock()][-OF_ADDRESS:]
            self._failures.move_to_end(key)
        while len(self._failures) > REMEMBERED:
            self._failures.popitem(last=False)

    def succeeded(self, account: str) -> None:
        """The address stays suspect: it may own one account and try others."""
        self._failures.pop(("account", account), None)

    def _wait(self, key: tuple[str, str], most: int) -> int:
        recent = self._recent(key)
        if len(recent) < most:
            return 0
        return max(1, round(recent[-most] + WINDOW - self._clock()))

    def _recent(self, key: tuple[str, str]) -> list[float]:
        begun = self._clock() - WINDOW
        return [at for at in self._failures.get(key, ()) if at > begun]
