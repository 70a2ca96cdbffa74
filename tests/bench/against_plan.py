"""``make bench-budget ARGS=--plan``: what ``swiftia-receiver plan`` says, held against the service in real processes.

Both get the same numbers, in the sandbox's faster time, and as many jobs. The service runs against the sandbox, once;
the plan draws its own luck, many times: in the range of these one run should lie. Beside it what the processes take in
memory and processor time, for the figures that the plan goes by.
"""

import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.bench.held import held
from tests.chaos.machine import Machine, prepared
from tests.chaos.recovery import percentile
from workers.limits import RateLimit
from workers.planning.account import Account
from workers.planning.load import DAY_S, Load
from workers.planning.tally import Tally, mean, part
from workers.sandbox import Sandbox, SandboxConfig

SCALE = float(os.environ.get("BENCH_SCALE", "4"))
JOBS = int(os.environ.get("BENCH_JOBS", "80"))
EVERY_S = float(os.environ.get("BENCH_EVERY", "4.0"))
SHORTS = 3
SEEDS = 20
ROUTES = {"POST /api/jobs": "submit", "GET /api/jobs/{id}": "fetch", "POST /api/render": "render"}


def load(answer_s: float) -> Load:
    return Load(
        limit=RateLimit(round(SCALE), 1000),
        jobs_per_day=DAY_S / EVERY_S,
        shorts=SHORTS,
        render_median_s=75 / SCALE,
        job_s=180 / SCALE,
        answer_s=answer_s,
    )


def sandbox() -> Sandbox:
    config = SandboxConfig(
        port=0,
        seed="plan",
        dialect="g3",
        webhook_bodies="whole",
        rate_limit=f"{round(SCALE)}/1s",
        shorts=SHORTS,
        job_seconds=180,
        queue_seconds=0,
        render_seconds=75,
        render_tail=0.9,
        time_scale=1 / SCALE,
        film_bytes="20000-20000",
    )
    return Sandbox(config)


def main() -> int:
    with sandbox() as peer, TemporaryDirectory() as folder:
        machine = prepared(
            Path(folder) / "plan",
            SWIFTIA_API_KEY="sandbox-key",
            SWIFTIA_BASE_URL=peer.url,
            SWIFTIA_RATE_LIMIT=peer.config.rate_limit,
            SANDBOX_PORT=peer.url.rsplit(":", 1)[1],
            LOG_FORMAT="json",
            TRUSTED_NETWORKS="127.0.0.0/8",
        )
        machine.start()
        idle = taken(machine)
        found = carried(machine, peer)
        found["processes"] = {"idle": idle, "after": taken(machine)}
        answer_s = step_s(machine)
        machine.end()
    # A request takes what the service and this machine make of it: the sandbox answers in a few milliseconds.
    foretold = [Account(load(answer_s), random.Random(seed), jobs=JOBS).run() for seed in range(SEEDS)]  # noqa: S311 - dice
    sys.stdout.write(f"a watch takes {answer_s:.3f} s from its beginning to its end\n")
    tell("requests a job", sum(found["requests"].values()), [each.requests_per_job for each in foretold])
    for name, count in found["requests"].items():
        tell(f"  {name}", count, [each.requests[name] / JOBS for each in foretold])
    tell("looks a render", found["looks"], [mean(each.looks) for each in foretold])
    for name, of in NOTICED.items():
        tell(f"done to noticed, {name} s", found["late"][name], [of(each) for each in foretold])
    tell("done to kept, mean s", found["kept"], [mean(each.noticed_s) for each in foretold])
    tell("requests a second", found["per_s"], [each.sent_per_s for each in foretold])
    tell("mean render s", found["took"], [mean(each.took_s) for each in foretold])
    sys.stdout.write(f"{json.dumps(found['processes'])}\nRedis bytes a job with its renders: {found['bytes']:.0f}\n")
    return 0


NOTICED: dict[str, Callable[[Tally], float]] = {
    "mean": lambda tally: mean(tally.noticed_s),
    "p50": lambda tally: part(tally.noticed_s, 0.5),
    "p95": lambda tally: part(tally.noticed_s, 0.95),
}


