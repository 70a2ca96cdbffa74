"""One connection to a server, and the exchanges on it: a request and its answer, each with a time by which it is over.

h11 knows the protocol, and there is a socket below and nothing above it.
"""

import os
import select
import socket
import weakref
from collections.abc import Iterator
from typing import Final

import h11

from workers.timedstreams import Deadline

_READ: Final = 1 << 16
# All headers of an answer together.
_LONGEST_HEAD: Final = 100 * 1024


class Broken(Exception):
    """The request, or some of it, has left, and no whole answer came."""


class Talk:
    """Owns ``sock``. Raises ``Broken``."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.close = weakref.finalize(self, sock.close)  # a kept one ends with whoever kept it
        self._pid = os.getpid()
        self._protocol = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEAD)

    def begin(self, deadline: Deadline, read_s: float) -> None:
        """Say by when the next exchange is over, and how long one wait for the other side may take."""
        self._deadline = deadline
        self._read_s = read_s

    def say(self, request: h11.Request, body: bytes) -> None:
        said = [request, *([h11.Data(body)] if body else []), h11.EndOfMessage()]
        try:
            raw = b"".join(self._protocol.send(event) or b"" for event in said)
            self._sock.settimeout(self._left())
            self._sock.sendall(raw)
        except (h11.ProtocolError, OSError) as error:
            raise _broken(error) from None

    def answer(self) -> h11.Response:
        while not isinstance(event := self._next(), h11.Response):
            if not isinstance(event, h11.InformationalResponse):
                raise _broken(h11.RemoteProtocolError("no answer"))
        return event

    def body(self) -> Iterator[bytes]:
        while isinstance(event := self._next(), h11.Data):
            yield bytes(event.data)

    def ended(self) -> bool:
        """Whether all was said and heard, and the connection is as good as a new one. Nothing may have come after it,
        which would be taken for the next answer.
        """
        protocol = self._protocol
        if protocol.our_state is not h11.DONE or protocol.their_state is not h11.DONE:
            return False
        if protocol.trailing_data != (b"", False):
            return False
        protocol.start_next_cycle()
        return True

    def is_quiet(self) -> bool:
        """Whether it is this process's, the server has not hung up, and it has said nothing unasked."""
        if self._pid != os.getpid():
            return False
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return not poll.poll(0)

    def _next(self) -> object:
        try:
            while (event := self._protocol.next_event()) is h11.NEED_DATA:
                self._sock.settimeout(self._left())
                self._protocol.receive_data(self._sock.recv(_READ))
        except (h11.ProtocolError, OSError) as error:
            raise _broken(error) from None
        return event

    def _left(self) -> float:
        return self._deadline.cut(self._read_s, TimeoutError)


def _broken(error: Exception) -> Broken:
    return Broken(type(error).__name__)
