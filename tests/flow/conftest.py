"""The product itself, in processes: ``up`` in an empty folder, the sandbox beside it, and hands to kill with."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from redis import Redis

from workers.valkey import socket_path

ROOT = Path(__file__).resolve().parents[2]
SETTLED = {"finished", "failed", "parked"}


@dataclass
class Machine:
    """One running ``up``."""

    folder: Path
    env: dict[str, str]
    up: subprocess.Popen[bytes] = field(init=False)
    http: httpx2.Client = field(init=False)

    def start(self) -> None:
        log = (self.folder / "up.log").open("ab")
        self.up = subprocess.Popen(
            [sys.executable, "-P", "-m", "receiver", "up"], cwd=self.folder, env=self.env, stdout=log, stderr=log
        )
        log.close()
        self.http = httpx2.Client(base_url=f"http://127.0.0.1:{self.env['PORT']}", timeout=30, trust_env=False)
        self.wait_for(self.ready, 60)
        token = (self.folder / "data" / "admin-token").read_text().strip()
        self.http.headers["Authorization"] = f"Bearer {token}"

    def ready(self) -> bool:
        assert self.up.poll() is None, self.log()[-3000:]
        try:
            return self.http.get("/readyz").status_code == 200
        except httpx2.HTTPError:
            return False

    def wait_for(self, condition: Callable[[], Any], timeout: float, every: float = 0.1) -> Any:
        deadline = time.monotonic() + timeout
        while not (value := condition()):
            if time.monotonic() > deadline:
                pytest.fail(f"not within {timeout} s\n{self.counts()}\n{self.log()[-4000:]}")
            time.sleep(every)
        return value

    def stop(self) -> int:
        self.http.close()
        self.up.send_signal(signal.SIGTERM)
        return self.up.wait(90)

    def end(self) -> None:
        if self.up.poll() is None:
            self.stop()
        self.http.close()

    def log(self) -> str:
        return (self.folder / "up.log").read_text(errors="replace")

    # The service from outside

    def submit(self, video: str, **more: object) -> dict[str, Any]:
        """Submit a job the way a patient application does: with a key, again when told to come later."""
        body = {"functionName": "VideoShorts", "youtubeVideoId": video, **more}
        for _ in range(200):
            with contextlib.suppress(httpx2.HTTPError):
                answer = self.http.post("/api/jobs", json=body, headers={"Idempotency-Key": f"key-{video}"})
                if answer.status_code < 300 and answer.json()["id"]:
                    return dict(answer.json())
                if answer.status_code not in (202, 409, 429) and answer.status_code < 500:
                    pytest.fail(f"{answer.status_code}: {answer.text}")
            time.sleep(0.3)
        pytest.fail(f"{video} could not be submitted")

    def submit_many(self, videos: list[str]) -> list[str]:
        with ThreadPoolExecutor(4) as pool:
            return [answer["id"] for answer in pool.map(self.submit, videos)]

    def job(self, job_id: str) -> dict[str, Any]:
        return dict(self.http.get(f"/api/jobs/{job_id}").json())

    def counts(self) -> dict[str, int]:
        with contextlib.suppress(Exception), self.redis() as redis:
            return {state: redis.zcard(f"sr:jobs:{state}") for state in ("waiting", "fetching", "rendering", *SETTLED)}
        return {}

    def all_settled(self, number: int) -> bool:
        counts = self.counts()
        return bool(counts) and sum(counts[state] for state in SETTLED) >= number

    def redis(self) -> Redis:
        return Redis(unix_socket_path=str(socket_path(self.folder / "data" / "valkey")))

    # The sandbox

    @property
    def sandbox(self) -> str:
        return f"http://127.0.0.1:{self.env['SANDBOX_PORT']}"

    def books(self) -> dict[str, Any]:
        return dict(httpx2.get(f"{self.sandbox}/__books", timeout=60, trust_env=False).json())

    # Processes

    def processes(self) -> dict[int, str]:
        """Every process below ``up`` by its pid, with what it is."""
        found = dict(_every_process())
        below = {self.up.pid}
        while True:
            more = {pid for pid, (ppid, _) in found.items() if ppid in below} - below
            if not more:
                break
            below |= more
        return {pid: self._kind(pid, found) for pid in below}

    def _kind(self, pid: int, found: dict[int, tuple[int, str]]) -> str:
        ppid, args = found[pid]
        if "valkey-server" in args:
            return "valkey"
        for word in ("web", "clock", "sandbox", "worker"):
            if f"receiver {word}" in args:
                forked = f"receiver {word}" in found.get(ppid, (0, ""))[1]
                return {"web": "web worker", "worker": "work-horse"}.get(word, word) if forked else word
        return "other"

    def kill(self, kind: str, chance: random.Random) -> int | None:
        pids = [pid for pid, name in self.processes().items() if name == kind]
        if not pids:
            return None
        pid = chance.choice(sorted(pids))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return pid


def _every_process() -> Iterator[tuple[int, tuple[int, str]]]:
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            yield int(folder.name), (parent, words)


def free_port() -> int:
    """Pick a port below those that outgoing connections use: one of these may take it before ``up`` does."""
    while True:
        port = random.SystemRandom().randrange(11_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def started(folder: Path, **env: str) -> Machine:
    folder.mkdir()
    # The machine's own variables would tell the product what to do.
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    ports = {"PORT": str(free_port()), "SANDBOX_PORT": str(free_port())}
    made = Machine(folder, {**inherited, "PYTHONPATH": str(ROOT), **ports, "LOG_FORMAT": "json", **env})
    made.start()
    return made


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Callable[..., Machine]]:
    """Start ``up`` in an empty folder; arguments are environment variables."""
    running: list[Machine] = []

    def start(**env: str) -> Machine:
        running.append(started(tmp_path / f"machine-{len(running)}", **env))
        return running[-1]

    yield start
    for made in running:
        made.end()


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """One ``up`` for a module's tests, with a sandbox that is quick and a budget that is large."""
    made = started(
        tmp_path_factory.mktemp("quick") / "machine",
        RECONCILE_AFTER="1s",
        SANDBOX_RATE_LIMIT="1000/1s",
        SANDBOX_JOB_SECONDS="0.3",
        SANDBOX_RENDER_SECONDS="0.3",
        SANDBOX_QUEUE_SECONDS="0",
    )
    yield made
    made.end()


