"""A server on this machine that reads a request, and answers with whatever bytes a test wants."""

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import h11

Script = Callable[[socket.socket], None]


@dataclass(frozen=True)
class Asked:
    """``headers``: by their names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> object:
        return json.loads(self.body)


class Server:
    """Reads one request of a connection and lets ``script`` do the rest. ``tls``: as whom it speaks TLS."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.script: Script = lambda _: None
        self.connections = 0
        self.requests: list[Asked] = []
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                raw, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=[raw])
            self._threads = [other for other in self._threads if other.is_alive()] + [thread]
            thread.start()

    def _serve(self, raw: socket.socket) -> None:
        with raw, contextlib.suppress(OSError):
            self.connections += 1
            with self._tls.wrap_socket(raw, server_side=True) if self._tls else raw as connection:
                self._open.add(connection)
                # What is no request, as the beginning of TLS, is answered as well.
                with contextlib.suppress(h11.RemoteProtocolError):
                    self.requests.append(asked(connection))
                self.script(connection)

    def rest(self) -> None:
        """Wait until every script is over and its connection hung up."""
        for thread in self._threads:
            thread.join(5)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.rest()


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(tls)
    try:
        yield server
    finally:
        server.close()


def sending(*parts: bytes) -> Script:
    def script(connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)

    return script


def answer(status: int, body: bytes = b"", **headers: str) -> Script:
    """Hang up after it, and say so. ``headers``: with underscores where a name has a dash."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    given = {"Content-Length": str(len(body)), "Connection": "close", **named}
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return sending(f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body)


def asked(connection: socket.socket) -> Asked:
    """Read one request. Raise ``h11.RemoteProtocolError`` for what is none, or nothing."""
    protocol = h11.Connection(h11.SERVER)
    head, body = None, b""
    while not isinstance(event := protocol.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            protocol.receive_data(connection.recv(65536))
        elif isinstance(event, h11.ConnectionClosed):
            raise h11.RemoteProtocolError("nothing more is asked")
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
    assert head is not None
    headers = {name.decode(): value.decode() for name, value in head.headers}
    return Asked(head.method.decode(), head.target.decode(), headers, body)
