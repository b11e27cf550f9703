"""A load generator that costs little: a raw protocol, requests made beforehand, a process of its own.

Reads one job as JSON from standard input, writes one result as JSON to standard output. Closed load: each connection sends
its next request when the last one is answered. With a rate: requests fall due by the clock, whether the server is fast or
slow, and a latency counts from when its request was due. Closing standard input ends the load early.
"""

import asyncio
import json
import re
import resource
import sys
import time
from base64 import b64encode
from collections import Counter, deque
from contextlib import suppress
from itertools import cycle
from typing import Any, cast

import uvloop
from figures import percentile

TICK_SECONDS = 0.001
"""uvloop's timers have no finer resolution."""
LAST_ANSWERS_SECONDS = 10
"""How long answers are waited for after the end."""
MESSAGE_ID = re.compile(rb'"message_id": ?(\d+)')
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
SHOWN = 300
"""Characters of the first unexpected answer."""

now = time.perf_counter_ns


class Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._received = b""
        self._since = 0
        self.waiting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def send(self, request: bytes, since: int) -> None:
        self._since = since
        self.waiting = True
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        end = received.find(b"\r\n\r\n")
        length = LENGTH.search(received, 0, end) if end >= 0 else None
        if end < 0 or (length and len(received) < end + 4 + int(length[1])):
            self._received = received
            return
        self._received = b""
        self.waiting = False
        self._load.answered(self, received, now() - self._since)

    def connection_lost(self, _: Exception | None) -> None:
        self._load.lost(self)


class Load:
    def __init__(self, job: dict[str, Any]) -> None:
        self.requests = cycle([_request(each, job["headers"]) for each in job["requests"]])
        self.port: int = job["port"]
        self.status = str(job.get("status", 201)).encode()
        self.size: int = job["connections"]
        self.seconds: float = job["seconds"]
        self.warm_up: float = job.get("warm_up", 0)
        self.rate: float = job.get("rate", 0)
        self.most: int = job.get("most", sys.maxsize)
        self.keep: bool = job.get("keep", False)
        self.connections: list[Connection] = []
        self.idle: deque[Connection] = deque()
        self.due: deque[int] = deque()
        self.issued = 0
        self.ended = asyncio.Event()
        self.quiet = asyncio.Event()
        """Nothing is waited for any more."""
        self._begin_counting()

    def _begin_counting(self) -> None:
        self.began = now()
        self.latencies: list[int] = []
        self.kept: list[tuple[int, int, int]] = []
        """Message id, when its request was due, when it was answered."""
        self.errors: Counter[str] = Counter()
        self.first_error = ""

    async def run(self) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        for _ in range(self.size):
            _, connection = await loop.create_connection(
                lambda: Connection(self), "127.0.0.1", self.port
            )
            self.connections.append(connection)
        loop.call_later(self.warm_up, self._begin_counting)
        loop.call_later(self.warm_up + self.seconds, self.ended.set)
        loop.add_reader(sys.stdin.fileno(), self.ended.set)
        for connection in self.connections:
            self._next(connection)
        if self.rate:
            await self._pace()
        await self.ended.wait()
        seconds = (now() - self.began) / 1e9
        result = self._result(seconds)
        await self._last_answers()
        # Answers of the last instant are no part of the rate, but each must be known to the caller.
        return result | {"kept": self.kept, "unanswered": self._open()}

    async def _pace(self) -> None:
        began = now()
        while not self.ended.is_set():
            due = int((now() - began) / 1e9 * self.rate) - self.issued
            for _ in range(due):
                self.due.append(now())
            self.issued += max(0, due)
            while self.due and self.idle:
                self._send(self.idle.popleft())
            await asyncio.sleep(TICK_SECONDS)

    def _next(self, connection: Connection) -> None:
        if self.ended.is_set():
            if not self._open():
                self.quiet.set()
        elif not self.rate:
            if self.issued >= self.most:
                if not self._open():
                    self.ended.set()
            else:
                self.issued += 1
                connection.send(next(self.requests), now())
        elif self.due:
            self._send(connection)
        else:
            self.idle.append(connection)

    def _send(self, connection: Connection) -> None:
        connection.send(next(self.requests), self.due.popleft())

    def answered(self, connection: Connection, answer: bytes, latency: int) -> None:
        if answer[9:12] != self.status:
            self._wrong(answer[9:12].decode("latin1"), answer.decode("latin1"))
        else:
            self.latencies.append(latency)
        if self.keep:
            found = MESSAGE_ID.search(answer)
            if found:
                ended = now()
                self.kept.append((int(found[1]), ended - latency, ended))
        self._next(connection)

    def lost(self, connection: Connection) -> None:
        if self.ended.is_set() and not connection.waiting:
            return
        connection.waiting = False
        self._wrong("connection lost", "")
        if connection in self.idle:
            self.idle.remove(connection)

    def _wrong(self, kind: str, shown: str) -> None:
        self.errors[kind] += 1
        self.first_error = self.first_error or shown[:SHOWN]

    def _open(self) -> int:
        return sum(connection.waiting for connection in self.connections) + len(self.due)

    async def _last_answers(self) -> None:
        self.due.clear()
        if self._open():
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_ANSWERS_SECONDS):
                    await self.quiet.wait()
        for connection in self.connections:
            connection.transport.close()

    def _result(self, seconds: float) -> dict[str, Any]:
        latencies = [latency / 1e6 for latency in self.latencies]
        used = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "answers": len(latencies),
            "seconds": seconds,
            "rate": len(latencies) / seconds,
            "p50": percentile(latencies, 50),
            "p99": percentile(latencies, 99),
            "most": max(latencies, default=float("nan")),
            "errors": dict(self.errors),
            "first_error": self.first_error,
            "late": len(self.due),
            "cpu": used.ru_utime + used.ru_stime,
        }


def _request(each: dict[str, Any], headers: dict[str, str]) -> bytes:
    body = json.dumps(each["body"], ensure_ascii=False).encode() if "body" in each else b""
    lines = [
        f"{each.get('method', 'POST')} {each['path']} HTTP/1.1",
        "Host: 127.0.0.1",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def basic(email: str, key: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{email}:{key}".encode()).decode()}


async def main() -> None:
    load = Load(json.loads(sys.stdin.readline()))
    json.dump(await load.run(), sys.stdout)


if __name__ == "__main__":
    uvloop.run(main())
