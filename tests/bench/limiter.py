"""``make bench-limiter``: is the request allowance used up and never overrun? Real processes against the sandbox.

    one      4 upstream workers on one machine, 10 % of the answers faulty
    two      8 upstream workers under two launchers that share a Redis, as two machines would, 10 % faulty
    delayed  4 upstream workers, each direction of the wire late by 0 to 80 ms
    alone    one of several accounts, the others idle, WORKERS as by default
    beside   the same one beside one whose key is refused, one that answers 429 to everything, and one that hangs

Five requests a second are allowed, and work waits all the time. Ends with a table, and exit code 1 where a bar is
missed.
"""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from redis import Redis

from tests.bench.delays import delayed
from tests.bench.looks import Looks, shares
from tests.bench.scores import ALLOWED, Bar, Score, show
from tests.bench.stations import WARM_UP_S, Load, environment, own_redis, running, valkey
from tests.chaos.machine import prepared
from workers.sandbox import Sandbox, SandboxConfig

QUICK = {"job_seconds": 2.0, "render_seconds": 3.0, "film_bytes": "20000-20000", "rate_limit": f"{ALLOWED}/1s"}
FAULTY = {"server_errors": 0.04, "html": 0.02, "resets": 0.02, "cuts": 0.02}
# A quarter of the jobs is never called about: these are looked at as the least important class.
NEVER = {"never": 0.25}


# The runs


def counted(sandbox: Sandbox) -> tuple[int, int]:
    """How many requests the sandbox let in so far, and how many it refused with 429."""
    found = endings(sandbox)
    return found.total() - found["429"] - found["401"], found["429"]


def endings(sandbox: Sandbox) -> Counter[str]:
    """How its requests ended so far; one that it still leaves hanging has no end yet."""
    found: Counter[str] = Counter()
    for route, counts in sandbox.books(hashes=False)["requests"].items():
        if " /api/" in route:
            found.update(counts)
    return found


def measured(name: str, bar: Bar, sandbox: Sandbox, looks: Looks, load: Load) -> Score:
    """Warm up, then count what arrives while the load goes on."""
    seconds = load.seconds
    load(0.0)
    time.sleep(WARM_UP_S)
    before, refused_before = counted(sandbox)
    began = time.monotonic()
    with looks.going_on():
        while (passed := time.monotonic() - began) < seconds:
            load(passed)
            time.sleep(min(0.2, max(0.0, seconds - passed)))
        after, refused = counted(sandbox)
        took = time.monotonic() - began
    return Score(
        name,
        used=(after - before) / (took * ALLOWED),
        waiting=sum(bool(look["waits"]) for look in looks.taken) / len(looks.taken),
        requests=after - before + refused - refused_before,
        refused=refused - refused_before,
        # The sandbox's limit is the one that was told, and nobody else spends from it.
        avoidable=refused - refused_before,
        slots=shares(looks.taken),
        load=sum(look["load"] for look in looks.taken) / len(looks.taken),
        bar=bar,
        looks=looks.taken,
    )


def one(folder: Path, seconds: float) -> Score:
    with Sandbox(SandboxConfig(port=0, seed="one", **QUICK, **FAULTY, **NEVER)) as sandbox:
        machine = prepared(folder, **environment(sandbox, sandbox.url))
        with running(machine), own_redis(machine) as redis:
            load = Load(machine.http, seconds)
            return measured("one", Bar(0.97, 0), sandbox, Looks(redis, ""), load)


def two(folder: Path, seconds: float) -> Score:
    with (
        Sandbox(SandboxConfig(port=0, seed="two", **QUICK, **FAULTY, **NEVER)) as sandbox,
        valkey(folder) as url,
        Redis.from_url(url) as redis,
    ):
        shared = {"REDIS_URL": url, "STORAGE_URL": f"file://{folder}/kept", "CALLBACK_KEYS": "a-key-of-the-bench"}
        machines = [
            prepared(folder / name, **environment(sandbox, sandbox.url), **shared) for name in ("first", "second")
        ]
        with running(*machines):
            load = Load(machines[0].http, seconds)
            return measured("two", Bar(0.97, 0), sandbox, Looks(redis, ""), load)


