"""Connections that are made to checked addresses only, and end by a deadline.

Each connection resolves its host once, checks every address, and connects to a checked literal address: between the
check and the connection there is no second look at a name server that could answer differently.
"""

import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import httpcore2

from workers.addresses import Network, refusal_reason
from workers.errors import TargetRefused
from workers.timedstreams import Deadline, TimedStream

Resolve = Callable[..., Sequence[tuple[Any, ...]]]

# How many addresses of one host are tried, each for the whole connect timeout.
_MAX_TRIES = 3


class GuardedBackend(httpcore2.NetworkBackend):
    """Makes connections to checked literal addresses; ``inner`` is never given a name."""

    def __init__(
        self, inner: httpcore2.NetworkBackend, trusted: Sequence[Network], *, resolve: Resolve, deadline: Deadline
    ) -> None:
        self._inner = inner
        self._trusted = trusted
        self._resolve = resolve
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        failure: Exception = httpcore2.ConnectError(f"{host} has no address")
        for address in self._checked(host, port)[:_MAX_TRIES]:
            wait = self._deadline.cut(timeout, httpcore2.ConnectTimeout)
            try:
                stream = self._inner.connect_tcp(address, port, wait, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
            else:
                return TimedStream(stream, self._deadline)
        raise failure

    def _checked(self, host: str, port: int) -> list[str]:
        try:
            found = self._resolve(host, port, type=socket.SOCK_STREAM)
        except (OSError, ValueError) as error:  # ValueError: the name cannot be a name (label too long, NUL)
            raise httpcore2.ConnectError(f"{host} cannot be resolved: {error}") from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        for address in addresses:
            # One refused address refuses the host: whoever adds 10.0.0.1 beside a public address gambles on the order.
            if reason := refusal_reason(address, trusted=self._trusted):
                raise TargetRefused(
                    f"{host} is not connected to: {address} is {reason}. If that is meant to be reachable, "
                    "add its network to TRUSTED_NETWORKS",
                    host=host,
                    address=address,
                )
        return addresses
