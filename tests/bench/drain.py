"""``make bench-drain``: how fast a backlog of callbacks becomes kept results, where no budget holds anything up.

    shift    a work-horse for up to 5 s or 1,000 steps, as the service runs it
    fork     a work-horse for each step
    SimpleWorker, Worker    RQ's own, on a function that does nothing: what there is to gain at most

Each is run with 1, 2, 4 and 8 worker processes, in turns, for some seconds of a backlog that outlasts them. A callback
costs one request to the sandbox (in this process), two files and the writes of the ledger (``appendfsync always``).
Beside it the memory of each process, in the middle of a run, and the CPU of the workers for each of what was done, with
the horses that have ended (so for a shift it tells too little); and what of the machine's time went to others, where it
is a virtual one and its host says so. Before all that: what the service asks Redis while it has nothing to do.
"""

import argparse
import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from redis import Redis
from rq import Queue, SimpleWorker, Worker
from rq.serializers import JSONSerializer

from receiver.cli import UNTIL_LOOK
from tests.bench.idle import idle, told
from tests.chaos.machine import ROOT
from workers import logs
from workers.clock import run_clock
from workers.ledger import Ledger
from workers.notify import Notifier
from workers.sandbox import Sandbox, SandboxConfig
from workers.settings import Settings
from workers.shift import SHIFT_S, SHIFT_STEPS, Length
from workers.valkey import EmbeddedValkey
from workers.work import UPSTREAM
from workers.worker import run_worker

WORKERS = (1, 2, 4, 8)
RATE = "100000/1s"
NOTHING = "time.monotonic"
LENGTHS = {"shift": Length(SHIFT_S, SHIFT_STEPS), "fork": Length(SHIFT_S, 1)}
OWN_OF_RQ = {"SimpleWorker": SimpleWorker, "Worker": Worker}
KINDS = (*LENGTHS, *OWN_OF_RQ)
PATIENCE_S = 60.0


def role(name: str) -> None:
    """Be one process of a run."""
    if name in OWN_OF_RQ:
        redis = Redis.from_url(os.environ["REDIS_URL"])
        worker = OWN_OF_RQ[name]([name], connection=redis, serializer=JSONSerializer, log_job_description=False)
        worker.work(logging_level="ERROR")
        return
    gc.set_threshold(UNTIL_LOOK)
    settings = Settings.from_env(os.environ)
    logs.configure(settings)
    if name == "clock":
        run_clock(settings, Notifier(None))
    else:
        run_worker(settings, UPSTREAM, Notifier(None), shift=LENGTHS[name])


