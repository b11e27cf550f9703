"""How often a password may be tried in vain: by one address, and for one account, whichever address tries.

Counted in each process for itself, and forgotten when it ends. A try counts as failed from its beginning, so that many
at once are no more than many in a row.
"""

from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from time import monotonic
from typing import Final

from kanal.http import contacts

WINDOW: Final = 15 * 60
"""Seconds."""
OF_ACCOUNT: Final = 10
"""Failures within the window; whoever mistypes needs three. A hundred thousand guesses would take three months."""
OF_ADDRESS: Final = 40
"""An office stands behind one."""
REMEMBERED: Final = 10_000
"""Addresses and accounts; the one that failed the longest time ago is forgotten first."""


HOST_BITS: Final = 64
"""Of an IPv6 address: whoever has one has all that differ in these alone."""

Key = tuple[str, str]


class Throttle:
    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[Key, list[float]] = OrderedDict()

    def wait(self, address: str, account: str) -> int:
        """Seconds until they may try again, 0 for at once."""
        by_address, by_account = _keys(address, account)
        return max(self._wait(by_address, OF_ADDRESS), self._wait(by_account, OF_ACCOUNT))

    def attempt(self, address: str, account: str) -> int:
        """As `wait`; at 0 they try now, which counts as failed unless `succeeded` or `not_made` is told later."""
        if wait := self.wait(address, account):
            return wait
        for key in _keys(address, account):
            self._failures[key] = [*self._recent(key), self._clock()][-OF_ADDRESS:]
            self._failures.move_to_end(key)
        while len(self._failures) > REMEMBERED:
            self._failures.popitem(last=False)
        return 0

    def succeeded(self, address: str, account: str) -> None:
        """Other failures of the address stay: it may own one account and try others."""
        self.not_made(address, account)
        self._failures.pop(("account", account), None)

    def not_made(self, address: str, account: str) -> None:
        """An attempt that came to no comparison."""
        for key in _keys(address, account):
            left = self._recent(key)[:-1]
            if left:
                self._failures[key] = left
            else:
                self._failures.pop(key, None)

    def _wait(self, key: Key, most: int) -> int:
        recent = self._recent(key)
        if len(recent) < most:
            return 0
        return max(1, round(recent[-most] + WINDOW - self._clock()))

    def _recent(self, key: Key) -> list[float]:
        begun = self._clock() - WINDOW
        return [at for at in self._failures.get(key, ()) if at > begun]


def account_of(email: str) -> str:
    """One account however its e-mail is spelled, at sign-in and everywhere else where it is proved anew who somebody is."""
    try:
        return contacts.email(email).normalised
    except ValueError:
        return email.strip().lower()[: contacts.MAX_LENGTH]


def _keys(address: str, account: str) -> tuple[Key, Key]:
    return ("address", _network(address)), ("account", account)


def _network(address: str) -> str:
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if not isinstance(ip, IPv6Address):
        return address
    if ip.ipv4_mapped:
        return str(ip.ipv4_mapped)
    return f"{int(ip) >> HOST_BITS:x}/{HOST_BITS}"
