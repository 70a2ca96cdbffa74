"""A service to ask anything: real gunicorn, Valkey and sandbox, with jobs in every state. No worker moves them."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
from redis import Redis

from workers.identifiers import JobSubject, RenderSubject
from workers.paths import render_path, result_path
from workers.records import Record
from workers.sandbox import Sandbox, SandboxConfig
from workers.services import Services
from workers.settings import Settings
from workers.tokens import shared_token, token
from workers.wiring import build

ADMIN = "an-admin-token-of-tests"
KEY = "a-callback-key-of-tests"
ACCOUNTS = ("acme", "beta")
RECEIPT = "f" * 32
REF = "r" * 22
ROOT = Path(__file__).parents[2]
_PROGRAM = (
    "import os; from receiver import server; from workers import logs; from workers.settings import Settings; "
    "settings = Settings.from_env(os.environ); logs.configure(settings); server.run(settings)"
)
_START_S = 30.0


@dataclass(frozen=True)
class Ground:
    """``tokens``: of the door, for one job each, and the shared one."""

    url: str
    log: Path
    tokens: tuple[str, ...]


@contextlib.contextmanager
def ground(folder: Path, redis_url: str) -> Iterator[Ground]:
    with contextlib.ExitStack() as peers:
        swiftias = {name: _sandbox(name or "own") for name in ("", *ACCOUNTS)}
        for peer in swiftias.values():
            peers.callback(peer.stop)
        env = _environment(folder, redis_url, {name: peer.url for name, peer in swiftias.items()})
        with contextlib.closing(Redis.from_url(redis_url)) as redis:
            _sow(build(Settings.from_env(env), redis))
        yield from _served(folder, env)


def _sandbox(seed: str) -> Sandbox:
    return Sandbox(SandboxConfig(port=0, seed=seed, job_seconds=600, never=1.0, rate_limit="1000/1s")).start()


def _environment(folder: Path, redis_url: str, swiftias: dict[str, str]) -> dict[str, str]:
    accounts = folder / "accounts.toml"
    tables = [
        f'[{name}]\nkey = "sandbox-key"\nbase_url = "{url}"\nrate_limit = "1000/1s"'
        for name, url in swiftias.items()
        if name
    ]
    accounts.write_text("\n".join(tables))
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    return {
        "DATA_DIR": str(folder / "data"),
        "REDIS_URL": redis_url,
        "PORT": str(port),
        "ADMIN_TOKEN": ADMIN,
        "CALLBACK_KEYS": KEY,
        "SWIFTIA_ACCOUNTS": str(accounts),
        "SWIFTIA_API_KEY": "sandbox-key",
        "SWIFTIA_BASE_URL": swiftias[""],
        "SWIFTIA_RATE_LIMIT": "1000/1s",
        "DELIVERY_URL": "https://app.example.org/swiftia",
        "WEB_CONCURRENCY": "1",
        "GRACE_SECONDS": "2",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "info",
    }


def _served(folder: Path, env: dict[str, str]) -> Iterator[Ground]:
    path = folder / "web.log"
    url = f"http://127.0.0.1:{env['PORT']}"
    with path.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", _PROGRAM],
            env={**env, "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        _wait(process, url, path)
        yield Ground(url, path, (token(REF, [KEY]), token("q" * 22, [KEY]), shared_token([KEY], "acme")))
    finally:
        process.terminate()
        process.wait(20)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        with contextlib.suppress(httpx2.HTTPError):
            if httpx2.get(f"{url}/readyz", trust_env=False).status_code == 200:
                return
        time.sleep(0.05)


def _sow(services: Services) -> None:
    """Lay out a finished job with a video and a failed render, a parked one, one under way, and a callback URL."""
    ledger = services.ledger
    _finish(services, "job_1")
    for name in ("job_2", "job_3"):
        ledger.accept(ref="", job_id=name, receipt=RECEIPT, digest="d", meta={"size": 2, "account": "acme"}, body=b"{}")
    record = ledger.claim(JobSubject("job_2"), "fetch")
    assert record is not None
    ledger.move(record, "parked", reason="a test says so")
    while isinstance(delivery := ledger.take_delivery([]), Record):
        # All that is parked goes out again with the first POST /api/deliveries/retry; what is delivered stays.
        state = "delivered" if str(delivery.subject).startswith("job_1") else "parked"
        ledger.move(delivery, state, reason="a test says so", fields={"sent": 1, "status": 503})
    ledger.open_ref(REF, state="open", fields={"metadata": {"order": 7}, "account": "beta"}, due_ms=None)


def _finish(services: Services, job_id: str) -> None:
    ledger = services.ledger
    ledger.accept(ref="", job_id=job_id, receipt=RECEIPT, digest="d", meta={"size": 3}, body=b"<b>")
    document = b'{"id":"job_1","status":"COMPLETED","data":{"shorts":[{"id":1,"title":"A","startTime":0,"endTime":9}]}}'
    kept = services.artifacts.put(result_path(job_id), document)
    record = ledger.claim(JobSubject(job_id), "fetch")
    assert record is not None
    renders = [{"short": {"id": n, "title": "A"}, "request": {}} for n in (1, 2)]
    ledger.plan(record, renders, {"shorts": 2, "result_sha256": kept.sha256, "function": "VideoShorts"})
    video = services.artifacts.put(render_path(job_id, 1), bytes(range(256)) * 40)
    ends = {1: ("starting", "queued", "keeping", "kept"), 2: ("starting", "queued", "failed")}
    for n, states in ends.items():
        for state in states:
            claimed = ledger.claim(RenderSubject(job_id, n), "render")
            assert claimed is not None
            ledger.move(
                claimed, state, wait_s=60, fields={"size": video.size, "sha256": video.sha256} if n == 1 else {}
            )
