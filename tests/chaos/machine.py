"""The product itself, in processes: ``up`` in an empty folder, seen from outside, with hands to hurt it."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from redis import Redis

from workers.valkey import socket_path

ROOT = Path(__file__).resolve().parents[2]
SETTLED = ("finished", "failed", "parked")
STATES = ("waiting", "fetching", "rendering", *SETTLED)
# For a machine with a sandbox that takes no time and allows much.
QUICK = {
    "RECONCILE_AFTER": "1s",
    "SANDBOX_RATE_LIMIT": "1000/1s",
    "SANDBOX_JOB_SECONDS": "0.2",
    "SANDBOX_RENDER_SECONDS": "0.2",
    "SANDBOX_QUEUE_SECONDS": "0",
}
# One process of each kind: starting them takes most of the time of most tests. A test that needs more says so.
_FEW = {"WORKERS": "2", "WEB_CONCURRENCY": "1"}


@dataclass
class Machine:
    """One running ``up``."""

    folder: Path
    env: Mapping[str, str]
    up: subprocess.Popen[bytes] = field(init=False)
    http: httpx2.Client = field(init=False)

    def start(self, patience: float = 60) -> None:
        log = (self.folder / "up.log").open("ab")
        self.up = subprocess.Popen(
            [sys.executable, "-P", "-m", "receiver", "up"], cwd=self.folder, env=self.env, stdout=log, stderr=log
        )
        log.close()
        self.http = httpx2.Client(base_url=f"http://127.0.0.1:{self.env['PORT']}", timeout=30, trust_env=False)
        self.wait_for(self.ready, patience)
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
            assert time.monotonic() < deadline, f"not within {timeout} s\n{self.counts()}\n{self.log()[-4000:]}"
            time.sleep(every)
            every = min(every * 1.2, max(every, 0.5))  # looking takes from what is looked at
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
                headers = {"Idempotency-Key": f"key-{video}"}
                answer = self.http.post("/api/jobs", json=body, headers=headers)
                if answer.status_code < 300 and answer.json()["id"]:
                    return dict(answer.json())
                may_come_again = answer.status_code in (202, 409, 429) or answer.status_code >= 500
                assert may_come_again, f"{answer.status_code}: {answer.text}"
            time.sleep(0.3)
        raise AssertionError(f"{video} could not be submitted")

    def submit_many(self, videos: list[str]) -> list[str]:
        with ThreadPoolExecutor(4) as pool:
            return [answer["id"] for answer in pool.map(self.submit, videos)]

    def job(self, job_id: str) -> dict[str, Any]:
        for _ in range(20):
            # A web process that was hurt before may be replaced only now.
            with contextlib.suppress(httpx2.HTTPError):
                return dict(self.http.get(f"/api/jobs/{job_id}").json())
            time.sleep(0.2)
        raise AssertionError("the API does not answer")

    def counts(self) -> dict[str, int]:
        with contextlib.suppress(Exception), self.redis() as redis:
            return {state: redis.zcard(f"sr:jobs:{state}") for state in STATES}
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
        while more := {pid for pid, (ppid, _) in found.items() if ppid in below} - below:
            below |= more
        return {pid: self._kind(pid, found) for pid in below & found.keys()}

    def _kind(self, pid: int, found: dict[int, tuple[int, str]]) -> str:
        ppid, args = found[pid]
        if "valkey-server" in args:
            return "valkey"
        for word in ("web", "clock", "sandbox", "worker"):
            if f"receiver {word}" in args:
                forked = f"receiver {word}" in found.get(ppid, (0, ""))[1]
                return {"web": "web worker", "worker": "work-horse"}.get(word, word) if forked else word
        return "other"

    def pick(self, kind: str, chance: random.Random) -> int | None:
        """Return the pid of one process of that kind, if there is one."""
        pids = [pid for pid, name in self.processes().items() if name == kind]
        return chance.choice(sorted(pids)) if pids else None

    def kill(self, kind: str, chance: random.Random) -> int | None:
        pid = self.pick(kind, chance)
        if pid is not None:
            send(pid, signal.SIGKILL)
        return pid


def send(pid: int, number: int) -> bool:
    """Send a signal; tell whether the process was still there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


def parent_of(pid: int) -> int | None:
    with contextlib.suppress(OSError, IndexError, ValueError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return None


def _every_process() -> Iterator[tuple[int, tuple[int, str]]]:
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            parent = parent_of(int(folder.name))
            if parent is not None:
                yield int(folder.name), (parent, words)


def free_port() -> int:
    """Pick a port below those that outgoing connections use: one of these may take it before ``up`` does."""
    while True:
        port = random.SystemRandom().randrange(11_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def started(folder: Path, **env: str) -> Machine:
    """Start ``up`` in a new folder; arguments are environment variables."""
    made = prepared(folder, **env)
    made.start()
    return made


def prepared(folder: Path, **env: str) -> Machine:
    folder.mkdir(exist_ok=True)
    # The machine's own variables would tell the product what to do.
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    ports = {"PORT": str(free_port()), "SANDBOX_PORT": str(free_port())}
    return Machine(folder, {**inherited, "PYTHONPATH": str(ROOT), **ports, "LOG_FORMAT": "json", **_FEW, **env})
