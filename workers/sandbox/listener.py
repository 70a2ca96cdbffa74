"""The listening socket: a thread for each connection, all of which can be ended at once."""

import contextlib
import socket
import socketserver
import sys
import threading
import time
import traceback
from typing import Any, Final

from workers.sandbox.books import Books
from workers.sandbox.connection import Connection

_POLL: Final = 0.02
_MOST_FREE: Final = 16


def local(host: str) -> str:
    """Give an address of this machine at which one that listens at ``host``, which may be all of them, is reached."""
    return "127.0.0.1" if host in {"", "0.0.0.0"} else host  # noqa: S104 - compared only


class Listener(socketserver.TCPServer):
    """Not http.server's ThreadingHTTPServer, which asks the name service for the host's name when it binds, and starts
    a thread for each connection: half of what a short answer takes. Here a thread that has answered waits for the next
    connection itself. One that takes the connections and hands them on would cost as much again as an answer.
    """

    allow_reuse_address = True
    request_queue_size = 512

    def __init__(self, address: tuple[str, int], handler: type[Connection], books: Books) -> None:
        self._books = books
        self._open: set[Any] = set()
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._free = 0  # threads that wait for a connection
        self._ended = threading.Event()
        super().__init__(address, handler)

    def start(self) -> None:
        with self._lock:
            self._add_thread()

    def _add_thread(self) -> None:
        self._free += 1
        thread = threading.Thread(target=self._work, name="sandbox", daemon=True)
        self._threads = {other for other in self._threads if other.is_alive()} | {thread}
        thread.start()

    def _work(self) -> None:
        while (taken := self._taken()) is not None:
            self._serve(*taken)
            if not self._is_kept():
                return

    def _taken(self) -> tuple[Any, Any] | None:
        """Wait for a connection, and see that another thread waits for the next. None at the end."""
        while not self._ended.is_set():
            try:
                request, address = self.get_request()
            except OSError:  # it left again, or there are too many open files
                time.sleep(_POLL)
                continue
            if self._ended.is_set():
                request.close()
                break
            with self._lock:
                self._free -= 1
                self._open.add(request)
                if not self._free:
                    self._add_thread()
            return request, address
        with self._lock:
            self._free -= 1
        return None

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
            kept = not self._ended.is_set() and self._free < _MOST_FREE
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
        deadline = time.monotonic() + patience
        self._let_go(deadline)
        self.server_close()
        while (still := self._still_open()) and time.monotonic() < deadline:
            for request in still:
                with contextlib.suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)
            time.sleep(_POLL)
        for thread in list(self._threads):
            thread.join(max(0.0, deadline - time.monotonic()))

    def _let_go(self, deadline: float) -> None:
        """Wake those that wait for a connection, with one: nothing else does so on every system."""
        self._ended.set()
        host, port = self.server_address[:2]
        while self._free and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                socket.create_connection((local(str(host)), port), _POLL).close()
            time.sleep(_POLL / 10)

    def _still_open(self) -> list[Any]:
        with self._lock:
            return list(self._open)
