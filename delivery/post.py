"""One attempt: a POST that is bounded in time and bytes and always ends in an Outcome."""

import asyncio
import errno
import io
import logging
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from typing import Any, Final, Self, cast

import aiohttp
from aiohttp import AddrInfoType, ClientResponse, ClientSession, ClientTimeout, TCPConnector
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp_retry import RetryClient, RetryOptionsBase

from kanal.delivery.address_guard import AddressGuard, AddressRefused, IPNetwork
from kanal.delivery.networks import outside
from kanal.delivery.outcome import (
    DETAIL_BYTES,
    EXCERPT_BYTES,
    HINTING_STATUSES,
    Outcome,
    OutcomeClass,
    readable,
    wishes_in,
)
from kanal.delivery.resolver import LookupsExhausted, Resolver
from kanal.delivery.schedule import parse_retry_after
from kanal.domain.rule_webhooks import Method

ANSWER_LIMIT: Final = 16 * 1024
"""Bytes of an answer that are read: an answer only says "taken", and an endless one must end."""

CONTROL_HEADER: Final = "webhook-delivery"
"""Of an answer; Svix' receivers know it."""

KEEPALIVE_SECONDS: Final = 15.0
"""Without kept connections TLS costs about ten times as much; longer than this they are closed mostly."""

DNS_CACHE_SECONDS: Final = 30

EXACT_TIMEOUTS: Final = 1e9
"""aiohttp rounds timeouts above this many seconds up to whole seconds."""

WHOLE_BODY_LIMIT: Final = 1024 * 1024
"""aiohttp warns when it is given more than this as bytes; a file is sent in pieces."""

CHECKED_URLS: Final = 4096

CONFINED_LIMIT: Final = 256
"""Lists of networks with a pool of connections of their own; with more of them, each POST makes its connection."""
OUTSIDE: Final = "outside the networks that its channel allows"

LOCAL_ERRNOS: Final = frozenset(
    {
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOMEM,
        errno.EADDRNOTAVAIL,
        errno.EAFNOSUPPORT,
        errno.EPERM,
    }
)
"""Files, memory, ports or rights of this host: not the endpoint's fault."""

RESET_ERRNOS: Final = frozenset(
    {errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, errno.ESHUTDOWN}
)

log = logging.getLogger(__name__)


class Phase(Enum):
    LOOKUP = auto()
    CONNECT = auto()
    ANSWER = auto()


class KeptConnectionDropped(aiohttp.ClientConnectionError):
    """A connection kept from an earlier POST was closed before any byte of the answer came."""


class AnswerTooLong(Exception):
    pass


class ResendOnNewConnection(RetryOptionsBase):
    """For aiohttp-retry: one re-send at once, for a dropped kept connection and nothing else.

    Its own schedules live in memory, so every other retry is the outbox's.
    """

    def __init__(self) -> None:
        super().__init__(
            attempts=2,
            statuses=(),
            exceptions=(KeptConnectionDropped,),
            retry_all_server_errors=False,
        )

    def get_timeout(self, attempt: int, response: ClientResponse | None = None) -> float:
        return 0.0


@dataclass
class Attempt:
    """What is known so far; filled in by the layers below aiohttp while the POST runs."""

    body: bytes
    started_at: int
    started: int
    networks: tuple[IPNetwork, ...] = ()
    """All that it may reach; none: what the guard lets through."""
    phase: Phase = Phase.LOOKUP
    dialled: bool = False
    reused: bool = False
    resent: bool = False
    refusal: AddressRefused | None = None
    address: str | None = None
    status: int | None = None
    location: str = ""
    retry_after: str = ""
    wishes: str = ""
    excerpt: str = ""

    def begin_try(self, number: int) -> None:
        self.phase, self.dialled, self.reused = Phase.LOOKUP, False, False
        self.resent = number > 1

    def now(self) -> int:
        return self.started_at + (time.monotonic_ns() - self.started) // 1000

    @property
    def accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    def outcome(self, outcome_class: OutcomeClass, detail: str = "") -> Outcome:
        now = self.now()
        hinted = self.status in HINTING_STATUSES
        return Outcome(
            outcome_class=outcome_class,
            started_at=self.started_at,
            ended_at=now,
            http_status=self.status,
            detail=readable(detail, DETAIL_BYTES),
            excerpt=self.excerpt,
            address=self.address,
            retry_after=parse_retry_after(self.retry_after, now) if hinted else None,
            resent=self.resent,
            wishes=wishes_in(self.wishes) if self.wishes else frozenset(),
        )


current_attempt: ContextVar[Attempt] = ContextVar("current_attempt")
"""aiohttp's socket factory and request get no argument of ours; the context of the task reaches them."""


class ObservedRequest(aiohttp.ClientRequest):
    """Notes which connection a try really goes out on."""

    async def send(self, conn: Connection) -> ClientResponse:
        attempt = current_attempt.get()
        attempt.reused = not attempt.dialled
        attempt.phase = Phase.ANSWER
        peer = conn.transport and conn.transport.get_extra_info("peername")
        attempt.address = str(peer[0]) if peer else attempt.address
        return await super().send(conn)


