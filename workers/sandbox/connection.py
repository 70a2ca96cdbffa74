"""One client connection: HTTP/1.1 read strictly, and answers that can break off on purpose."""

import logging
import socket
import struct
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler

from workers.sandbox.answers import error
from workers.sandbox.books import Books
from workers.sandbox.replies import Reply, plain
from workers.sandbox.requests import Request

_log = logging.getLogger("workers.sandbox")
_LARGEST_BODY = 1 << 20
_MOST_DIGITS = 9
_MOST_DRAINED = 16 << 20
_DRAIN_SECONDS = 2
_PIECE = 1 << 16
# On, with zero seconds: close sends RST instead of FIN.
_LINGER = struct.pack("ii", 1, 0)


class Connection(BaseHTTPRequestHandler):
    """Subclassed by ``handler_for``, which sets ``front`` and ``books``."""

    front: Callable[[Request], Reply]
    books: Books
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 75
    wbufsize = _PIECE

    def _serve(self) -> None:
        body = self._read_body()
        if body is None:
            return
        path, _, query = self.path.partition("?")
        names = ("Authorization", "Content-Type", "Range")
        self._send(
            self.front(Request(self.command, path, query, body, *(self.headers.get(name, "") for name in names)))
        )

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve  # noqa: N815 - the base looks for these

    def _read_body(self) -> bytes | None:
        """Return the body, or answer why it is not taken and return None."""
        length = self.headers.get("Content-Length", "0").strip()
        if "Transfer-Encoding" in self.headers:
            self._refuse(411, "Send a Content-Length.")
        elif not (length.isascii() and length.isdigit()) or len(self.headers.get_all("Content-Length", [])) > 1:
            self._refuse(400, "The Content-Length is not a number.")
        elif len(length) > _MOST_DIGITS or int(length) > _LARGEST_BODY:
            self._refuse(413, f"The request body is larger than {_LARGEST_BODY} bytes.")
        else:
            body = self.rfile.read(int(length))
            # A client that leaves in the middle of its body has asked for nothing.
            self.close_connection |= len(body) < int(length)
            return body if len(body) == int(length) else None
        return None

    def handle_expect_100(self) -> bool:
        """Send the 100 at once: the client waits for it before it sends the rest."""
        answered = super().handle_expect_100()
        self.wfile.flush()
        return answered

    def _refuse(self, status: int, message: str) -> None:
        self.close_connection = True
        self._send(plain(f"{self.command} (refused)", error(status, message)))
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
            self.wfile.write(self._head(reply))
            if self.command != "HEAD":
                self._send_pieces(reply)
            self.wfile.flush()
        except OSError:
            self._lost(reply, ending)
        self.close_connection |= reply.manner == "cut"

    def _send_pieces(self, reply: Reply) -> None:
        left = reply.sent_length
        for piece in reply.pieces:
            self.wfile.write(piece[:left])
            left -= len(piece[:left])
            if not left:
                return

    def _head(self, reply: Reply) -> bytes:
        lines = [
            f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}",
            f"Date: {self.date_time_string()}",
            f"Content-Type: {reply.kind}",
            f"Content-Length: {reply.length}",
            *(f"{name}: {value}" for name, value in reply.headers),
        ]
        if self.close_connection:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _enter(self, reply: Reply, ending: str) -> None:
        self.books.request(reply.route, ending)
        if reply.film and self.command != "HEAD":
            self.books.file(reply.film, requests=1, whole=reply.is_whole, sent=reply.sent_length)
        _log.info("%s %s", reply.route, ending)

    def _lost(self, reply: Reply, ending: str) -> None:
        self.close_connection = True
        self.books.gone(reply.route, ending)
        if reply.subject:
            self.books.unanswered(reply.subject)
        if reply.film and self.command != "HEAD":
            self.books.file(reply.film, whole=-reply.is_whole)

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
        # Not close(): the files made from this socket would keep it open, and the base would send FIN first.
        socket.close(self.connection.detach())

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what the base refuses (a request line or headers that cannot be read) in the API's own shape."""
        del explain
        self.close_connection = True
        self.command = self.command or "GET"
        self._send(plain("(unreadable)", error(code, message or HTTPStatus(code).phrase)))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing: ``_enter`` has written the line."""


def handler_for(front: Callable[[Request], Reply], books: Books) -> type[Connection]:
    return type("BoundConnection", (Connection,), {"front": staticmethod(front), "books": books})
