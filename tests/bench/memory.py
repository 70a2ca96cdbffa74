"""``python -m tests.bench.memory``: what a job takes in Redis by its renders, just ended and packed.

Real jobs are carried through the whole service and copied under other names, as in ``million``; each figure is the
difference of ``used_memory`` of an embedded Valkey by the jobs. What came out is in ``workers/planning/needs.py``.
"""

import contextlib
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from redis import Redis

from tests.bench.copies import Copy, Names
from tests.bench.million import durable, real_jobs, server, used

SHORTS = (0, 3, 10)
JOBS = {"ended": 1_000, "packed": 4_000}
_AT_ONCE = 250


def bytes_of_one(redis: Redis, originals: Sequence[Copy], jobs: int) -> float:
    """Fill an empty ledger with so many copies. Answers what each of them takes, its places in indexes included."""
    redis.execute_command("FLUSHALL", "SYNC")  # else what is still being freed counts as empty
    empty, chance = used(redis), random.Random(1)  # noqa: S311 - a measurement that can be repeated
    pipe = redis.pipeline(transaction=False)
    for n in range(jobs):
        one = originals[n % len(originals)]
        one.renamed(Names(one, chance, later_ms=n * 1000)).write(pipe)
        if n % _AT_ONCE == 0:
            pipe.execute()
    pipe.execute()
    return (used(redis) - empty) / jobs


def main() -> None:
    with tempfile.TemporaryDirectory() as name, server(Path(name) / "full") as full:
        redis = Redis.from_url(full.url)
        with contextlib.closing(redis):
            durable(redis, on=False)
            for shorts in SHORTS:
                folder = Path(name) / f"of-{shorts}"
                folder.mkdir()
                originals = real_jobs(folder, shorts=shorts)
                ended = bytes_of_one(redis, originals.ended, JOBS["ended"])
                packed = bytes_of_one(redis, originals.packed, JOBS["packed"])
                sys.stdout.write(f"{shorts:3} renders: {ended:7.0f} bytes just ended, {packed:6.0f} packed\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