@contextlib.contextmanager
def processes(names: Sequence[str], env: Mapping[str, str], log: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    with log.open("ab") as out:
        command = [sys.executable, "-m", "tests.bench.drain", "--role"]
        started = [
            subprocess.Popen([*command, name], cwd=ROOT, env={**os.environ, **env}, stdout=out, stderr=out)  # noqa: S603
            for name in names
        ]
    try:
        yield started
    finally:
        for process in started:
            process.send_signal(signal.SIGTERM)
        for process in started:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def memory(pid: int) -> dict[str, float]:
    """RSS and PSS of a process, in MiB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    lines = {line.split()[0]: int(line.split()[1]) for line in text.splitlines()[1:]}
    return {"rss": round(lines["Rss:"] / 1024, 1), "pss": round(lines["Pss:"] / 1024, 1)}


def memories(started: Mapping[str, int]) -> dict[str, dict[str, float]]:
    """Of the processes of a run and of the children that they have just now."""
    found = {}
    for name, pid in started.items():
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            found[name] = memory(pid)
            for n, child in enumerate(children):
                found[f"{name} horse {n}"] = memory(int(child))
    return found


def cpu_s(pids: Sequence[int]) -> float:
    """What processes, and their children that have ended, have spent by now."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def stolen() -> tuple[int, int]:
    """The time that the host gave to others while this machine wanted it, and all time of its cores, in ticks."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]]
    return ticks[7], sum(ticks)


def wait_for(condition: Any, what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {PATIENCE_S:g} s: {what}")
        time.sleep(0.02)


def made(sandbox: Sandbox, count: int) -> list[str]:
    """Jobs that the sandbox has done already."""
    with httpx2.Client(base_url=sandbox.url, headers={"Authorization": "Bearer sandbox-key"}, trust_env=False) as http:
        body = {"functionName": "VideoShorts", "youtubeVideoId": "drain-00001", "options": {}}
        return [http.post("/api/jobs", json=body).raise_for_status().json()["id"] for _ in range(count)]


@dataclass(frozen=True)
class Load:
    """The same for all runs. ``folder``: with room for one folder of each."""

    jobs: Sequence[str]
    sandbox: Sandbox
    seconds: float
    folder: Path


def one(kind: str, workers: int, load: Load) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix=f"{kind}-{workers}-", dir=load.folder))
    server = EmbeddedValkey(folder / "valkey")
    server.start()
    try:
        with contextlib.closing(Redis.from_url(server.url)) as redis:
            return _measured(kind, workers, load, redis=redis, server=server, folder=folder)
    finally:
        server.stop()


def _measured(
    kind: str,
    workers: int,
    load: Load,
    *,
    redis: Redis,
    server: EmbeddedValkey,
    folder: Path,
) -> dict[str, Any]:
    jobs = load.jobs
    env = {
        "REDIS_URL": server.url,
        "DATA_DIR": str(folder / "data"),
        "SWIFTIA_API_KEY": "sandbox-key",
        "SWIFTIA_BASE_URL": load.sandbox.url,
        "SWIFTIA_RATE_LIMIT": RATE,
        "LOG_FORMAT": "json",
    }
    names = [kind] * workers
    if kind in OWN_OF_RQ:
        queue = Queue(kind, connection=redis, serializer=JSONSerializer)
        for _ in jobs:
            queue.enqueue(NOTHING, result_ttl=0)
        left = lambda: redis.llen(f"rq:queue:{kind}")  # noqa: E731 - the one thing the two have in common
    else:
        ledger = Ledger(redis)
        for n, job in enumerate(jobs):
            ledger.accept(ref="", job_id=job, receipt=f"rc-{n}", digest=str(n), meta={}, body=b"{}")
        names.append("clock")
        left = lambda: len(jobs) - redis.zcard("sr:jobs:finished")  # noqa: E731
    with processes(names, env, folder / "log") as started:
        wait_for(lambda: redis.scard("rq:workers") == workers, f"{workers} workers")
        wait_for(lambda: left() < len(jobs), f"the first one done; {(folder / 'log').read_text()[-2000:]}")
        pids = [process.pid for process in started[:workers]]
        before, spent, began, taken = left(), cpu_s(pids), time.monotonic(), stolen()
        seen: dict[str, dict[str, float]] = {}
        while (passed := time.monotonic() - began) < load.seconds and left() > 0:
            if not seen and passed > load.seconds / 2:
                seen = memories(
                    {f"{name} {n}": process.pid for n, (name, process) in enumerate(zip(names, started, strict=True))}
                )
                seen["valkey"] = memory(server.pid)
            time.sleep(0.1)  # a question too many costs the workers a step
        done, took, spent = before - left(), time.monotonic() - began, cpu_s(pids) - spent
        others, ticks = (now - then for now, then in zip(stolen(), taken, strict=True))
    return {
        "kind": kind,
        "workers": workers,
        "done": done,
        "seconds": round(took, 2),
        "per_s": round(done / took, 1),
        "cpu_ms": round(1000 * spent / max(1, done), 1),
        "stolen": round(others / max(1, ticks), 4),
        "MiB": seen,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--role", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each run is looked at (5)")
    parser.add_argument("--jobs", type=int, default=3000, help="how many wait at its beginning (3000)")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--workers", type=int, nargs="+", default=WORKERS, help="how many at once (1 2 4 8)")
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS, help="which of them (all)")
    parser.add_argument("--idle", type=float, default=30.0, help="how long an idle service is looked at (30); 0: not")
    parser.add_argument("--json", type=Path, help="write the raw numbers there")
    given = parser.parse_args()
    if given.role:
        role(given.role)
        return
    at_rest = idle(given.idle) if given.idle else None
    if at_rest:
        sys.stdout.write(told(at_rest) + "\n")
    runs = []
    calm: dict[str, Any] = {"job_seconds": 0.0, "shorts": 0, "rate_limit": RATE, "dialect": "g3", "never": 1.0}
    # All is deleted at the end, not after each run: a file system without a journal looks past every file that was
    # deleted in the last minutes before it makes one, and a run would pay for those before it.
    with Sandbox(SandboxConfig(port=0, seed="drain", **calm)) as sandbox, tempfile.TemporaryDirectory() as folder:
        load = Load(made(sandbox, given.jobs), sandbox, given.seconds, Path(folder))
        for _ in range(given.rounds):
            for workers in given.workers:
                for kind in given.kinds:
                    run = one(kind, workers, load)
                    runs.append(run)
                    worker = next((seen["rss"] for name, seen in run["MiB"].items() if name == f"{kind} 0"), "-")
                    sys.stdout.write(f"{kind:13} {workers} workers {run['per_s']:8.1f}/s   ")
                    sys.stdout.write(f"{run['cpu_ms']:6.1f} ms of CPU each   {100 * run['stolen']:4.1f} % stolen   ")
                    sys.stdout.write(f"worker {worker} MiB\n")
                    sys.stdout.flush()
    if given.json:
        given.json.write_text(json.dumps({"load_average": os.getloadavg(), "idle": at_rest, "runs": runs}, indent=1))


if __name__ == "__main__":
    main()
