"""Connections that are answered for good, until their clients have hung up too: nobody waits for that.

To close at once could cost a client the end of its answer: what it had sent meanwhile and nobody read makes the kernel
reset the connection. gunicorn therefore waits for each client's end, in its loop, where all the others wait with it.
"""

import selectors
import socket
import time
from typing import Final

_PATIENCE_S: Final = 2.0
_MOST_WAITED_FOR: Final = 256
_MOST_READ: Final = 64 << 10


class Leaving:
    def __init__(self, poller: selectors.BaseSelector) -> None:
        self._poller = poller
        self._until: dict[socket.socket, float] = {}  # the oldest first

    def see_off(self, sock: socket.socket) -> None:
        """Say that nothing more comes; close when the client has done so too, or after a while."""
        try:
            sock.setblocking(False)
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            sock.close()
            return
        if self._hung_up(sock):
            sock.close()
            return
        if len(self._until) >= _MOST_WAITED_FOR:
            self._close(next(iter(self._until)))
        self._until[sock] = time.monotonic() + _PATIENCE_S
        self._poller.register(sock, selectors.EVENT_READ, self._heard)

    def look(self) -> None:
        """Close those that took too long."""
        now = time.monotonic()
        for sock in [sock for sock, until in self._until.items() if until <= now]:
            self._close(sock)

    def _heard(self, sock: socket.socket) -> None:
        if self._hung_up(sock):
            self._close(sock)

    def _close(self, sock: socket.socket) -> None:
        del self._until[sock]
        self._poller.unregister(sock)
        sock.close()

    @staticmethod
    def _hung_up(sock: socket.socket) -> bool:
        """Whether there is nobody to wait for; what came is for nobody."""
        try:
            return len(sock.recv(_MOST_READ)) in {0, _MOST_READ}
        except BlockingIOError:
            return False
        except OSError:
            return True