class Tries:
    """What aiohttp-retry calls: the first try may use a kept connection, the re-send opens its own."""

    def __init__(
        self,
        kept: Callable[[tuple[IPNetwork, ...]], ClientSession],
        fresh: ClientSession,
    ) -> None:
        self._kept = kept
        self._fresh = fresh

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        trace_request_ctx: dict[str, int],
    ) -> ClientResponse:
        attempt = current_attempt.get()
        number = trace_request_ctx["current_attempt"]
        attempt.begin_try(number)
        session = self._kept(attempt.networks) if number == 1 else self._fresh
        body = attempt.body
        data: bytes | io.BytesIO | None = body
        if len(body) > WHOLE_BODY_LIMIT:
            data = io.BytesIO(body)
        elif not body and method != "POST":
            data = None
        try:
            return await session.request(
                method, url, data=data, headers=headers, allow_redirects=False
            )
        except aiohttp.ClientConnectionError as error:
            if attempt.reused and not _began_to_answer(error):
                raise KeptConnectionDropped from error
            raise


class WebhookClient:
    """One per process; `async with WebhookClient(guard, version=...) as client: await client.post(...)`."""

    def __init__(
        self,
        guard: AddressGuard,
        *,
        version: str,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
        answer_limit: int = ANSWER_LIMIT,
        resolver: Resolver | None = None,
    ) -> None:
        self._guard = guard
        self._user_agent = f"Kanal/{version}"
        self._clock = clock
        self._answer_limit = answer_limit
        self._resolver = resolver or Resolver()
        self._checked = lru_cache(CHECKED_URLS)(guard.check_url)
        self._confined: dict[tuple[IPNetwork, ...], ClientSession] = {}

    async def __aenter__(self) -> Self:
        self._kept = self._session(keepalive_timeout=KEEPALIVE_SECONDS)
        self._fresh = self._session(force_close=True)
        self._client = RetryClient(
            client_session=cast(ClientSession, Tries(self._kept_for, self._fresh)),
            retry_options=ResendOnNewConnection(),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        for session in (self._kept, *self._confined.values()):
            await session.close()
        await self._fresh.close()
        await self._resolver.close()

    async def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        deadline: float,
        networks: tuple[IPNetwork, ...] = (),
        *,
        method: Method = "POST",
        now: int | None = None,
    ) -> Outcome:
        """POST `body`, or send it in another `method`; all of it, name look-up and answer included, ends within `deadline` seconds. `now`: where another
        clock than the client's counts.

        `networks`: nothing else may be reached, within what the guard allows; none: all of that.

        Never raises for anything the endpoint does; only cancelling goes through.
        """
        started_at = self._clock() if now is None else now
        attempt = Attempt(body, started_at, time.monotonic_ns(), networks)
        if refused := self._checked(url):
            if refused.by_policy:
                return attempt.outcome(OutcomeClass.BLOCKED_BY_POLICY, refused.reason)
            return attempt.outcome(OutcomeClass.INVALID_URL, refused.reason)
        token = current_attempt.set(attempt)
        limit = asyncio.timeout(deadline)
        try:
            async with limit:
                await self._exchange(attempt, method, url, headers)
        except Exception as error:  # noqa: BLE001 - whatever a receiver provokes is an outcome
            if attempt.status is None or attempt.accepted:
                return attempt.outcome(*_blame(error, attempt, deadline, limit.expired()))
        finally:
            current_attempt.reset(token)
        if attempt.accepted:
            return attempt.outcome(OutcomeClass.OK)
        return attempt.outcome(OutcomeClass.HTTP_STATUS, attempt.location)

    async def _exchange(
        self, attempt: Attempt, method: Method, url: str, headers: Mapping[str, str]
    ) -> None:
        async with self._client.request(method, url, headers=headers) as response:
            attempt.status = response.status
            attempt.location = response.headers.get("Location", "")
            attempt.retry_after = response.headers.get("Retry-After", "")
            attempt.wishes = response.headers.get(CONTROL_HEADER, "")
            await self._read(attempt, response)

    async def _read(self, attempt: Attempt, response: ClientResponse) -> None:
        """To the end, so that a broken answer is noticed, or to the limit."""
        plain = response.headers.get("Content-Encoding", "identity").lower() == "identity"
        read = bytearray()
        try:
            async for chunk in response.content.iter_any():
                read += chunk
                if len(read) > self._answer_limit:
                    raise AnswerTooLong(f"more than {self._answer_limit} bytes")
        finally:
            if plain:
                text = read[: 2 * EXCERPT_BYTES].decode("utf-8", "replace")
                attempt.excerpt = readable(text, EXCERPT_BYTES)

    def _session(self, **connector: Any) -> ClientSession:
        return ClientSession(
            connector=TCPConnector(
                limit=0,
                limit_per_host=0,
                resolver=self._resolver,
                socket_factory=self._open_socket,
                ttl_dns_cache=DNS_CACHE_SECONDS,
                timeout_ceil_threshold=EXACT_TIMEOUTS,
                **connector,
            ),
            # Every wait is bounded by the one deadline around the attempt.
            timeout=ClientTimeout(total=None, sock_connect=None, ceil_threshold=EXACT_TIMEOUTS),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": self._user_agent, "Accept-Encoding": "identity"},
            request_class=ObservedRequest,
            read_bufsize=self._answer_limit,
            auto_decompress=False,
            trust_env=False,
        )

    def _kept_for(self, networks: tuple[IPNetwork, ...]) -> ClientSession:
        """A kept connection was vetted when it was made, so only those to whom the same is allowed may share it."""
        if not networks:
            return self._kept
        session = self._confined.get(networks)
        if session is None:
            if len(self._confined) >= CONFINED_LIMIT:
                return self._fresh
            session = self._session(keepalive_timeout=KEEPALIVE_SECONDS)
            self._confined[networks] = session
        return session

    def _open_socket(self, addr_info: AddrInfoType) -> socket.socket:
        attempt = current_attempt.get()
        attempt.address = str(addr_info[4][0])
        try:
            if attempt.networks and outside(attempt.networks, attempt.address):
                raise AddressRefused(attempt.address, OUTSIDE)
            opened = self._guard.socket_factory(addr_info)
        except AddressRefused as refusal:
            attempt.refusal = refusal
            raise
        attempt.phase = Phase.CONNECT
        attempt.dialled = True
        return opened


