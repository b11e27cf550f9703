"""A real receiver of webhooks on 127.0.0.1 that keeps what it saw and reacts as a test tells it to.

async with Receiver() as receiver:
    receiver.then(status(500), hang())      # the next two requests, then `receiver.default`
    ...                                     # POST to receiver.url
    await receiver.wait_for(3)
    assert receiver.received[0].pairs[0] == ("type", "message_new")
"""

import asyncio
import gzip
import socket
import ssl
import struct
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qsl

WAIT_SECONDS = 30.0
"""For what takes milliseconds, on a machine that may be busy."""
# With fewer, a burst of connections waits a second for the kernel's next try.
BACKLOG = 1024


@dataclass
class Received:
    """One request as it came over the wire; header names are lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int
    started: float
    ended: float | None = None
    """When it was answered, or the client went away."""
    answered: int | None = None
    """With this status; None if the client got no answer that `status` makes."""
    retry_after: float = 0.0
    """Seconds that the answer asked for."""

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The form's fields in the order sent."""
        return parse_qsl(self.body.decode(), keep_blank_values=True, strict_parsing=True)

    @property
    def form(self) -> dict[str, str]:
        return dict(self.pairs)


@dataclass
class Line:
    """The connection, as a reaction sees it."""

    writer: asyncio.StreamWriter
    over: asyncio.Event
    keep: bool = field(default=True)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def ended(self) -> None:
        """Until the client goes away or the receiver is closed."""
        await self.over.wait()

    def reset(self) -> None:
        """A RST instead of an orderly end."""
        own = self.writer.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Reaction = Callable[[Received, Line], Awaitable[None]]


