"""Connections that end by a moment: the timeouts of an HTTP library hold for one read, a deadline for all of them.

A server that sends a byte now and then never meets a timeout; here each wait gets what is left of the whole time.
"""

import ssl
from collections.abc import Callable
from typing import Any

import httpcore2

Clock = Callable[[], float]


class Deadline:
    """``at``: the moment on ``clock``."""

    def __init__(self, at: float, clock: Clock) -> None:
        self._at = at
        self._clock = clock

    def cut(self, timeout: float | None, error: type[Exception]) -> float:
        """Give how long to wait at most; raise ``error`` when no time is left."""
        left = self._at - self._clock()
        if left <= 0:
            raise error("the request took longer than it may in total")
        return left if timeout is None else min(timeout, left)


class TimedStream(httpcore2.NetworkStream):
    """A connection on which no wait goes past the deadline, however slowly the other side trickles."""

    def __init__(self, inner: httpcore2.NetworkStream, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._deadline.cut(timeout, httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._deadline.cut(timeout, httpcore2.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        wait = self._deadline.cut(timeout, httpcore2.ConnectTimeout)
        return TimedStream(self._inner.start_tls(ssl_context, server_hostname, wait), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
