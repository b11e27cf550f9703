"""Which addresses webhooks may reach: asked for every connection at the socket, and when a URL is saved.

An address counts by what it is, not by whether this host happens to own it, and not by how it is
spelled. `ipaddress.is_global` is not the test: up to Python 3.12 it lets NAT64, 6to4, site-local and
other forms of inner addresses through.
"""

import errno
import socket
import unicodedata
from collections.abc import Sequence
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)
from typing import Final

import msgspec
from aiohttp import AddrInfoType
from yarl import URL

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

URL_LIMIT: Final = 2048
"""Characters. Longer request lines are cut or refused by common servers and proxies."""

HOST_LIMIT: Final = 253
LABEL_LIMIT: Final = 63
PORT_LIMIT: Final = 65535

REFUSED_V4: Final[tuple[tuple[IPv4Network, str], ...]] = tuple(
    (IPv4Network(network), reason)
    for network, reason in (
        ("0.0.0.0/8", "an address of this host"),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "a shared address inside a provider's network"),
        ("127.0.0.0/8", "a loopback address"),
        ("168.63.129.16/32", "a cloud metadata address"),
        ("169.254.169.254/32", "a cloud metadata address"),
        ("169.254.0.0/16", "a link-local address"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "an address reserved for protocols"),
        ("192.0.2.0/24", "a documentation address"),
        ("192.88.99.0/24", "a 6to4 relay address"),
        ("192.168.0.0/16", "a private address"),
        ("198.18.0.0/15", "a benchmarking address"),
        ("198.51.100.0/24", "a documentation address"),
        ("203.0.113.0/24", "a documentation address"),
        ("224.0.0.0/4", "a multicast address"),
        ("240.0.0.0/4", "a reserved address"),
    )
)
"""IANA's special-purpose registry without its global entries; 168.63.129.16 is Azure's host agent."""

REFUSED_V6: Final[tuple[tuple[IPv6Network, str], ...]] = tuple(
    (IPv6Network(network), reason)
    for network, reason in (
        ("::/128", "an address of this host"),
        ("::1/128", "a loopback address"),
        ("::/8", "a reserved address"),
        ("64:ff9b:1::/48", "a local NAT64 address"),
        ("100::/64", "a discard address"),
        ("2001:db8::/32", "a documentation address"),
        ("2001::/32", "a Teredo address"),
        ("2001::/23", "an address reserved for protocols"),
        ("2002::/16", "a 6to4 address"),
        ("3fff::/20", "a documentation address"),
        ("5f00::/16", "a segment-routing address"),
        ("fc00::/7", "a private address"),
        ("fe80::/10", "a link-local address"),
        ("fec0::/10", "a site-local address"),
        ("ff00::/8", "a multicast address"),
    )
)
GLOBAL_UNICAST_V6: Final = IPv6Network("2000::/3")
NAT64: Final = IPv6Network("64:ff9b::/96")

ISATAP_MARKS: Final = frozenset({0x00005EFE, 0x02005EFE})
"""The upper half of an interface id that wraps an IPv4 address (RFC 5214)."""

LOCALHOST: Final = (IPv4Address("127.0.0.1"), IPv6Address("::1"))

DOTS: Final = str.maketrans({"\u3002": "."})
"""What is left, after compatibility folding, of the characters that IDNA takes for a dot."""


class AddressRefused(OSError):
    """Raised instead of opening a socket. An OSError, so that it passes through aiohttp as one."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(errno.EACCES, f"{address} is {reason}")
        self.address = address
        self.reason = reason


class WebhookUrlRefused(msgspec.Struct, frozen=True):
    """Why a URL is certain never to be called; `by_policy` when its address is why."""

    reason: str
    by_policy: bool = False

    @property
    def sentence(self) -> str:
        """For the person who saves the channel."""
        return f"This Webhook URL cannot be called: {self.reason}."


class AddressGuard:
    """Refuses what is not a public unicast address, unless it lies in an allowed network."""

    def __init__(self, allow: Sequence[IPNetwork] = ()) -> None:
        self._allow = tuple(allow)

    def verdict(self, address: str | IPAddress) -> str | None:
        """None if the address may be called, else what kind of address it is: `a loopback address`."""
        if isinstance(address, str):
            address = ip_address(address)
        inner = effective(address)
        if self._allowed(address) or self._allowed(inner):
            return None
        if isinstance(inner, IPv4Address):
            return _refusal_v4(inner)
        return _refusal_v6(inner)

    def socket_factory(self, addr_info: AddrInfoType) -> socket.socket:
        """For aiohttp's TCPConnector: sees the numeric address of every connection, raises AddressRefused."""
        family, kind, protocol, _, sockaddr = addr_info
        address = str(sockaddr[0])
        if reason := self.verdict(address):
            raise AddressRefused(address, reason)
        return socket.socket(family=family, type=kind, proto=protocol)

    def check_url(self, url: str) -> WebhookUrlRefused | None:
        """None unless every delivery to `url` is certain to fail. Names are not resolved here."""
        if problem := _malformed(url):
            return WebhookUrlRefused(problem)
        spelled = URL(url).raw_host or ""
        host = _plain(spelled)
        if not host:
            return WebhookUrlRefused("it needs a host")
        if host == "localhost" or host.endswith(".localhost"):
            return self._check_localhost(host)
        return self._check_host(host, spelled)

    def check_network(self, network: IPNetwork) -> str | None:
        """None if some address of it may be called, else what kind of network it is: `a private address`."""
        if any(network.overlaps(allowed) for allowed in self._allow):
            return None
        if isinstance(network, IPv4Network):
            inside = (reason for refused, reason in REFUSED_V4 if network.subnet_of(refused))
            return next(inside, None)
        if network.overlaps(NAT64):
            return None
        for refused, reason in REFUSED_V6:
            if network.subnet_of(refused):
                return reason
        return None if network.overlaps(GLOBAL_UNICAST_V6) else "a reserved address"

    def _check_localhost(self, host: str) -> WebhookUrlRefused | None:
        if any(self.verdict(address) is None for address in LOCALHOST):
            return None
        return _refused_by_policy(host, "a name of this host itself")

    def _check_host(self, host: str, spelled: str) -> WebhookUrlRefused | None:
        try:
            address = literal(host)
        except ValueError:
            return WebhookUrlRefused(f"{host} is not a valid address")
        if address is None:
            return None if _is_name(host) else WebhookUrlRefused(f"{host} is not a valid host name")
        if reason := self.verdict(address):
            return _refused_by_policy(host, reason)
        if isinstance(address, IPv4Address) and spelled != str(address):
            return WebhookUrlRefused(f"{host} must be written as {address}")
        return None

    def _allowed(self, address: IPAddress) -> bool:
        return any(address in network for network in self._allow)


