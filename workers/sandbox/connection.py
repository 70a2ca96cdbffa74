"""One client connection: HTTP/1.1 read strictly, and answers that can break off on purpose."""

import logging
import socket
import struct
import time
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from socketserver import StreamRequestHandler

from workers.sandbox.answers import error
from workers.sandbox.books import Books
from workers.sandbox.heads import Head, Unreadable, read_head
from workers.sandbox.replies import Reply, plain
from workers.sandbox.requests import Request

_log = logging.getLogger("workers.sandbox")
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_LARGEST_BODY = 1 << 20
_MOST_DIGITS = 9
_MOST_DRAINED = 16 << 20
_DRAIN_SECONDS = 2
_PIECE = 1 << 16
# On, with zero seconds: close sends RST instead of FIN.
_LINGER = struct.pack("ii", 1, 0)
_GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(StreamRequestHandler):
    """Subclassed by ``handler_for``, which sets ``front`` and ``books``."""

    front: Callable[[Request], Reply]
    books: Books
    disable_nagle_algorithm = True
    timeout = 75
    # Of the request that is answered just now; and whether the connection ends with it.
    method = "GET"
    closes = True

    def handle(self) -> None:
        self.closes = False
        while not self.closes:
            self.closes = True  # whatever becomes of the next one, unless it says otherwise
            try:
                self._serve_one()
            except TimeoutError:
                self.closes = True

    def _serve_one(self) -> None:
        self.method = "GET"
        try:
            head = read_head(self.rfile.readline)
            if head is None:
                return
            self.method, self.closes = head.method, head.closes
            if head.waits:
                self.connection.sendall(_GO_ON)  # at once: the client waits for it before it sends the rest
            _check_method(head.method)
        except Unreadable as unreadable:
            self.method, self.closes = unreadable.method or "GET", True
            self._send(plain("(unreadable)", error(unreadable.status, unreadable.message)))
            return
        self._serve(head)

    def _serve(self, head: Head) -> None:
        body = self._read_body(head)
        if body is None:
            return
        path, _, query = head.target.partition("?")
        told = map(head.header, ("authorization", "content-type", "range"))
        self._send(self.front(Request(head.method, path, query, body, *told)))

    def _read_body(self, head: Head) -> bytes | None:
        """Return the body, or answer why it is not taken and return None."""
        lengths = head.fields.get("content-length", ["0"])
        length = lengths[0].strip()
        if "transfer-encoding" in head.fields:
            self._refuse(411, "Send a Content-Length.")
        elif not (length.isascii() and length.isdigit()) or len(lengths) > 1:
            self._refuse(400, "The Content-Length is not a number.")
        elif len(length) > _MOST_DIGITS or int(length) > _LARGEST_BODY:
            self._refuse(413, f"The request body is larger than {_LARGEST_BODY} bytes.")
        else:
            body = self.rfile.read(int(length))
            # A client that leaves in the middle of its body has asked for nothing.
            self.closes |= len(body) < int(length)
            return body if len(body) == int(length) else None
        return None

    def _refuse(self, status: int, message: str) -> None:
        self.closes = True
        self._send(plain(f"{self.method} (refused)", error(status, message)))
        # Closing with bytes unread would send RST, and the client might never see the answer.
        self.connection.settimeout(_DRAIN_SECONDS)
        for _ in range(_MOST_DRAINED // _PIECE):
            if not self.rfile.read1(_PIECE):
                return

    def _send(self, reply: Reply) -> None:
        # First the books: whoever has an answer finds it entered.
        ending = str(reply.status) if reply.manner == "send" else reply.manner
        self._enter(reply, ending)
        if reply.manner == "reset":
            self._reset()
            return
        try:
            self._send_pieces(reply)
        except OSError:
            self._lost(reply, ending)
        self.closes |= reply.manner == "cut"

    def _send_pieces(self, reply: Reply) -> None:
        """Send the head with the first piece: a short answer is one packet."""
        ready, left = self._head(reply), 0 if self.method == "HEAD" else reply.sent_length
        if left:
            for piece in reply.pieces:
                self.connection.sendall(ready + piece[:left] if ready else piece[:left])
                ready, left = b"", left - len(piece[:left])
                if not left:
                    return
        if ready:
            self.connection.sendall(ready)

    def _head(self, reply: Reply) -> bytes:
        lines = [
            f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}",
            f"Date: {_date(int(time.time()))}",
            f"Content-Type: {reply.kind}",
            f"Content-Length: {reply.length}",
            *(f"{name}: {value}" for name, value in reply.headers),
        ]
        if self.closes:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _enter(self, reply: Reply, ending: str) -> None:
        self.books.request(reply.route, ending)
        if reply.film and self.method != "HEAD":
            self.books.file(reply.film, requests=1, whole=reply.is_whole, sent=reply.sent_length)
        _log.info("%s %s", reply.route, ending)

    def _lost(self, reply: Reply, ending: str) -> None:
        self.closes = True
        self.books.gone(reply.route, ending)
        if reply.subject:
            self.books.unanswered(reply.subject)
        if reply.film and self.method != "HEAD":
            self.books.file(reply.film, whole=-reply.is_whole)

    def _reset(self) -> None:
        self.closes = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
        # Not close(): the files made from this socket would keep it open, and the base would send FIN first.
        socket.close(self.connection.detach())


def _check_method(method: str) -> None:
    if method not in _METHODS:
        raise Unreadable(501, f"Unsupported method ({method!r})", method=method)


@lru_cache(maxsize=1)
def _date(at: int) -> str:
    return formatdate(at, usegmt=True)


def handler_for(front: Callable[[Request], Reply], books: Books) -> type[Connection]:
    return type("BoundConnection", (Connection,), {"front": staticmethod(front), "books": books})
