"""The service as the limiter's benchmark runs it: its settings, its machines, its Redis, and what it has to do."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
from redis import Redis

from tests.bench.scores import ALLOWED
from tests.chaos.machine import Machine
from workers.sandbox import Sandbox
from workers.valkey import EmbeddedValkey, socket_path

WARM_UP_S = 5.0


@dataclass
class Load:
    """Jobs enough: a half of them at once, the rest bit by bit. A job with three shorts takes some nine requests."""

    http: httpx2.Client
    seconds: float
    account: str | None = None
    made: int = 0

    def __call__(self, passed: float) -> None:
        jobs = ALLOWED * (self.seconds + WARM_UP_S) / 6
        while self.made < jobs * (0.5 + 0.5 * passed / self.seconds):
            body = {"functionName": "VideoShorts", "youtubeVideoId": f"limit-{self.made:05}"}
            told = body if self.account is None else {**body, "account": self.account}
            self.http.post("/api/jobs", json=told, headers={"Prefer": "respond-async"}).raise_for_status()
            self.made += 1


def environment(sandbox: Sandbox, url: str) -> dict[str, str]:
    return {
        "SWIFTIA_API_KEY": "sandbox-key",
        "SWIFTIA_BASE_URL": url,
        "SWIFTIA_RATE_LIMIT": sandbox.config.rate_limit,
        "TRUSTED_NETWORKS": "127.0.0.0/8",
        "RECONCILE_AFTER": "5s",
        "RETRY_BASE": "200ms",
        "RETRY_CAP": "5s",
        "MAX_ATTEMPTS": "60",
        "KEEP_VIDEOS": "false",
        "WEB_CONCURRENCY": "1",
        "WORKERS": "8",
    }


@contextlib.contextmanager
def running(*machines: Machine) -> Iterator[None]:
    try:
        for machine in machines:
            machine.start()
        yield
    finally:
        for machine in machines:
            if hasattr(machine, "up"):
                machine.end()


def own_redis(machine: Machine) -> Redis:
    return Redis(unix_socket_path=str(socket_path(machine.folder / "data" / "valkey")))


@contextlib.contextmanager
def valkey(folder: Path) -> Iterator[str]:
    server = EmbeddedValkey(folder / "valkey")
    server.start()
    try:
        yield server.url
    finally:
        server.stop()
