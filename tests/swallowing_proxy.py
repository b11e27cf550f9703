"""A wire to PostgreSQL that breaks at the worst moment: around a COMMIT."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal
from urllib.parse import urlsplit

COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
"""The message by which the driver commits, in PostgreSQL's protocol."""

Break = Literal["after the commit", "before the commit", "during the commit"]


class SwallowingProxy:
    """Passes bytes on; once armed, it cuts the client off at the next COMMIT.

    "after the commit": the server commits, its answer is lost. "before": the COMMIT is lost. "during": the client is
    cut off at once, but the server gets the COMMIT only when `deliver` is called.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        login = f"{parts.username}:{parts.password}"
        self.url = parts._replace(netloc=f"{login}@127.0.0.1:{port}").geturl()
        self._armed: Break | None = None
        self._sockets: list[socket.socket] = []
        self.deliver = threading.Event()
        self.broken = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, how: Break) -> None:
        self._armed = how

    def close(self) -> None:
        self.deliver.set()
        for one in (self._listener, *self._sockets):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener is closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                self._sockets += [client, server]
                cut = threading.Event()
                for target in (self._to_server, self._to_client):
                    threading.Thread(target=target, args=(client, server, cut), daemon=True).start()

    def _to_server(
        self, client: socket.socket, server: socket.socket, cut: threading.Event
    ) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if data.endswith(COMMIT) and self._armed:
                    how, self._armed = self._armed, None
                    cut.set()
                    self._break(how, data, client, server)
                    return
                server.sendall(data)
        _end(server)

    def _break(self, how: Break, data: bytes, client: socket.socket, server: socket.socket) -> None:
        if how == "after the commit":
            server.sendall(data)
            self.deliver.wait()  # set by the answer that is swallowed
        _end(client)
        self.broken.set()
        if how == "during the commit":
            self.deliver.wait()
            server.sendall(data)
        if how == "before the commit":
            _end(server)

    def _to_client(
        self, client: socket.socket, server: socket.socket, cut: threading.Event
    ) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if cut.is_set():
                    self.deliver.set()
                else:
                    client.sendall(data)
        _end(client)


def _end(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)


@contextmanager
def swallowing_proxy(url: str) -> Iterator[SwallowingProxy]:
    proxy = SwallowingProxy(url)
    try:
        yield proxy
    finally:
        proxy.close()
