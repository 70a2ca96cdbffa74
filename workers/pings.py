"""Asking a Redis on a unix socket whether it goes on, without ever waiting for the answer."""

import socket
from pathlib import Path
from typing import Final

_QUESTION: Final = b"PING\r\n"
_MOST: Final = 4096


class Pings:
    """One question at a time, over one connection. ``path``: the server's socket, which need not be there yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: socket.socket | None = None

    def answered(self) -> bool:
        """Tell whether the last question has been answered, by whatever words, and see that the next one is asked."""
        try:
            if self._connection is None:
                self._connection = self._asking()
                return False
            if not self._connection.recv(_MOST):
                raise ConnectionResetError
            self._connection.sendall(_QUESTION)
        except BlockingIOError:
            return False  # no answer yet, or nobody takes the connection
        except OSError:
            self.close()  # not there, refused, or gone: the next call tries anew
            return False
        return True

    def _asking(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            connection.connect(str(self._path))
            connection.sendall(_QUESTION)
        except OSError:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
