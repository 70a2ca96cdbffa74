"""Takes a connection out of gunicorn's hands once its answer has begun, so that it holds no thread from then on.

A thread of gunicorn's serves one connection at a time, and there are few. The iterable below has gunicorn write the
head and the first bytes, and then puts a dead socket under gunicorn's file descriptor: what gunicorn still does to it
(end the body, shut down, close) meets the dead one, as if the client had gone away, and its books balance. The
connection itself lives on under a descriptor of ours. All that is relied on is WSGI and ``gunicorn.socket`` in its
environment.
"""

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

_SOCKET: Final = "gunicorn.socket"
# What the kernel keeps for a listener that does not read; by itself it would let that grow to megabytes.
_SEND_BUFFER: Final = 64 << 10


def possible(environ: Mapping[str, Any]) -> bool:
    """Whether the server hands over a plain connection. One under TLS has its keys in the server's own object."""
    return type(environ.get(_SOCKET)) is socket.socket


def is_chunked(environ: Mapping[str, Any]) -> bool:
    """Whether gunicorn has announced a chunked body. To an HTTP/1.0 client the end of the connection is the end."""
    return bool(environ.get("SERVER_PROTOCOL") != "HTTP/1.0")


def handed_over(environ: Mapping[str, Any], first: bytes, take: Callable[[socket.socket], None]) -> Iterator[bytes]:
    """Give the body of an answer: ``first``, and what ``take`` does with the connection afterwards."""
    yield first
    take(_taken(environ[_SOCKET]))


def _taken(sock: socket.socket) -> socket.socket:
    taken = sock.dup()
    taken.setblocking(False)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    dead, other = socket.socketpair()
    with dead, other:
        os.dup2(dead.fileno(), sock.fileno(), inheritable=False)
    return taken
