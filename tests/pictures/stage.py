"""A service with something to look at: jobs in every state, against the sandbox, and a day that is made up."""

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from tests.chaos.machine import Machine, started
from workers.hours import HOUR_S, KEPT_S, bucket_of

# In a video's id a word of the sandbox decides what becomes of it (workers/sandbox/magic.py).
ENDED = (
    *("keynote-opening", "keynote-closing", "panel-on-audio", "studio-tour", "product-launch", "interview-ada"),
    *("render-fails-demo", "job-fails-demo", "job-fails-trailer"),
)
PARKED = ("archived-webinar", "archived-podcast", "wrong-size-recap", "private-file-talk", "private-file-demo")
UNDER_WAY = ("town-hall-june", "how-we-mix", "field-recording")
WAITING = ("never-calls-teaser", "stuck-session")
SHORTS = [
    {"title": "The opening in one breath", "start": 12.0, "end": 44.0},
    {"title": "Why nobody mixes that loud", "start": 62.0, "end": 90.5},
    {"title": "What we would do differently", "start": 120.0, "end": 171.0},
]
ENV = {
    "SWIFTIA_RATE_LIMIT": "5/1s",
    "SANDBOX_JOB_SECONDS": "0.5",
    "SANDBOX_RENDER_SECONDS": "1.5",
    "SANDBOX_QUEUE_SECONDS": "0.2",
    "SANDBOX_SEED": "pictures",
    "SANDBOX_DIALECT": "g3",
    "MIN_FREE_BYTES": "16M",
    "RETRY_BASE": "100ms",
    "RETRY_CAP": "200ms",
    "MAX_ATTEMPTS": "3",
    "RECONCILE_AFTER": "2h",
    "WORKERS": "4",
}


@contextmanager
def lively(folder: Path) -> Iterator[Machine]:
    """Start ``up`` and bring its jobs to where they are to be."""
    machine = started(folder, **ENV)
    try:
        submit(machine, *ENDED, *PARKED)
        machine.wait_for(lambda: machine.all_settled(len(ENDED) + len(PARKED)), 240)
        # From here on nothing ends any more.
        httpx2.post(f"{machine.sandbox}/__config", json={"render_seconds": 900.0, "stalls": 0.0}, trust_env=False)
        submit(machine, *UNDER_WAY, *WAITING)
        machine.wait_for(lambda: machine.counts().get("rendering") == len(UNDER_WAY), 60)
        make_up_a_day(machine)
        yield machine
    finally:
        machine.end()


def submit(machine: Machine, *videos: str) -> None:
    for video in videos:
        machine.submit(video, options={"predefinedShorts": SHORTS}, metadata={"show": video.partition("-")[0]})


def make_up_a_day(machine: Machine) -> None:
    """Give the hours before this one a history, the same each time."""
    dice = random.Random("a day")  # noqa: S311 - dice
    with machine.redis() as redis:
        now = int(redis.time()[0]) // HOUR_S
        pipeline = redis.pipeline()
        for ago in range(1, 24):
            busy = 1 + math.sin((ago + 4) / 24 * 2 * math.pi)
            finished = round(30 * busy + dice.uniform(0, 10))
            counts = {
                "finished": finished,
                "failed": dice.choice((0, 0, 1, 2)),
                "parked": dice.choice((0, 0, 0, 1)),
                "callbacks": finished + dice.randrange(4),
                "repeated": dice.randrange(3),
                "kept": 3 * finished,
            }
            for _ in range(counts["kept"]):
                took = f"took:{bucket_of(1000 * dice.lognormvariate(math.log(40 + 40 * busy), 0.6))}"
                counts[took] = counts.get(took, 0) + 1
            key = f"sr:hour:{now - ago}"
            pipeline.delete(key).hset(key, mapping=counts).expire(key, KEPT_S)
        pipeline.execute()
