"""The listening socket: a thread for each connection, all of which can be ended at once."""

import contextlib
import queue
import socket
import socketserver
import sys
import threading
import time
import traceback
from typing import Any, Final

from workers.sandbox.books import Books
from workers.sandbox.connection import Connection

_POLL = 0.02
_MOST_FREE: Final = 16


class Listener(socketserver.TCPServer):
    """Not http.server's ThreadingHTTPServer, which asks the name service for the host's name when it binds, and starts
    a thread for each connection: half of what a short answer takes. Here it waits for the next one.
    """

    allow_reuse_address = True
    request_queue_size = 512

    def __init__(self, address: tuple[str, int], handler: type[Connection], books: Books) -> None:
        self._books = books
        self._open: set[Any] = set()
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._free = 0  # threads that wait, without those that a connection is on its way to
        self._ended = False
        self._handed: queue.SimpleQueue[tuple[Any, Any] | None] = queue.SimpleQueue()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
            found = self._free > 0
            self._free -= found
        if found:
            self._handed.put((request, client_address))
        else:
            thread = threading.Thread(target=self._work, args=((request, client_address),), daemon=True)
            thread.start()
            self._threads = {other for other in self._threads if other.is_alive()} | {thread}

    def _work(self, taken: tuple[Any, Any] | None) -> None:
        while taken is not None:
            self._serve(*taken)
            taken = self._handed.get() if self._is_kept() else None

    def _serve(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except Exception:  # noqa: BLE001 - as socketserver does
            self.handle_error(request, client_address)
        finally:
            self.shutdown_request(request)

    def _is_kept(self) -> bool:
        """Whether this thread is to wait for another connection."""
        with self._lock:
            kept = not self._ended and self._free < _MOST_FREE
            self._free += kept
            return kept

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
        """End accepting and every connection; return when their threads have ended, or after ``patience`` seconds."""
        self.shutdown()
        self.server_close()
        deadline = time.monotonic() + patience
        while (still := self._still_open()) and time.monotonic() < deadline:
            for request in still:
                with contextlib.suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)
            time.sleep(_POLL)
        for thread in self._let_go():
            thread.join(max(0.0, deadline - time.monotonic()))

    def _let_go(self) -> list[threading.Thread]:
        with self._lock:
            self._ended = True
            for _ in range(self._free):
                self._handed.put(None)
        return list(self._threads)

    def _still_open(self) -> list[Any]:
        with self._lock:
            return list(self._open)
