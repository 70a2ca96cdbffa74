"""The team's own application, as far as it is told of things: an HTTP server that remembers what it was sent."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, dict[str, str]]


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes
    status: int
    received_at: float

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def payload(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    @property
    def event(self) -> str:
        return str(self.payload["type"])


@dataclass
class Target:
    """``answers``: says what to answer to the nth request (from 0); it may sleep, as a slow application does."""

    url: str
    answers: Callable[[int], Answer]
    received: list[Received] = field(default_factory=list)
    count: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def taken(self) -> list[Received]:
        with self.lock:
            return [one for one in self.received if one.status < 300]

    def events(self, job_id: str) -> list[str]:
        """Name the events of one job that were taken, in their order, each once."""
        found = [(one.id, one.event) for one in self.taken if one.payload["data"]["id"] == job_id]
        return [event for _, event in dict.fromkeys(found)]


def well(_n: int) -> Answer:
    return 204, {}


@contextmanager
def target(answers: Callable[[int], Answer] = well, *, host: str = "127.0.0.1") -> Iterator[Target]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            came = time.time()
            with found.lock:
                number, found.count = found.count, found.count + 1
            status, more = found.answers(number)
            with found.lock:
                found.received.append(Received(self.path, headers, body, status, came))
            self.send_response(status)
            for name, value in {"Content-Length": "0", **more}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    class Server(ThreadingHTTPServer):
        request_queue_size = 128
        daemon_threads = True

        def handle_error(self, *_: object) -> None: ...  # who asked has gone

    server = Server((host, 0), Handler)
    found = Target(f"http://{host}:{server.server_port}", answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
