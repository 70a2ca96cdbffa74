"""A web server on this machine that behaves as a test tells it to."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler], None]


class Site(ThreadingHTTPServer):
    block_on_close = False

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.headers_seen: list[dict[str, str]] = []
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/video.mp4"

    def handle_error(self, request, client_address) -> None:
        """Say nothing: clients of these tests hang up often."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Site

    def do_GET(self) -> None:
        self.server.headers_seen.append({name.lower(): value for name, value in self.headers.items()})
        self.close_connection = True
        self.server.answer(self)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def sending(body: bytes = b"", status: int = 200, **headers: str) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(body)

    return answer


@contextmanager
def serving(answer: Answer) -> Iterator[Site]:
    with Site(answer) as site:
        thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield site
        finally:
            site.shutdown()
            thread.join()


class Film:
    """A file that is served in parts (RFC 9110), and whose first ``breaks`` answers break off after ``after`` bytes.

    ``ranges``: whether it does parts at all. ``said``: what its 206 says otherwise; None leaves a header out.
    """

    def __init__(self, body: bytes, *, tag: str | None = '"v1"', after: int = 0, breaks: int = 0) -> None:
        self.body = body
        self.tag = tag
        self.after = after
        self.breaks = breaks
        self.ranges = True
        self.said: dict[str, str | None] = {}
        self.asked: list[str | None] = []
        self.before: list[Callable[[BaseHTTPRequestHandler], None]] = []

    def __call__(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append(request.headers.get("Range"))
        if self.before:
            self.before.pop(0)(request)
            return
        match = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range") or "")
        same = self.tag is not None and request.headers.get("If-Range") == self.tag
        start = int(match[1]) if match and same and self.ranges else 0
        headers: dict[str, str | None] = {"Content-Length": str(len(self.body) - start), "ETag": self.tag}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(self.body) - 1}/{len(self.body)}"
            headers |= self.said
        request.send_response(206 if start else 200)
        for name, value in headers.items():
            if value is not None:
                request.send_header(name, value)
        request.end_headers()
        self.breaks -= 1
        request.wfile.write(self.body[start : start + self.after] if self.breaks >= 0 else self.body[start:])
        if self.breaks >= 0:
            hang_up(request)


def hang_up(request: BaseHTTPRequestHandler) -> None:
    """Close the connection at once, in the middle of whatever it was."""
    request.wfile.flush()
    request.connection.shutdown(socket.SHUT_RDWR)
