"""gunicorn's worker with the porter in its loop: plain callbacks never leave it, everything else gets a thread.

A new connection waits in the loop until its first bytes are there, so a silent client holds no thread.
"""

import selectors
import socket
import time
from functools import partial
from typing import Any, Final

from gunicorn import http  # type: ignore[import-untyped]
from gunicorn.workers.gthread import TConn  # type: ignore[import-untyped]

from receiver import knock
from receiver.malformed import Worker
from receiver.porter import Guest, Porter
from workers.errors import ServiceError
from workers.records import Accepted

# Where the worker finds its porter: ``app.extensions[PORTER]``.
PORTER: Final = "porter"
# How long a new connection may be silent: what gunicorn gives it in a thread and in its loop.
_FIRST_S: Final = 10.0
_LOOK_S: Final = 0.1


class Foyer(Worker):
    _porter: Porter | None = None

    def run(self) -> None:
        extensions = getattr(self.wsgi, "extensions", {})
        # Whoever limits requests, or asks for a line of each, gets gunicorn's own way.
        if not (self.cfg.is_ssl or self.cfg.max_requests or self.cfg.accesslog or self.cfg.proxy_protocol != "off"):
            self._porter = extensions.get(PORTER)
        if self._porter is not None:
            self._porter.listen = lambda sock: self.poller.register(sock, selectors.EVENT_READ, self._heard)
            self._porter.unlisten = self.poller.unregister
        super().run()

    def accept(self, listener: Any) -> None:
        if self._porter is None or not self._is_door(listener):
            super().accept(listener)
            return
        try:
            sock, address = listener.accept()
        except OSError as error:
            if isinstance(error, BlockingIOError | ConnectionAbortedError):
                return
            raise
        self.nr_conns += 1
        conn = TConn(self.cfg, sock, address, listener.getsockname())
        conn.timeout = time.monotonic() + _FIRST_S
        conn.is_door = True
        self.pending_conns.append(conn)
        self.poller.register(sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def _is_door(self, listener: Any) -> bool:
        return isinstance(listener.getsockname(), tuple) and listener is self.sockets[0]

    def on_pending_socket_readable(self, conn: Any, client: Any) -> None:
        if not self._knocks(conn, self.pending_conns):
            super().on_pending_socket_readable(conn, client)

    def on_client_socket_readable(self, conn: Any, client: Any) -> None:
        if not self._knocks(conn, self.keepalived_conns):
            super().on_client_socket_readable(conn, client)

    def _knocks(self, conn: Any, among: Any) -> bool:
        """Whether what came is the porter's; else nothing has happened to it."""
        if self._porter is None or not self.alive or not getattr(conn, "is_door", False):
            return False
        try:
            raw = conn.sock.recv(knock.MOST_BYTES)
        except OSError:
            return False
        found = knock.read(raw, conn.client[0])
        if found is not None and self._porter.take(found, conn):
            self.poller.unregister(conn.sock)
            among.remove(conn)
            return True
        self._give_back(conn, raw)
        return False

    def _give_back(self, conn: Any, raw: bytes) -> None:
        if conn.parser is None:
            conn.parser = http.get_parser(self.cfg, conn.sock, conn.client)
        conn.parser.unreader.unread(raw)
        conn.data_ready = True

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        if self._porter is None:
            super().wait_for_and_dispatch_events(timeout)
            return
        super().wait_for_and_dispatch_events(min(timeout, _LOOK_S) if self._porter.waits else timeout)
        for guest in self._porter.turn():
            self._send_off(guest)

    def _heard(self, _sock: socket.socket) -> None:
        if self._porter is None:
            return
        taken, left = self._porter.answers()
        for guest, accepted in taken:
            self._see_out(guest, accepted)
        for guest in left:
            self._send_off(guest)

    def _see_out(self, guest: Guest, accepted: Accepted) -> None:
        conn = guest.whose
        keep = self._keeps()
        answer = self._porter.answer(guest, accepted, keep=keep)  # type: ignore[union-attr]  # there is one
        self.nr += 1
        try:
            # Less than any socket holds, of one who has read the answers before.
            whole = conn.sock.send(answer) == len(answer)
        except OSError:
            whole = False
        if not (whole and keep):
            self.nr_conns -= 1
            conn.close(graceful=whole)
            return
        conn.set_timeout()
        self.keepalived_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_client_socket_readable, conn))

    def _keeps(self) -> bool:
        return bool(self.alive and self.cfg.keepalive and len(self.keepalived_conns) < self.max_keepalived)

    def _send_off(self, guest: Guest) -> None:
        future = self.tpool.submit(self._wait, guest)
        future.add_done_callback(lambda done: self.method_queue.defer(self.finish_request, guest.whose, done))

    def _wait(self, guest: Guest) -> bool:
        """In a thread: the ordinary way, with the receipt that the callback has already."""
        conn, porter = guest.whose, self._porter
        conn.sock.setblocking(True)
        try:
            accepted = porter.the_long_way(guest)  # type: ignore[union-attr]  # there is one
        except ServiceError:
            self._give_back(conn, guest.knock.raw)
            return bool(self.handle(conn))
        conn.init()
        keep = self._keeps()
        conn.sock.sendall(porter.answer(guest, accepted, keep=keep))  # type: ignore[union-attr]  # see above
        return keep
