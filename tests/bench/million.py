"""``make bench-million``: what a ledger with up to a million finished jobs takes, and how fast it is asked.

A few jobs go through the whole service for real: three videos each, told to an application, their callbacks archived.
Then they are copied (``copies``) into a Valkey of its own, and at each size the same questions are asked, of a real web
process over HTTP, and callbacks are taken. That Valkey waits for no disk while it is filled, and as always while it
takes callbacks (``appendfsync always``). It never writes its file anew: after the fork that does, the first write to
each page costs a fault, which is not what is asked here.
"""

import argparse
import contextlib
import json
import os
import random
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
from redis import Redis

from receiver.benchmark import percentiles
from tests.bench.copies import Copy, Names
from tests.chaos.machine import ROOT, free_port, prepared
from tests.targets import target
from workers import keys
from workers.identifiers import JobSubject
from workers.ledger import Ledger
from workers.valkey import EmbeddedValkey

SIZES = (1_000, 10_000, 100_000, 1_000_000)
SAMPLES = 12
ASKED = 200
ACCEPTED = 2_000
PART = 5_000
TOKEN = "an-admin-token-of-a-benchmark"
DAY_MS = 86_400_000
PAST_MS = 90 * DAY_MS
RESTED_MS = 120_000


@dataclass(frozen=True)
class Originals:
    """The same jobs, just ended and as the attic has them."""

    ended: list[Copy]
    packed: list[Copy]


def real_jobs(folder: Path, *, shorts: int = 3) -> Originals:
    """Carry some jobs through the whole service, let them come to rest, pack them, and read both."""
    with target() as app:
        machine = prepared(
            folder / "real",
            SANDBOX_DIALECT="g3",
            SANDBOX_EXTRAS="false",
            SANDBOX_JOB_SECONDS="0.5",
            SANDBOX_RENDER_SECONDS="0.5",
            SANDBOX_QUEUE_SECONDS="0.2",
            SANDBOX_WEBHOOK_BODIES="whole",
            SANDBOX_RATE_LIMIT="200/1s",
            SWIFTIA_RATE_LIMIT="200/1s",
            SANDBOX_STALLS="0",
            SANDBOX_SHORTS=str(shorts),
            DELIVERY_URL=app.url,
            TRUSTED_NETWORKS="127.0.0.0/8",
        )
        machine.start()
        with contextlib.closing(machine.redis()) as redis:
            for n in range(SAMPLES):
                metadata = {"customer": 1000 + n, "order": f"A-{n:05}", "by": "newsroom"}
                machine.submit(f"sample-{n:04}", metadata=metadata, name=f"The evening news of day {n}, in full")
            machine.wait_for(lambda: at_rest(redis), 120)
            ended = finished(redis)
            ledger = Ledger(redis, now_ms=lambda: now_ms(redis) + RESTED_MS)
            while ledger.pack_one():
                pass
            packed = finished(redis)
        machine.end()
    return Originals(ended, packed)


def finished(redis: Redis) -> list[Copy]:
    return [Copy.read(redis, JobSubject(name.decode())) for name in redis.zrange("sr:jobs:finished", 0, -1)]


def at_rest(redis: Redis) -> bool:
    """Whether all have ended, all is delivered, and no body is left."""
    names = [name.decode() for name in redis.zrange("sr:jobs:finished", 0, -1)]
    told = all(
        redis.hget(f"sr:delivery:{name}!{n + 1}", "state") == b"delivered"
        for name in names
        for n in range(int(redis.hget(keys.record(JobSubject(name)), "deliveries") or 0))
    )
    return len(names) == SAMPLES and told and not any(redis.exists(keys.bodies(JobSubject(name))) for name in names)


def now_ms(redis: Redis) -> int:
    seconds, micros = redis.time()
    return int(seconds) * 1000 + int(micros) // 1000


