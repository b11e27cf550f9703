"""The networks that one channel's webhooks may reach, narrower than what the installation allows."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Network, NetmaskValueError, ip_address, ip_network
from typing import Final

from kanal.delivery.address_guard import IPNetwork, effective

MAX_NETWORKS: Final = 50
MAPPED: Final = IPv6Network("::ffff:0:0/96")


def network(spelled: str) -> IPNetwork:
    """`10.1.0.0/16`, `2001:db8::/32`, a single address. Raises ValueError that says what is wrong."""
    address, slash, length = spelled.strip().partition("/")
    if "%" in address or (slash and not (length.isascii() and length.isdigit())):
        raise ValueError(f"{spelled!r} is not a network like 10.1.0.0/16 or 2001:db8::/32")
    try:
        found = ip_network(f"{address}{slash}{length}", strict=False)
    except (AddressValueError, NetmaskValueError, ValueError):
        raise ValueError(
            f"{spelled!r} is not a network like 10.1.0.0/16 or 2001:db8::/32"
        ) from None
    if ip_address(address) != found.network_address:
        raise ValueError(f"{spelled!r} has bits behind its prefix: {found} would be the network")
    if isinstance(found, IPv6Network) and found.overlaps(MAPPED) and found.prefixlen >= 96:
        raise ValueError(f"{spelled!r} must be written as a network of IPv4")
    return found


@lru_cache
def networks_of(spelled: tuple[str, ...]) -> tuple[IPNetwork, ...]:
    """What options hold, which was checked when it was saved."""
    return tuple(map(ip_network, spelled))


def outside(networks: Sequence[IPNetwork], address: str) -> bool:
    """Whether a numeric address lies in none of them, as it is or as what is really reached by it."""
    found = ip_address(address)
    inner = effective(found)
    return not any(found in each or inner in each for each in networks)
