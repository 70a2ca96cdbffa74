"""The listening socket: a thread for each connection, all of which can be ended at once."""

import contextlib
import socket
import socketserver
import sys
import threading
import time
import traceback
from typing import Any

from workers.sandbox.books import Books
from workers.sandbox.connection import Connection

_POLL = 0.02


class Listener(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Not http.server's ThreadingHTTPServer, which asks the name service for the host's name when it binds."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, address: tuple[str, int], handler: type[Connection], books: Books) -> None:
        self._books = books
        self._open: set[Any] = set()
        self._lock = threading.Lock()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        with self._lock:
            self._open.discard(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is no error; anything else is a fault of ours."""
        del request, client_address
        if not isinstance(sys.exception(), OSError):
            self._books.crash(traceback.format_exc())

    def stop(self, patience: float = 5.0) -> None:
        """End accepting and every connection; return when their threads have let go, or after ``patience`` seconds."""
        self.shutdown()
        self.server_close()
        deadline = time.monotonic() + patience
        while (still := self._still_open()) and time.monotonic() < deadline:
            for request in still:
                with contextlib.suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)
            time.sleep(_POLL)

    def _still_open(self) -> list[Any]:
        with self._lock:
            return list(self._open)