@dataclass
class Filled:
    """A ledger with ``jobs`` finished jobs. ``names``: some of them. ``per_job``: bytes that each took."""

    redis: Redis
    jobs: int = 0
    names: tuple[tuple[str, str, str], ...] = ()
    empty: int = 0

    def fill(self, originals: list[Copy], jobs: int, *, seed: int, processes: int) -> float:
        """Copy until there are so many; answers the seconds that it took."""
        began = time.monotonic()
        self.empty = self.empty or used(self.redis)
        first_ms, socket = now_ms(self.redis) - PAST_MS, self.redis.connection_pool.connection_kwargs["path"]
        every = max(1, jobs // 500)
        parts = [range(first, min(first + PART, jobs)) for first in range(self.jobs, jobs, PART)]
        with ProcessPoolExecutor(processes) as pool:
            some = partial(copy_some, socket, originals, first_ms=first_ms, every=every, seed=seed)
            found = [pool.submit(some, part) for part in parts]
            self.names = (*self.names, *(name for one in found for name in one.result()))
        self.jobs = jobs
        return time.monotonic() - began

    def per_job(self) -> float:
        return (used(self.redis) - self.empty) / self.jobs

    def by_kind(self) -> dict[str, float]:
        """Bytes of a job by kind of key, of some jobs, and its part of the sorted sets."""
        found: dict[str, float] = {}
        some = self.names[:: max(1, len(self.names) // 50)]
        for job, ref, _ in some:
            for key in [*self.redis.keys(f"sr:*:{job}*"), f"sr:ref:{ref}".encode()] if self.jobs <= 10_000 else [
                f"sr:job:{job}".encode(), f"sr:ref:{ref}".encode()
            ]:  # fmt: skip
                kind = key.decode().split(":")[1]
                found[kind] = found.get(kind, 0) + (self.redis.memory_usage(key, samples=0) or 0) / len(some)
        for index in (keys.jobs_in("finished"), keys.ENDED):
            found[index] = (self.redis.memory_usage(index, samples=1000) or 0) / self.jobs
        return {name: round(size, 1) for name, size in found.items()}


def copy_some(
    socket: str, originals: list[Copy], part: range, *, first_ms: int, every: int, seed: int
) -> list[tuple[str, str, str]]:
    """Write the copies of those numbers, in a process of its own, and name some of them."""
    chance, names = random.Random(f"{seed}-{part.start}"), []  # noqa: S311 - a benchmark that can be repeated
    with contextlib.closing(Redis(unix_socket_path=socket)) as redis:
        pipe = redis.pipeline(transaction=False)
        for n in part:
            one = originals[n % len(originals)]
            later = first_ms + n * PAST_MS // SIZES[-1] - int(one.entries[keys.ENDED.encode()][0])
            made = one.renamed(Names(one, chance, later_ms=later))
            made.write(pipe)
            if n % every == 0:
                names.append((made.job, made.refs[0], made.titles[0].decode()))
            if n % 250 == 0:
                pipe.execute()
        pipe.execute()
    return names


def used(redis: Redis) -> int:
    return int(redis.info("memory")["used_memory"])


@contextlib.contextmanager
def server(folder: Path) -> Iterator[EmbeddedValkey]:
    found = EmbeddedValkey(folder)
    found.start()
    yield found
    found.stop()


def durable(redis: Redis, *, on: bool) -> None:
    redis.config_set("auto-aof-rewrite-percentage", 0)
    redis.config_set("appendfsync", "always" if on else "no")


def accept_ms(ledger: Ledger) -> float:
    job = f"job_{secrets.token_hex(6)}"
    meta = {"from": "127.0.0.1", "size": 600, "type": "application/json", "agent": "sandbox", "hint": job}
    began = time.perf_counter()
    ledger.accept(
        ref="", job_id=job, receipt=secrets.token_hex(16), digest=secrets.token_hex(32), meta=meta, body=b"x" * 600
    )
    return (time.perf_counter() - began) * 1000


def accepting(full: Redis, empty: Redis, count: int) -> dict[str, Any]:
    """Take callbacks of new jobs in turns, here and in an empty ledger; then forget them."""
    ledgers = {"full": Ledger(full), "empty": Ledger(empty)}
    for ledger in ledgers.values():
        for _ in range(50):
            accept_ms(ledger)
    raw = {name: [accept_ms(ledger) for _ in range(1)] for name, ledger in ledgers.items()}
    for _ in range(count):
        for name, ledger in ledgers.items():
            raw[name].append(accept_ms(ledger))
    found = {name: percentiles(values) for name, values in raw.items()}
    ratio = {of: round(float(found["full"][of]) / float(found["empty"][of]), 3) for of in ("p50", "p95")}
    for ledger, redis in ((ledgers["full"], full), (ledgers["empty"], empty)):
        for name in redis.zrange("sr:jobs:fetching", 0, -1):
            ledger.erase(JobSubject(name.decode()))
        redis.delete("rq:queue:upstream")
    return {"ms": found, "ratio": ratio, "raw": raw}


@contextlib.contextmanager
def web(folder: Path, redis_url: str) -> Iterator[httpx2.Client]:
    """Run the web processes of the service over that ledger."""
    env = {
        **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
        "PYTHONPATH": str(ROOT),
        "PORT": str(free_port()),
        "DATA_DIR": str(folder / "web"),
        "REDIS_URL": redis_url,
        "ADMIN_TOKEN": TOKEN,
        "SWIFTIA_API_KEY": "nobody-is-asked",
        "LOG_LEVEL": "warning",
    }
    process = subprocess.Popen([sys.executable, "-P", "-m", "receiver", "web"], cwd=folder, env=env)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    url = f"http://127.0.0.1:{env['PORT']}"
    with httpx2.Client(base_url=url, headers=headers, timeout=30, trust_env=False) as client:
        for _ in range(300):
            with contextlib.suppress(httpx2.HTTPError):
                if client.get("/readyz").status_code == 200:
                    break
            time.sleep(0.1)
        yield client
    process.terminate()
    process.wait(60)


def questions(filled: Filled, chance: random.Random) -> dict[str, Callable[[], str]]:
    """What is asked, by name; each time of another job."""

    def one() -> tuple[str, str, str]:
        return chance.choice(filled.names)

    def since() -> int:
        return now_ms(filled.redis) - chance.randrange(PAST_MS)

    return {
        "list": lambda: "/api/jobs?limit=50",
        "list, by state, from any time on": lambda: f"/api/jobs?limit=50&state=finished&until={since()}",
        "list, of a customer": lambda: f"/api/jobs?limit=50&metadata.customer={1000 + chance.randrange(SAMPLES)}",
        "list, of a customer who is not there": lambda: "/api/jobs?limit=50&metadata.customer=nobody",
        "search, id": lambda: f"/api/jobs?q={one()[0]}",
        "search, ref": lambda: f"/api/jobs?q={one()[1]}",
        "search, metadata": lambda: f"/api/jobs?q=order=A-{chance.randrange(SAMPLES):05}",
        "search, a word that is nowhere": lambda: "/api/jobs?q=nowhere",
        "search, words of a title": lambda: f"/api/jobs?q={one()[2][:20]}",
        "job": lambda: f"/api/jobs/{one()[0]}",
        "job, by ref": lambda: f"/api/jobs/{one()[1]}",
        "metrics": lambda: "/metrics",
    }


def asking(client: httpx2.Client, filled: Filled, chance: random.Random, count: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, question in questions(filled, chance).items():
        raw = []
        for n in range(count + 5):
            path = question()
            began = time.perf_counter()
            answer = client.get(path)
            took = (time.perf_counter() - began) * 1000
            assert answer.status_code == 200, (path, answer.text)
            if n >= 5:
                raw.append(round(took, 2))
        found[name] = {"ms": percentiles(raw), "raw": raw}
    return found


def measured(
    filled: Filled, empty: Redis, folder: Path, chance: random.Random, args: argparse.Namespace
) -> dict[str, Any]:
    result: dict[str, Any] = {
        "jobs": filled.jobs,
        "bytes_per_job": round(filled.per_job(), 1),
        "by_kind": filled.by_kind(),
    }
    durable(filled.redis, on=True)
    result["accept"] = accepting(filled.redis, empty, args.accepted)
    durable(filled.redis, on=False)
    path = filled.redis.connection_pool.connection_kwargs["path"]
    with web(folder, f"unix://{path}") as client:
        result["asked"] = asking(client, filled, chance, args.asked)
    return result


def show(result: dict[str, Any]) -> None:
    accept = result["accept"]
    sys.stdout.write(f"\n{result['jobs']:,} jobs: {result['bytes_per_job']} bytes each  {result['by_kind']}" + "\n")
    sys.stdout.write(f"  accept: {accept['ms']} of an empty one: {accept['ratio']}" + "\n")
    for name, one in result["asked"].items():
        sys.stdout.write(f"  {name:42} p50 {one['ms']['p50']:8.1f} ms   p95 {one['ms']['p95']:8.1f} ms" + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-million")
    parser.add_argument("--jobs", type=int, default=SIZES[-1], help="the largest size (1000000)")
    parser.add_argument("--only", action="store_true", help="measure at that size alone, not at the smaller ones too")
    parser.add_argument("--asked", type=int, default=ASKED, help="how often each question is asked (200)")
    parser.add_argument("--accepted", type=int, default=ACCEPTED, help="how many callbacks are taken (2000)")
    parser.add_argument("--processes", type=int, default=2, help="that copy (2)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write all numbers, the raw ones too, to this file")
    args = parser.parse_args()
    chance = random.Random(args.seed)  # noqa: S311 - a benchmark that can be repeated
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        originals = real_jobs(folder).packed
        with server(folder / "full") as full, server(folder / "empty") as empty:
            filled, other = Filled(Redis.from_url(full.url)), Redis.from_url(empty.url)
            durable(filled.redis, on=False)
            results = []
            smaller = set() if args.only else {size for size in SIZES if size < args.jobs}
            for size in sorted(smaller | {args.jobs}):
                took = filled.fill(originals, size, seed=args.seed, processes=args.processes)
                results.append({**measured(filled, other, folder, chance, args), "filled_s": round(took, 1)})
                show(results[-1])
                if args.json:
                    args.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
