"""An HTTP transport for exchanges that end: one connection a request, and none of them lives longer than ``total_s``.

The timeouts of an HTTP library hold for one read. A server that sends a byte now and then, be it in the headers, the
body or the frame of a chunk, never meets them; here each read gets what is left of the whole time.
"""

import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache

import httpcore2
import httpx2

from workers.timedstreams import Clock, Deadline, TimedStream


@cache
def certificates() -> ssl.SSLContext:
    """Return whom to trust with TLS: those of the machine, or of ``SSL_CERT_FILE`` or ``SSL_CERT_DIR``.

    Read once for a process, as that takes longer than everything else at a start.
    """
    return httpcore2.default_ssl_context()


class DeadlineTransport(httpx2.BaseTransport):
    """Raises the errors of httpx2: a connection past its deadline is a ``ConnectTimeout`` or a ``ReadTimeout``.

    Looking up the host's name is outside of our reach: the resolver has timeouts of its own.
    """

    def __init__(self, *, total_s: float, ssl_context: ssl.SSLContext, clock: Clock = time.monotonic) -> None:
        # No connection is kept for a second request. An idle one that the server closes as we write would leave a POST
        # of which nobody can tell whether it took effect; and so a connection's age is the age of its request.
        self._pool = httpcore2.ConnectionPool(
            ssl_context=ssl_context,
            max_keepalive_connections=0,
            network_backend=_Backend(total_s, clock),
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        with errors_of_httpx2():
            answer = self._pool.handle_request(request_of_httpcore2(request))
        return httpx2.Response(answer.status, headers=answer.headers, stream=_Body(answer))

    def close(self) -> None:
        self._pool.close()


class _Body(httpx2.SyncByteStream):
    def __init__(self, answer: httpcore2.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        with errors_of_httpx2():
            yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


def request_of_httpcore2(request: httpx2.Request) -> httpcore2.Request:
    """Write a request in the words of the library below."""
    url = request.url
    below = httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    return httpcore2.Request(
        request.method, below, headers=request.headers.raw, content=request.stream, extensions=request.extensions
    )


@contextmanager
def errors_of_httpx2() -> Iterator[None]:
    """Raise what the library below raises as the error of the same name that httpx2 has."""
    try:
        yield
    except (
        httpcore2.TimeoutException,
        httpcore2.NetworkError,
        httpcore2.ProtocolError,
        httpcore2.UnsupportedProtocol,
    ) as error:
        # Both libraries name them alike.
        kind: type[httpx2.TransportError] = getattr(httpx2, type(error).__name__)
        raise kind(str(error)) from None


class _Backend(httpcore2.SyncBackend):
    def __init__(self, total_s: float, clock: Clock) -> None:
        self._total_s = total_s
        self._clock = clock

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        deadline = Deadline(self._clock() + self._total_s, self._clock)
        wait = deadline.cut(timeout, httpcore2.ConnectTimeout)
        try:
            stream = super().connect_tcp(host, port, wait, local_address, socket_options)
        except ValueError as error:  # a host name that the resolver cannot even encode
            raise httpcore2.ConnectError(str(error)) from None
        return TimedStream(stream, deadline)
