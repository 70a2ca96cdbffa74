"""Exchanges with one server that end: none of them lives longer than ``total_s``.

The timeouts of a socket hold for one wait. A server that sends a byte now and then, be it in the headers, the body or
the frame of a chunk, never meets them; here each wait gets what is left of the whole time.

One question to Swiftia is the better part of a step, and a client that can do everything takes more than half as long
again to ask it.
"""

import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import h11
import httpx2

from workers.talk import Talk
from workers.timedstreams import Clock, Deadline

# How long a connection is kept for the next question. Servers hang up after several seconds of silence, and one that
# does so as we write would cost a request and its answer.
_KEPT_S: Final = 1.0
_TLS: Final = "https"
_PORTS: Final = {_TLS: 443, "http": 80}

Headers = Sequence[tuple[str, str]]


class Unsent(Exception):
    """Nothing of the request has left."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a connection may take, one wait for the other side, and all of an exchange. Seconds."""

    connect_s: float = 5
    read_s: float = 20
    total_s: float = 60


@dataclass(frozen=True, slots=True)
class Incoming:
    """An answer as it comes. ``headers``: by their names in lower case. ``chunks`` raises ``Broken``."""

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
        self._spare: list[tuple[Talk, float]] = []
        self._ssl_context = ssl_context if base.scheme == _TLS else None
        ssl_context.set_alpn_protocols(["http/1.1"])
        self._patience = patience
        self._clock = clock

    @contextmanager
    def exchange(self, method: str, path: str, body: bytes = b"", headers: Headers = ()) -> Iterator[Incoming]:
        """Send one request. Raises ``Unsent`` or ``Broken``.

        What a GET was answered over is kept for the next GET, if that comes soon. Everything else gets a connection of
        its own: an idle one that the server closes as we write would leave a POST of which nobody can tell whether it
        took effect.
        """
        deadline = Deadline(self._clock() + self._patience.total_s, self._clock)
        request = self._request(method, path, body, headers)
        repeatable = method == "GET"
        talk = (self._kept() if repeatable else None) or Talk(self._connected(deadline))
        good = False
        try:
            talk.begin(deadline, self._patience.read_s)
            talk.say(request, body)
            answer = talk.answer()
            yield Incoming(answer.status_code, _by_name(answer.headers), talk.body())
            good = repeatable and talk.ended()
        finally:
            if good:
                self._spare.append((talk, self._clock()))
            else:
                talk.close()

    def _request(self, method: str, path: str, body: bytes, headers: Headers) -> h11.Request:
        target = self._path + path.encode("ascii")
        if method == "GET" and not headers:
            return h11.Request(method=method, target=target, headers=self._usual)
        length = [("Content-Length", str(len(body)))] if body else []
        given = [*self._headers, *headers, *length, ("Connection", "close")]
        return h11.Request(method=method, target=target, headers=given)

    def _kept(self) -> Talk | None:
        """Give the connection that fell silent last. Those before it are hung up: one is enough for a thread."""
        found = None
        while True:
            try:
                talk, since = self._spare.pop()
            except IndexError:  # looking first whether there is one would not do: another thread may take it
                return found
            if found is None and self._clock() - since < _KEPT_S and talk.is_quiet():
                found = talk
            else:
                talk.close()

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


def _by_name(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for raw_name, raw in headers:
        name, value = raw_name.decode("ascii"), raw.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found
