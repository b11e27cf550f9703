"""What surrounds every request, in one place because it is on the hot path: request id, error
envelope, headers, access log, metrics, the caller's address, and what aiohttp answers by itself.
"""

import asyncio
import ipaddress
import itertools
import re
import secrets
import shutil
from collections.abc import Awaitable, Callable, Iterable
from time import perf_counter
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.typedefs import Handler, Middleware

from kanal.http.body import UPLOADS
from kanal.http.errors import ApiError, refusal, refuse, unexpected
from kanal.http.logs import AccessLine, AccessLog, access_to_structlog, now
from kanal.http.metrics import UNMATCHED, Metrics
from kanal.http.rate_limit import RateLimit

API = "/api/"
FILES = "/files/"
JOIN = "/join/"
UNLOGGED = (FILES, JOIN)
"""Behind them stand tokens: whoever reads one in a log could read the file, or be that colleague."""

REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)
REMOTE: web.RequestKey[str] = web.RequestKey("remote", str)
"""The caller's address; behind trusted proxies the one that they saw."""
SCHEME: web.RequestKey[str] = web.RequestKey("scheme", str)
"""`https` also behind a trusted proxy that says so."""
WHO: web.RequestKey[str] = web.RequestKey("who", str)
"""`staff:1`, set by whoever authenticates; stands in the access log."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_SLASHES = re.compile("/{2,}")
_SANE_ID = re.compile(r"[A-Za-z0-9._:\-]{1,64}")
"""Taken from the caller as it is; anything else could forge log lines."""

log = structlog.get_logger()


def surround(
    metrics: Metrics,
    trusted_proxies: Iterable[str] = (),
    access_log: AccessLog = access_to_structlog,
    rate_limit: RateLimit | None = None,
) -> Middleware:
    """The application's only middleware. `trusted_proxies`: CIDRs whose X-Forwarded-For counts."""
    trusted = tuple(ipaddress.ip_network(each) for each in trusted_proxies)
    observe = metrics.observe
    calls = rate_limit or RateLimit()
    # Unique among processes by its first half, within one by its second.
    prefix = secrets.token_hex(4)
    numbers = itertools.count(1)

    @web.middleware
    async def surrounded(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = perf_counter()
        headers = request.headers
        given = headers.get("X-Request-Id")
        request_id = (
            given if given and _SANE_ID.fullmatch(given) else f"{prefix}{next(numbers):08x}"
        )
        request[REQUEST_ID] = request_id
        remote = request.remote or ""
        scheme = request.scheme
        if trusted and "X-Forwarded-Proto" in headers and _is_trusted(trusted, remote):
            scheme = headers["X-Forwarded-Proto"].rpartition(",")[2].strip().lower()
        if trusted and "X-Forwarded-For" in headers:
            remote = _behind(trusted, remote, headers.getall("X-Forwarded-For"))
        request[REMOTE] = remote
        request[SCHEME] = scheme
        path = request.rel_url.raw_path
        metrics.in_flight += 1
        status = 499
        size: int | None = None
        try:
            try:
                response = await handler(request)
            except Exception as error:
                response = _answer(error, request_id, path)
                if request.writer.output_size:
                    # Half an answer is out already: only closing tells the client.
                    raise
            if not response.prepared:
                sent = response.headers
                sent["X-Request-Id"] = request_id
                if path.startswith(API):
                    sent.update(calls.headers())
            status = response.status
            size = response.content_length
            return response
        finally:
            metrics.in_flight -= 1
            seconds = perf_counter() - started
            resource = request.match_info.route.resource
            route = resource.canonical if resource else UNMATCHED
            observe(route, request.method, status, seconds)
            access_log(
                AccessLine(
                    at=now(),
                    request=request_id,
                    method=request.method,
                    path=route if path.startswith(UNLOGGED) else path,
                    route=route,
                    status=status,
                    ms=round(seconds * 1000, 3),
                    octets=size,
                    remote=remote,
                    who=request.get(WHO),
                )
            )
            if UPLOADS in request:
                await asyncio.to_thread(shutil.rmtree, request[UPLOADS], ignore_errors=True)

    return surrounded


class ApiRunner(web.AppRunner):
    """An AppRunner whose answers to malformed HTTP have the API's form too.

    aiohttp makes those before there is an application, as plain text and with a traceback logged.
    """

    def __init__(self, app: web.Application, rate_limit: RateLimit, **kwargs: Any) -> None:
        super().__init__(app, **kwargs)
        self._rate_limit = rate_limit

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        made = _Server(
            _expecting(server.request_handler, self._rate_limit),
            request_factory=_with_single_slashes(server.request_factory),
            handler_cancellation=server.handler_cancellation,
            loop=asyncio.get_running_loop(),
            **server._kwargs,
        )
        made.rate_limit = self._rate_limit
        return made


class _Server(web.Server):
    rate_limit: RateLimit

    def __call__(self) -> web.RequestHandler:
        return _Protocol(self, self.rate_limit, loop=self._loop, **self._kwargs)


class _Protocol(web.RequestHandler):
    def __init__(self, server: web.Server, rate_limit: RateLimit, **kwargs: Any) -> None:
        super().__init__(server, **kwargs)
        self._rate_limit = rate_limit

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status != 400:
            return super().handle_error(request, status, exc, message)
        log.info("http.malformed", remote=request.remote, reason=str(message or exc))
        response = refuse(ApiError(400, "bad_request", "This is not well-formed HTTP."))
        response.headers.update(self._rate_limit.headers())
        response.force_close()
        return response


def _with_single_slashes(make: Callable[..., web.BaseRequest]) -> Callable[..., web.BaseRequest]:
    """`//api/cases.json`: of a base address that ends with a slash and a path that begins with one. Most servers take it."""

    def made(message: RawRequestMessage, *rest: Any) -> web.BaseRequest:
        if "//" in message.path and message.path.lstrip("/").startswith(API[1:]):
            path, mark, query = message.path.partition("?")
            path = _SLASHES.sub("/", path)
            url = message.url.with_path(path, encoded=True, keep_query=True)
            message = message._replace(path=f"{path}{mark}{query}", url=url)
        return make(message, *rest)

    return made


def _expecting(
    handle: Callable[[Any], Awaitable[web.StreamResponse]], rate_limit: RateLimit
) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    """An unknown `Expect` is refused before any middleware runs."""

    async def handled(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await handle(request)
        except web.HTTPExpectationFailed as error:
            response = _answer(error, "", request.path)
            response.headers.update(rate_limit.headers())
            return response

    return handled


def _answer(error: Exception, request_id: str, path: str) -> web.StreamResponse:
    if isinstance(error, web.HTTPException) and (error.status < 400 or not path.startswith(API)):
        return _copy(error)
    refused = refusal(error)
    if refused:
        return refuse(refused)
    error_id = secrets.token_hex(8)
    log.error("http.failed", request=request_id, error_id=error_id, exc_info=error)
    return unexpected(error_id)


def _copy(error: web.HTTPException) -> web.Response:
    """Returning the exception itself is deprecated, raising it would lose our headers."""
    return web.Response(
        status=error.status, reason=error.reason, body=error.body, headers=error.headers
    )


def _behind(trusted: tuple[Network, ...], remote: str, forwarded: list[str]) -> str:
    """The last address that no trusted proxy wrote for another trusted proxy."""
    hops = [hop.strip() for line in forwarded for hop in line.split(",")]
    while hops and _is_trusted(trusted, remote):
        hop = hops.pop()
        try:
            remote = str(ipaddress.ip_address(hop))
        except ValueError:
            break
    return remote


def _is_trusted(trusted: tuple[Network, ...], address: str) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(ip in network for network in trusted)
