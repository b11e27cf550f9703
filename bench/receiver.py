"""A receiver of webhooks that costs little and notes when each arrived, by the clock that all processes share.

`POST` anything: noted, 200; `POST /hang` is never answered, nor noted; `POST /down` is noted and answered 503. `GET /count`, `GET /arrivals` (message id and nanoseconds of each, then forgotten) and
`GET /sample` (one POST as it came) are for the measurement. Prints its port, then serves until it is told to end.
"""

import asyncio
import json
import re
import signal
import time
from typing import Any, cast

import uvloop

MESSAGE_ID = re.compile(rb"object%5Bmessage_id%5D=(\d+)")
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
TAKEN = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
DOWN = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


class Arrivals:
    def __init__(self) -> None:
        self.noted: list[tuple[int, int]] = []
        self.sample = ""

    def answer(self, path: str) -> Any:
        if path == "/count":
            return len(self.noted)
        if path == "/sample":
            return self.sample
        noted, self.noted = self.noted, []
        return noted


class Receiver(asyncio.Protocol):
    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            length = LENGTH.search(self._received, 0, end)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._received) < whole:
                return
            self._taken(self._received[:whole], end + 4)
            self._received = self._received[whole:]

    def _taken(self, request: bytes, body: int) -> None:
        if request.startswith(b"GET "):
            answer = json.dumps(self._arrivals.answer(request.split(b" ", 2)[1].decode())).encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(answer)}\r\n\r\n"
            self._transport.write(head.encode() + answer)
            return
        if request.startswith(b"POST /hang"):
            return
        found = MESSAGE_ID.search(request, body)
        self._arrivals.noted.append((int(found[1]) if found else 0, time.perf_counter_ns()))
        self._arrivals.sample = self._arrivals.sample or request.decode("latin1")
        self._transport.write(DOWN if request.startswith(b"POST /down") else TAKEN)


async def serve() -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, told.set)
    arrivals = Arrivals()
    server = await loop.create_server(lambda: Receiver(arrivals), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await told.wait()
    server.close()


if __name__ == "__main__":
    uvloop.run(serve())
