"""A sandbox on a free port, a client that has its key, and a clock that moves when a test says so."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest

from workers.sandbox import Sandbox, SandboxConfig

QUICK = {"port": 0, "rate_limit": "100000/1s", "seed": "7", "spread": 0.0, "stalls": 0.0}


class Clock:
    """Call it for the time, in epoch seconds."""

    def __init__(self) -> None:
        self.at = 1_700_000_000.0

    def __call__(self) -> float:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += seconds


class Play:
    """A running sandbox and the requests that tests make most."""

    def __init__(self, sandbox: Sandbox, client: httpx2.Client, clock: Clock) -> None:
        self.sandbox = sandbox
        self.url = sandbox.url
        self.client = client
        self.clock = clock

    def submit(self, video: str = "abcdefghijk", **fields: Any) -> str:
        """Create a job and return its id, whatever it is called."""
        body = {"functionName": "VideoShorts", "youtubeVideoId": video, **fields}
        answer = self.client.post("/api/jobs", json=body)
        assert answer.status_code in {200, 201}, answer.text
        return answer.json().get("id") or answer.json()["jobId"]

    def finished_job(self, video: str = "abcdefghijk", **fields: Any) -> str:
        job_id = self.submit(video, **fields)
        self.clock.advance(100)
        return job_id

    def job(self, job_id: str) -> httpx2.Response:
        return self.client.get(f"/api/jobs/{job_id}")

    def shorts(self, job_id: str) -> list[Any]:
        return self.books()["jobs"][job_id]["shorts"]

    def order(self, job_id: str, **fields: Any) -> httpx2.Response:
        """Render the first short, unless ``target`` names another."""
        body = {"id": job_id, "target": self.shorts(job_id)[0], **fields}
        return self.client.post("/api/render", json=body)

    def finished_render(self, video: str = "abcdefghijk") -> str:
        render_id = self.order(self.finished_job(video)).json()["renderId"]
        self.clock.advance(100)
        return render_id

    def render(self, render_id: str) -> httpx2.Response:
        return self.client.get(f"/api/render/{render_id}")

    def books(self) -> dict[str, Any]:
        return self.sandbox.books()


@pytest.fixture(scope="session")
def new_client() -> Callable[..., httpx2.Client]:
    # Without this each client would read the system's certificates, which takes longer than most tests here.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return lambda **options: httpx2.Client(**{"verify": context, "timeout": 10, **options})


@pytest.fixture(scope="session")
def anyone(new_client: Callable[..., httpx2.Client]) -> Iterator[httpx2.Client]:
    """Yield a client without a key."""
    with new_client() as client:
        yield client


@pytest.fixture
def play(new_client: Callable[..., httpx2.Client]) -> Iterator[Callable[..., Play]]:
    """Start a sandbox with some fields of its config: quick, without luck, its clock standing still."""
    with ExitStack() as stack:

        def start(**fields: Any) -> Play:
            clock = Clock()
            sandbox = stack.enter_context(Sandbox(SandboxConfig(**{**QUICK, **fields}), now=clock))
            headers = {"Authorization": f"Bearer {sandbox.config.api_key}"}
            client = stack.enter_context(new_client(base_url=sandbox.url, headers=headers))
            stack.callback(lambda: _is_sound(sandbox))
            return Play(sandbox, client, clock)

        yield start


@dataclass(frozen=True)
class Received:
    path: str
    content_type: str | None
    body: bytes


class Hook:
    """A webhook receiver. ``answers`` are the statuses to come, then 202; ``before`` is called on each arrival."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.received: list[Received] = []
        self.answers: list[int] = []
        self.before: Callable[[], object] = lambda: None


@pytest.fixture
def hook() -> Iterator[Hook]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.before()
            heard.received.append(Received(self.path, self.headers["Content-Type"], body))
            self.send_response(heard.answers.pop(0) if heard.answers else 202)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        heard = Hook(f"http://127.0.0.1:{server.server_address[1]}/hook?a=1")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield heard
        server.shutdown()
        thread.join()


def _is_sound(sandbox: Sandbox) -> None:
    assert sandbox.books(hashes=False)["crashes"] == []