def effective(address: IPAddress) -> IPAddress:
    """The address that is really reached: IPv4 inside a mapped or NAT64 address, and without a zone."""
    if isinstance(address, IPv4Address):
        return address
    bare = IPv6Address(int(address))
    if bare.ipv4_mapped is not None:
        return bare.ipv4_mapped
    if bare in NAT64:
        return IPv4Address(int(bare) & 0xFFFFFFFF)
    return bare


def literal(host: str) -> IPAddress | None:
    """The address that `host` spells, in any form that some resolver takes for one; None for a name.

    Raises ValueError for what looks like an address and is none (`256.1.1.1`, `1.2.3.4.5`).
    """
    if ":" in host:
        return ip_address(host)
    labels = host.split(".")
    if not _numeric(labels[-1]):
        return None
    if len(labels) > 4:
        raise AddressValueError(host)
    numbers = [_number(label) for label in labels]
    # As inet_aton: the last number fills all the bytes that are left.
    *leading, last = numbers
    if any(number > 0xFF for number in leading) or last >= 256 ** (5 - len(numbers)):
        raise AddressValueError(host)
    high = sum(number << (24 - 8 * index) for index, number in enumerate(leading))
    return IPv4Address(high + last)


def _refusal_v4(address: IPv4Address) -> str | None:
    return next((reason for network, reason in REFUSED_V4 if address in network), None)


def _refusal_v6(address: IPv6Address) -> str | None:
    for network, reason in REFUSED_V6:
        if address in network:
            return reason
    if address not in GLOBAL_UNICAST_V6:
        return "a reserved address"
    if (int(address) >> 32) & 0xFFFFFFFF in ISATAP_MARKS:
        return "an ISATAP address"
    return None


def _malformed(url: str) -> str | None:
    if len(url) > URL_LIMIT:
        return f"it is longer than {URL_LIMIT} characters"
    if any(_unprintable(character) for character in url):
        return "it holds a space or an unprintable character"
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        return "it must start with http:// or https://"
    if "\\" in url:
        return "it holds a backslash"
    if "#" in url:
        return "it holds a fragment (#...), which is never sent"
    authority = rest.replace("?", "/").partition("/")[0]
    if "@" in authority:
        return "it must not hold a user name or password"
    try:
        parsed = URL(url)
        port = parsed.explicit_port
    except ValueError:
        return "its host or port cannot be read"
    if port is not None and not 1 <= port <= PORT_LIMIT:
        return f"its port must be between 1 and {PORT_LIMIT}"
    return None


def _plain(host: str) -> str:
    """The host as a resolver would read it: compatibility forms folded, no last dot."""
    folded = unicodedata.normalize("NFKC", host).translate(DOTS).casefold()
    return folded.removesuffix(".")


def _refused_by_policy(host: str, reason: str) -> WebhookUrlRefused:
    refusal = f"{host} is {reason}, which KANAL_WEBHOOK_ALLOW does not name"
    return WebhookUrlRefused(refusal, by_policy=True)


def _is_name(host: str) -> bool:
    try:
        encoded = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        return False
    labels = encoded.split(".")
    return len(encoded) <= HOST_LIMIT and all(_is_label(label) for label in labels)


def _is_label(label: str) -> bool:
    plain = label.replace("-", "").replace("_", "")
    return 0 < len(label) <= LABEL_LIMIT and plain.isalnum()


def _unprintable(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) in ("Cc", "Cf", "Cs")


def _numeric(label: str) -> bool:
    if label.startswith("0x"):
        return all(character in "0123456789abcdef" for character in label[2:])
    return label.isascii() and label.isdigit()


def _number(label: str) -> int:
    if not _numeric(label) or len(label) > HOST_LIMIT:
        raise AddressValueError(label)
    if label.startswith("0x"):
        return int(label[2:] or "0", 16)
    if len(label) > 1 and label.startswith("0"):
        return int(label, 8)
    return int(label)