def _blame(
    error: Exception, attempt: Attempt, deadline: float, expired: bool
) -> tuple[OutcomeClass, str]:
    """The class of a failure without a failing status, and what to say of it."""
    if expired:
        return _late(attempt.phase), f"{deadline:g} s"
    if isinstance(error, AnswerTooLong):
        return OutcomeClass.OVER_LONG_ANSWER, str(error)
    if isinstance(error, aiohttp.InvalidURL):
        return OutcomeClass.INVALID_URL, str(error)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return _blame_lookup(error.os_error)
    if attempt.refusal is not None and not attempt.dialled:
        return OutcomeClass.BLOCKED_BY_POLICY, attempt.refusal.strerror or ""
    if isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError)):
        return OutcomeClass.TLS, _told(error)
    if attempt.phase is Phase.ANSWER:
        return _blame_answer(error)
    if isinstance(error, OSError):
        return _blame_connect(error)
    log.exception("webhook_attempt_failed", exc_info=error)
    return OutcomeClass.LOCAL_FAULT, type(error).__name__


def _late(phase: Phase) -> OutcomeClass:
    match phase:
        case Phase.LOOKUP:
            return OutcomeClass.DNS
        case Phase.CONNECT:
            return OutcomeClass.CONNECT_TIMEOUT
        case Phase.ANSWER:
            return OutcomeClass.RESPONSE_TIMEOUT


def _blame_lookup(error: OSError) -> tuple[OutcomeClass, str]:
    if isinstance(error, LookupsExhausted):
        return OutcomeClass.LOCAL_FAULT, str(error)
    return OutcomeClass.DNS, error.strerror or str(error)


def _blame_connect(error: OSError) -> tuple[OutcomeClass, str]:
    number = error.errno
    told = os.strerror(number) if number else str(error)
    if number == errno.ECONNREFUSED:
        return OutcomeClass.REFUSED, told
    if number == errno.ETIMEDOUT:
        return OutcomeClass.CONNECT_TIMEOUT, told
    if number in RESET_ERRNOS:
        return OutcomeClass.RESET, told
    if number in LOCAL_ERRNOS:
        return OutcomeClass.LOCAL_FAULT, told
    return OutcomeClass.UNREACHABLE, told


def _blame_answer(error: Exception) -> tuple[OutcomeClass, str]:
    if _over_long(error):
        return OutcomeClass.OVER_LONG_ANSWER, "its headers"
    if isinstance(error, aiohttp.ClientConnectionError) and not _began_to_answer(error):
        return OutcomeClass.RESET, _told(error)
    return OutcomeClass.BROKEN_ANSWER, _told(error)


def _began_to_answer(error: Exception) -> bool:
    return isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(error.message, str)


def _over_long(error: Exception) -> bool:
    return any(
        isinstance(cause, LineTooLong)
        or (isinstance(cause, HttpProcessingError) and "Too many headers" in cause.message)
        for cause in _causes(error)
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _told(error: Exception) -> str:
    """The innermost error that says something, without aiohttp's account of the connection."""
    for cause in reversed(list(_causes(error))):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return cause.verify_message
        if isinstance(cause, ssl.SSLError) and cause.reason:
            return cause.reason.replace("_", " ").lower()
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno)
    return "" if _said_nothing(error) else str(error)


def _said_nothing(error: Exception) -> bool:
    return isinstance(error, aiohttp.ServerDisconnectedError)
