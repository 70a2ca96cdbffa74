"""Exchanges with one server that end: a connection for each, and none of them lives longer than ``total_s``.

The timeouts of a socket hold for one wait. A server that sends a byte now and then, be it in the headers, the body or
the frame of a chunk, never meets them; here each wait gets what is left of the whole time.

h11 knows the protocol, and there is a socket below and nothing above it: one question to Swiftia is the better part of
a step, and a client that can do everything takes more than half as long again to ask it.
"""

import socket
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import h11
import httpx2

from workers.timedstreams import Clock, Deadline

_READ: Final = 1 << 16
# All headers of an answer together.
_LONGEST_HEAD: Final = 100 * 1024
_TLS: Final = "https"
_PORTS: Final = {_TLS: 443, "http": 80}

Headers = Sequence[tuple[str, str]]


class Unsent(Exception):
    """Nothing of the request has left."""


class Broken(Exception):
    """The request, or some of it, has left, and no whole answer came."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a connection may take, one wait for the other side, and all of an exchange. Seconds."""

    connect_s: float = 5
    read_s: float = 20
    total_s: float = 60


@dataclass(frozen=True, slots=True)
class Incoming:
    """An answer as it comes. ``headers`` finds a name in any case. ``chunks`` raises ``Broken``."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    chunks: Iterator[bytes] = field(repr=False)


class Wire:
    """``headers``: what every request says. Any number of threads may exchange over it.

    The name of the host is looked up outside of our reach: the resolver has timeouts of its own.
    """

    def __init__(
        self,
        base: httpx2.URL,
        headers: Headers,
        *,
        patience: Patience,
        ssl_context: ssl.SSLContext,
        clock: Clock = time.monotonic,
    ) -> None:
        self._host = base.raw_host.decode("ascii")
        self._port = base.port or _PORTS[base.scheme]
        self._path = base.raw_path.partition(b"?")[0].rstrip(b"/")
        self._headers = [("Host", base.netloc.decode("ascii")), *headers]
        # As h11 keeps them once it has looked at them: most requests have no others.
        self._usual = h11.Request(method="GET", target="/", headers=self._headers).headers
        self._ssl_context = ssl_context if base.scheme == _TLS else None
        ssl_context.set_alpn_protocols(["http/1.1"])
        self._patience = patience
        self._clock = clock

    @contextmanager
    def exchange(self, method: str, path: str, body: bytes = b"", headers: Headers = ()) -> Iterator[Incoming]:
        """Send one request, and hang up when the block ends. Raises ``Unsent`` or ``Broken``.

        No connection is kept for a second request. An idle one that the server closes as we write would leave a POST of
        which nobody can tell whether it took effect; and so a connection's age is the age of its request.
        """
        deadline = Deadline(self._clock() + self._patience.total_s, self._clock)
        if body:
            headers = [*headers, ("Content-Length", str(len(body)))]
        all_headers = [*self._headers, *headers] if headers else self._usual
        request = h11.Request(method=method, target=self._path + path.encode("ascii"), headers=all_headers)
        with self._connected(deadline) as sock:
            talk = _Talk(sock, deadline, self._patience.read_s)
            with _breaking():
                talk.say(request, body)
                answer = talk.answer()
            yield Incoming(answer.status_code, httpx2.Headers(answer.headers.raw_items()), talk.body())

    def _connected(self, deadline: Deadline) -> socket.socket:
        try:
            wait = deadline.cut(self._patience.connect_s, TimeoutError)
            sock = socket.create_connection((self._host, self._port), wait)
            return self._encrypted(sock, deadline) if self._ssl_context else sock
        except (OSError, ValueError) as error:  # ValueError: a name that the resolver cannot even encode
            raise Unsent(f"{type(error).__name__}: {error}") from None

    def _encrypted(self, sock: socket.socket, deadline: Deadline) -> socket.socket:
        try:
            sock.settimeout(deadline.cut(self._patience.connect_s, TimeoutError))
            return self._ssl_context.wrap_socket(sock, server_hostname=self._host)  # type: ignore[union-attr]  # there is one
        except BaseException:
            sock.close()
            raise


class _Talk:
    """One request and its answer on a connection."""

    def __init__(self, sock: socket.socket, deadline: Deadline, read_s: float) -> None:
        self._sock = sock
        self._deadline = deadline
        self._read_s = read_s
        self._protocol = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEAD)

    def say(self, request: h11.Request, body: bytes) -> None:
        said = [request, *([h11.Data(body)] if body else []), h11.EndOfMessage()]
        raw = b"".join(self._protocol.send(event) or b"" for event in said)
        self._sock.settimeout(self._left())
        self._sock.sendall(raw)

    def answer(self) -> h11.Response:
        while not isinstance(event := self._next(), h11.Response):
            if not isinstance(event, h11.InformationalResponse):
                raise h11.RemoteProtocolError(f"no answer, but {type(event).__name__}")
        return event

    def body(self) -> Iterator[bytes]:
        with _breaking():
            while isinstance(event := self._next(), h11.Data):
                yield bytes(event.data)

    def _next(self) -> object:
        while (event := self._protocol.next_event()) is h11.NEED_DATA:
            self._sock.settimeout(self._left())
            self._protocol.receive_data(self._sock.recv(_READ))
        return event

    def _left(self) -> float:
        return self._deadline.cut(self._read_s, TimeoutError)


@contextmanager
def _breaking() -> Iterator[None]:
    try:
        yield
    except (h11.ProtocolError, OSError) as error:
        raise Broken(type(error).__name__) from None
