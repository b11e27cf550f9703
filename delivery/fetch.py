"""Files that a caller named by address: fetched over the same guarded sockets that webhooks use, bounded in time and bytes.

Whoever names an address makes this host ask for it, so each address on the way, redirects included, is judged like a
Webhook URL, and nothing of the answer is told but its bytes.
"""

import asyncio
import socket
from contextvars import ContextVar
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import unquote

import aiohttp
from aiohttp import AddrInfoType, ClientResponse, ClientSession, ClientTimeout, TCPConnector
from yarl import URL

from kanal.delivery.address_guard import AddressGuard, AddressRefused
from kanal.delivery.resolver import Resolver
from kanal.domain.files import MAX_FILE, MB, Fetched, NotFetched

FETCH_SECONDS: Final = 120.0
"""For one file in all, redirects included: 25 MB at 2 Mbit/s take 100."""
SILENT_SECONDS: Final = 20.0
"""Between two pieces."""
REDIRECTS: Final = 5
"""Known file hosts need up to three."""
PIECE: Final = 256 * 1024
AT_ONCE: Final = 16

LATER: Final = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)
"""Statuses below 500 that may be others in a moment."""
REDIRECTING: Final = frozenset({301, 302, 303, 307, 308})


class _Refused(Exception):
    """There will be no file under this address; the words say why."""


class _Failed(Exception):
    """There is no file now; another try may find one."""


class FileFetcher:
    """One per process; `async with FileFetcher(guard, version=...) as fetcher: await fetcher.fetch(...)`."""

    def __init__(
        self,
        guard: AddressGuard,
        *,
        version: str,
        resolver: Resolver | None = None,
        seconds: float = FETCH_SECONDS,
        limit: int = MAX_FILE,
    ) -> None:
        self._guard = guard
        self._user_agent = f"Kanal/{version}"
        self._resolver = resolver or Resolver()
        self._seconds = seconds
        self._limit = limit

    async def __aenter__(self) -> Self:
        self._session = ClientSession(
            connector=TCPConnector(
                limit=AT_ONCE,
                resolver=self._resolver,
                socket_factory=self._open_socket,
                force_close=True,
            ),
            timeout=ClientTimeout(total=None, sock_read=SILENT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": self._user_agent, "Accept-Encoding": "identity"},
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        await self._resolver.close()

    async def fetch(self, url: str, target: Path) -> Fetched | NotFetched:
        """Write the file behind `url` to `target`. Never raises for anything its server does."""
        try:
            return await self._bounded(url, target)
        except _Refused as refused:
            return NotFetched(str(refused), for_good=True)
        except _Failed as failed:
            return NotFetched(str(failed), for_good=False)

    async def _bounded(self, url: str, target: Path) -> Fetched:
        refusals: list[AddressRefused] = []
        token = _refusals.set(refusals)
        deadline = asyncio.timeout(self._seconds)
        try:
            async with deadline:
                return await self._follow(URL(url, encoded=url.isascii()), target)
        except ValueError:  # yarl's: a port or a host that it only finds wrong later
            raise _Refused("the address cannot be read") from None
        except (aiohttp.ClientError, TimeoutError) as error:
            if refusals:
                raise _Refused(refusals[0].strerror or "") from None
            if deadline.expired():
                raise _Failed(f"it took longer than {self._seconds:g} s") from None
            raise _Failed(_told(error)) from error
        finally:
            _refusals.reset(token)

    async def _follow(self, url: URL, target: Path) -> Fetched:
        for _ in range(REDIRECTS + 1):
            url = url.with_fragment(None)
            if refused := self._guard.check_url(str(url)):
                raise _Refused(refused.reason)
            async with self._session.get(url, allow_redirects=False) as response:
                if response.status not in REDIRECTING:
                    return await self._take(response, target)
                url = _next(url, response)
        raise _Refused(f"it was redirected more than {REDIRECTS} times")

    async def _take(self, response: ClientResponse, target: Path) -> Fetched:
        status = response.status
        if status != HTTPStatus.OK:
            later = status >= 500 or status in LATER
            raise (_Failed if later else _Refused)(f"it answered with status {status}")
        if (response.content_length or 0) > self._limit:
            raise self._too_large()
        size = 0
        with await asyncio.to_thread(target.open, "wb") as file:
            async for piece in response.content.iter_chunked(PIECE):
                size += len(piece)
                if size > self._limit:
                    raise self._too_large()
                await asyncio.to_thread(file.write, piece)
        return Fetched(_name(response), response.headers.get("Content-Type", ""), size)

    def _too_large(self) -> _Refused:
        return _Refused(f"it is larger than {self._limit // MB} MB")

    def _open_socket(self, addr_info: AddrInfoType) -> socket.socket:
        try:
            return self._guard.socket_factory(addr_info)
        except AddressRefused as refusal:
            _refusals.get().append(refusal)
            raise


_refusals: ContextVar[list[AddressRefused]] = ContextVar("refusals")
"""aiohttp's socket factory gets no argument of ours, and wraps what it raises in errors of its own."""


def _next(url: URL, response: ClientResponse) -> URL:
    location = response.headers.get("Location", "")
    if not location:
        raise _Refused(f"it answered with status {response.status} and no new address")
    try:
        return url.join(URL(location, encoded=location.isascii()))
    except ValueError:
        raise _Refused("it was redirected to what is no address") from None


def _name(response: ClientResponse) -> str:
    """What the server calls it, else the last part of the address."""
    said: Any = response.content_disposition
    if said and said.filename:
        return str(said.filename)
    return unquote(response.url.raw_name)


def _told(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its host was not found"
    if isinstance(error, TimeoutError):
        return f"nothing came for {SILENT_SECONDS:g} s"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "no connection could be made"
    return "the connection broke"