def answer(code: int, body: bytes, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {code} Scripted"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def status(code: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Reaction:
    data = answer(code, body, {"Content-Length": str(len(body)), **(headers or {})})
    wish = (headers or {}).get("Retry-After", "")

    async def react(request: Received, line: Line) -> None:
        await line.send(data)
        request.answered = code
        request.retry_after = float(wish) if wish.isdigit() else 0.0

    return react


def redirect(location: str, code: int = 302) -> Reaction:
    return status(code, headers={"Location": location})


def raw(data: bytes, *, close: bool = False) -> Reaction:
    """These bytes, whatever they are; then an orderly end if `close`."""

    async def react(_: Received, line: Line) -> None:
        line.keep = not close
        await line.send(data)

    return react


def close() -> Reaction:
    """The end of the connection instead of an answer."""
    return raw(b"", close=True)


def reset(after: bytes = b"") -> Reaction:
    async def react(_: Received, line: Line) -> None:
        line.keep = False
        if after:
            await line.send(after)
        line.reset()

    return react


def hang(after: bytes = b"") -> Reaction:
    """Nothing more, until the client gives up."""

    async def react(_: Received, line: Line) -> None:
        line.keep = False
        await line.send(after)
        await line.ended()

    return react


def drip(
    piece: bytes = b"x", every: float = 0.02, head: bytes = b"HTTP/1.1 200 OK\r\n\r\n"
) -> Reaction:
    """`head`, then a piece at a time for ever."""

    async def react(_: Received, line: Line) -> None:
        line.keep = False
        await line.send(head)
        while not line.over.is_set():
            await line.send(piece)
            await asyncio.sleep(every)

    return react


def endless(code: int = 200, headers: Mapping[str, str] | None = None) -> Reaction:
    """A body without end, as fast as the client takes it."""
    return drip(b"x" * 65536, 0, answer(code, b"", headers or {}))


def broken_chunked() -> Reaction:
    chunked = {"Transfer-Encoding": "chunked"}
    return raw(answer(200, b"5\r\nhello\r\nnot-a-size\r\n", chunked), close=True)


def gzip_bomb(megabytes: int = 50) -> Reaction:
    packed = gzip.compress(bytes(megabytes * 1024 * 1024))
    return status(200, packed, {"Content-Encoding": "gzip"})


def once_then_drop(code: int = 200) -> Reaction:
    """An answer that promises to keep the connection; the next request on it is dropped unread."""

    async def react(_: Received, line: Line) -> None:
        await line.send(answer(code, b"", {"Content-Length": "0", "Connection": "keep-alive"}))
        line.keep = False

    return react


def delayed(seconds: float, then: Reaction) -> Reaction:
    """`then`, unless the client goes away before."""

    async def react(request: Received, line: Line) -> None:
        try:
            async with asyncio.timeout(seconds):
                await line.ended()
        except TimeoutError:
            await then(request, line)
        else:
            line.keep = False

    return react


class _Connection(asyncio.StreamReaderProtocol):
    """A client that closes its side is gone, as one that was killed is."""

    def eof_received(self) -> bool:
        super().eof_received()
        return False


class Receiver:
    """Requests are logged when they are complete, before the reaction starts."""

    def __init__(
        self,
        default: Reaction | None = None,
        tls: ssl.SSLContext | None = None,
        port: int = 0,
    ) -> None:
        self.port = port
        self.received: list[Received] = []
        self.default = default or status(200, b'{"result":"ok"}')
        self.connections = 0
        self.by_path: dict[str, Reaction] = {}
        self._script: deque[Reaction] = deque()
        self._changed = asyncio.Condition()
        self._tls = tls
        self._lines: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Connection(asyncio.StreamReader(), self._accept),
            "127.0.0.1",
            self.port,
            ssl=self._tls,
            backlog=BACKLOG,
        )
        self.port = self._server.sockets[0].getsockname()[1]
        scheme = "https" if self._tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self.port}/hook"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for line in self._lines:
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)
        await self._server.wait_closed()

    def then(self, *reactions: Reaction) -> None:
        """What the next requests get, in this order, before `by_path` and `default`."""
        self._script.extend(reactions)

    async def wait_for(self, count: int, seconds: float = WAIT_SECONDS) -> list[Received]:
        """Until at least so many requests have come; TimeoutError otherwise."""
        await self.wait_until(lambda: len(self.received) >= count, seconds)
        return self.received

    async def wait_until(self, holds: Callable[[], bool], seconds: float = WAIT_SECONDS) -> None:
        """Until `holds`, which is asked again after every request and every answer."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(holds)

    def overlapping(self, key: Callable[[Received], object]) -> int:
        """How many pairs of requests with the same key were in flight at the same time."""
        ordered = sorted(self.received, key=lambda request: request.started)
        return sum(
            first.ended is None or second.started < first.ended
            for index, first in enumerate(ordered)
            for second in ordered[index + 1 :]
            if key(first) == key(second)
        )

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._lines.add(task)
        self.connections += 1
        try:
            await self._serve(reader, writer, self.connections)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._lines.discard(task)
            writer.close()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int
    ) -> None:
        line = Line(writer, asyncio.Event())
        watch = asyncio.create_task(_watch(writer, line.over))
        try:
            while line.keep:
                request = await self._read(reader, connection)
                await self._log(request)
                try:
                    await self._reaction(request)(request, line)
                finally:
                    request.ended = time.monotonic()
                    await self._tell()
        finally:
            watch.cancel()

    async def _read(self, reader: asyncio.StreamReader, connection: int) -> Received:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        started = time.monotonic()
        first, *rest = head.rstrip("\r\n").split("\r\n")
        method, path, _ = first.split(" ", 2)
        fields = (field.partition(":") for field in rest)
        headers = {name.strip().lower(): value.strip() for name, _, value in fields}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Received(method, path, headers, body, connection, started)

    def _reaction(self, request: Received) -> Reaction:
        if self._script:
            return self._script.popleft()
        return self.by_path.get(request.path, self.default)

    async def _log(self, request: Received) -> None:
        self.received.append(request)
        await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


async def _watch(writer: asyncio.StreamWriter, over: asyncio.Event) -> None:
    try:
        await writer.wait_closed()
    except OSError:
        pass
    finally:
        over.set()


def closed_port() -> int:
    """A port of 127.0.0.1 where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
