"""Host names to addresses, so that names which hang cannot hold up those which do not."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from aiohttp.abc import AbstractResolver, ResolveResult

from kanal.delivery.meter import Meter

LOOKUP_SECONDS: Final = 5.0
"""How long an attempt waits for one name; a chat-like channel's whole attempt is no longer."""

LOOKUPS_LIMIT: Final = 128
"""Names looked up at once. A lookup cannot be cancelled, so each that hangs keeps its thread."""

NUMERIC: Final = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV

Found = list[tuple[socket.AddressFamily, int, str]]
"""Family, protocol and numeric address."""


class LookupTimeout(OSError):
    """The name's servers did not answer in time."""


class LookupsExhausted(OSError):
    """Too many names hang at once; this one was not even asked for. Not the endpoint's fault."""


class Resolver(AbstractResolver):
    """One daemon thread per name being looked up, shared by all who ask for that name.

    Not an executor: its threads would be joined when the process ends and could hold it up for
    as long as a name server is silent.
    """

    def __init__(
        self,
        seconds: float = LOOKUP_SECONDS,
        limit: int = LOOKUPS_LIMIT,
        getaddrinfo: Callable[..., list[Any]] = socket.getaddrinfo,
        meter: Meter | None = None,
    ) -> None:
        self._seconds = seconds
        self._limit = limit
        self._getaddrinfo = getaddrinfo
        self._meter = meter or Meter()
        self._lookups: dict[tuple[str, int], asyncio.Future[Found]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        lookup, since = self._lookup(host, family), time.monotonic()
        try:
            async with asyncio.timeout(self._seconds):
                found = await asyncio.shield(lookup)
        except TimeoutError:
            raise LookupTimeout(f"no answer within {self._seconds:g} s") from None
        finally:
            self._meter.lookups += 1
            self._meter.lookup_seconds += time.monotonic() - since
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=family,
                proto=protocol,
                flags=NUMERIC,
            )
            for family, protocol, address in found
        ]

    async def close(self) -> None:
        """Lookups under way are left to end by themselves; their threads hold nothing up."""
        self._lookups.clear()

    def _lookup(self, host: str, family: socket.AddressFamily) -> asyncio.Future[Found]:
        key = (host, family)
        if (running := self._lookups.get(key)) is not None:
            return running
        if len(self._lookups) >= self._limit:
            raise LookupsExhausted(f"{self._limit} names are being looked up already")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Found] = loop.create_future()

        def finished(found: Found | OSError) -> None:
            self._lookups.pop(key, None)
            if isinstance(found, OSError):
                future.set_exception(found)
                # Those who asked may all have given up; that is no reason for a warning.
                future.exception()
            else:
                future.set_result(found)

        def look_up() -> None:
            found = self._found(host, family)
            try:
                loop.call_soon_threadsafe(finished, found)
            except RuntimeError:
                return  # The loop ended before the name server answered; nobody waits.

        self._lookups[key] = future
        threading.Thread(target=look_up, name="kanal-lookup", daemon=True).start()
        return future

    def _found(self, host: str, family: socket.AddressFamily) -> Found | OSError:
        try:
            infos = self._getaddrinfo(
                host, None, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
            )
        except OSError as error:
            return error
        except UnicodeError as error:
            return OSError(f"not a host name: {error}")
        return [(family, protocol, str(address[0])) for family, _, protocol, _, address in infos]