@pytest.fixture
def balanced() -> Callable[..., None]:
    return check_books


def check_books(machine: Machine, jobs: list[str], *, doubled_only_when_unsure: bool = False) -> None:
    """Hold our books against the sandbox's: every job ended, every short rendered once, every file whole."""
    books = machine.books()
    assert books["unknown_targets"] == 0
    assert books["crashes"] == []
    with machine.redis() as redis:
        due = [member for key in redis.keys("sr:due:*") for member in redis.zrange(key, 0, -1)]
        assert due == []
    for job_id in jobs:
        job = machine.job(job_id)
        assert job["state"] == "finished", json.dumps(job, indent=1)
        started = books["renders_per_short"].get(job_id, {})
        assert len(started) == len(job["renders"]) == len(job["shorts"])
        unsure = sum(event["event"] == "render.unsure" for event in job["timeline"])
        allowed = unsure if doubled_only_when_unsure else 0
        assert sum(started.values()) - len(started) <= allowed, (job_id, started, job["timeline"])
        for render in job["renders"]:
            theirs = books["renders"][render["render_id"]]
            assert (render["state"], render["sha256"]) == ("kept", theirs["sha256"])
            path = machine.folder / "data" / "artifacts" / "jobs" / job_id / "renders" / f"{render['n']}.mp4"
            assert path.stat().st_size == render["size"] == theirs["file_bytes"]