def late(folder: Path, seconds: float) -> Score:
    with (
        Sandbox(SandboxConfig(port=0, seed="delayed", **QUICK, **NEVER)) as sandbox,
        delayed(sandbox.url, 0.08, seed=1) as url,
    ):
        machine = prepared(folder, **environment(sandbox, url))
        with running(machine), own_redis(machine) as redis:
            load = Load(machine.http, seconds)
            return measured("delayed", Bar(0.9, 1), sandbox, Looks(redis, ""), load)


# Several accounts

PEERS: dict[str, dict[str, Any]] = {
    "healthy": {**QUICK, **NEVER},
    "refused": {"api_key": "another-key"},
    "storm": {"rate_limit": "1/36000s", "retry_after": "one"},
    "hanging": {"slow": 1.0, "slow_seconds": 25.0},
}
STUCK_JOBS = 20


def alone(folder: Path, seconds: float) -> Score:
    return of_several("alone", folder, seconds, stuck_jobs=0)


def beside(folder: Path, seconds: float) -> Score:
    return of_several("beside", folder, seconds, stuck_jobs=STUCK_JOBS)


def of_several(name: str, folder: Path, seconds: float, *, stuck_jobs: int) -> Score:
    """The healthy account's score; those that are stuck have ``stuck_jobs`` jobs each to ask about."""
    with contextlib.ExitStack() as stack:
        peers = {peer: stack.enter_context(Sandbox(SandboxConfig(port=0, seed=peer, **PEERS[peer]))) for peer in PEERS}
        common = environment(peers["healthy"], peers["healthy"].url)
        own = {key: value for key, value in common.items() if key not in ("SWIFTIA_API_KEY", "WORKERS")}
        machine = prepared(folder, **own, SWIFTIA_ACCOUNTS=str(accounts_file(folder, peers)))
        stack.enter_context(running(machine))
        redis = stack.enter_context(own_redis(machine))
        for peer in PEERS:
            for number in range(stuck_jobs if peer != "healthy" else 0):
                machine.http.put(f"/api/jobs/{peer}_{number}", json={"account": peer}).raise_for_status()
        load = Load(machine.http, seconds, "healthy")
        found = measured(name, Bar(0.97, 0), peers["healthy"], Looks(redis, "healthy"), load)
        return replace(found, others={peer: dict(endings(peers[peer])) for peer in PEERS if peer != "healthy"})


def accounts_file(folder: Path, peers: dict[str, Sandbox]) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "accounts.toml"
    tables = [
        f'[{name}]\nkey = "sandbox-key"\nbase_url = "{peer.url}"\nrate_limit = "{ALLOWED}/1s"\n'
        for name, peer in peers.items()
    ]
    path.write_text("\n".join(tables))
    return path


RUNS = {"one": one, "two": two, "delayed": late, "alone": alone, "beside": beside}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.limiter", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=120.0, help="how long each run is measured (120)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure and look there")
    parser.add_argument(
        "runs", nargs="*", metavar="RUN", choices=[*RUNS, []], help=f"of {', '.join(RUNS)}; all by default"
    )
    given = parser.parse_args(arguments)
    scores = []
    for name in given.runs or RUNS:
        with tempfile.TemporaryDirectory(prefix=f"limiter-{name}-") as folder:
            scores.append(RUNS[name](Path(folder) / "machine", given.seconds))
        sys.stdout.write("  ".join(scores[-1].row()) + "\n")
        sys.stdout.flush()
    show(scores, given.seconds)
    if given.json:
        given.json.write_text(json.dumps({"seconds": given.seconds, "runs": [asdict(score) for score in scores]}))
    return 0 if all(score.holds for score in scores) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