def tell(what: str, real: float, foretold: list[float]) -> None:
    low, high = min(foretold), max(foretold)
    sys.stdout.write(f"{what:24} service {real:7.2f}   plan {mean(foretold):7.2f}, {low:.2f} to {high:.2f}\n")


def carried(machine: Machine, peer: Sandbox) -> dict[str, Any]:
    """Submit at random times, and wait for the end of all."""
    chance = random.Random("plan")  # noqa: S311 - dice
    at = began = time.monotonic()
    for number in range(JOBS):
        time.sleep(max(0.0, at - time.monotonic()))
        body = {"functionName": "VideoShorts", "youtubeVideoId": f"plan-{number:04}"}
        machine.http.post("/api/jobs", json=body, headers={"Prefer": "respond-async"}).raise_for_status()
        at += chance.expovariate(1 / EVERY_S)
    came_s = time.monotonic() - began
    sent = sum(calls(peer).values())
    machine.wait_for(lambda: machine.all_settled(JOBS), 600, every=0.5)
    books = peer.books(hashes=False)
    late = moments(machine, books, "render.done")
    rows = books["renders"].values()
    return {
        "requests": {name: count / JOBS for name, count in calls(peer).items()},
        "looks": statistics.fmean(row["polls"] for row in rows),
        "late": {"mean": statistics.fmean(late), "p50": percentile(late, 0.5), "p95": percentile(late, 0.95)},
        "took": statistics.fmean(row["ends_at"] - row["created_at"] for row in rows),
        "kept": statistics.fmean(moments(machine, books, "render.kept")),
        "per_s": sent / came_s,
        "bytes": memory(machine),
    }


def moments(machine: Machine, books: dict[str, Any], event: str) -> list[float]:
    """Seconds from the end of each render at Swiftia until the event of that name."""
    found = []
    with machine.redis() as redis:
        for job in books["jobs"]:
            whole = held(redis, job)
            for entry in whole.timeline:
                if entry["event"] == event:
                    render = whole.renders[entry["render"] - 1][b"render_id"].decode()
                    found.append(entry["at"] / 1000 - books["renders"][render]["ends_at"])
    return found


def memory(machine: Machine) -> float:
    """Bytes in Redis for each job with its renders, as they are now: packed or not."""
    with machine.redis() as redis:
        sizes = [redis.memory_usage(key, samples=0) for key in redis.scan_iter("sr:*", count=1000)]
    return sum(sizes) / JOBS


def step_s(machine: Machine) -> float:
    """Mean seconds of a watch from its beginning to its end, the wait for its slot included."""
    lines = [json.loads(line) for line in machine.log().splitlines() if '"step.attempted"' in line]
    return statistics.fmean(line["ms"] / 1000 for line in lines if line["step"] == "watch")


def calls(peer: Sandbox) -> dict[str, int]:
    """By class, as the sandbox counts them."""
    found = dict.fromkeys(("submit", "fetch", "render", "watch"), 0)
    for route, endings in peer.books(hashes=False)["requests"].items():
        name = next((name for path, name in ROUTES.items() if route == path), "")
        if not name and route.startswith("GET /api/render"):
            name = "watch"
        if not name and route.startswith("GET /api/jobs"):
            name = "fetch"
        if name:
            found[name] += sum(endings.values())
    return found


def taken(machine: Machine) -> dict[str, dict[str, float]]:
    """By kind of process: how many, MiB of their own (proportional set size), and processor seconds so far."""
    found: dict[str, dict[str, float]] = {}
    for pid, kind in machine.processes().items():
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        memory = {line.split()[0]: int(line.split()[1]) for line in rollup.splitlines()[1:]}
        row = found.setdefault(kind, {"count": 0, "pss_mib": 0.0, "rss_mib": 0.0, "cpu_s": 0.0})
        row["count"] += 1
        row["pss_mib"] += round(memory["Pss:"] / 1024, 1)
        row["rss_mib"] += round(memory["Rss:"] / 1024, 1)
        row["cpu_s"] += sum(map(int, words[11:15])) / os.sysconf("SC_CLK_TCK")
    return found
