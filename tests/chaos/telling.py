"""Jobs whose events go to four applications: one fails, one is slow, one is dead for a while, one is well.

Each has to be told of everything, in the order of each job and under ids that stay the same; the one that is well must
not notice the others.
"""

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from tests.chaos.balance import Balance
from tests.chaos.patient import Say, patient, quiet
from tests.chaos.recovery import percentile
from tests.targets import Answer, Received, Target, target
from workers.sandbox import SandboxConfig

QUICK: Final = SandboxConfig(
    port=0,
    rate_limit="1000/1s",
    shorts=1,
    job_seconds=0.2,
    render_seconds=0.2,
    queue_seconds=0,
    film_bytes="20000-20000",
)
STORY: Final = ["job.completed", "render.kept", "job.finished"]
PATIENCE_S: Final = 900.0


def run(folder: Path, seed: int, jobs: int, say: Say) -> Balance:
    dead_s = min(120.0, jobs / 8)
    with applications(seed, dead_s) as apps, patient(folder, QUICK, DELIVERY_RETRY_BASE="500ms") as service:
        machine, names = service.machine, list(apps)
        which: dict[str, str] = {}
        for n in range(jobs):
            name = names[n % len(names)]
            which[machine.submit(f"told-{n:05}", delivery=apps[name].url, metadata={"n": n})["id"]] = name
        say(f"{jobs} jobs are submitted: {machine.counts()}")
        machine.wait_for(lambda: machine.all_settled(jobs) and quiet(machine), PATIENCE_S, every=0.5)
        found = Balance()
        for name, app in apps.items():
            mine = [job for job, whose in which.items() if whose == name]
            check(found, name, app, mine)
            late = [lateness(one) for one in first_tries(app)]
            shares = ", ".join(f"p{round(s * 100)} {percentile(late, s):.2f} s" for s in (0.5, 0.99, 1))
            tries = f"{len(mine)} jobs, {len({one.id for one in app.taken})} events in {app.count} tries"
            found.figures[f"the one that {name}"] = f"{tries}; first try after {shares}"
        return found


@contextlib.contextmanager
def applications(seed: int, dead_s: float) -> Iterator[dict[str, Target]]:
    chance, began = random.Random(seed), time.monotonic()  # noqa: S311 - a seed repeats a run
    over = threading.Event()

    def fails(_: int) -> Answer:
        return (500, {}) if chance.random() < 0.3 else (200, {})

    def dawdles(_: int) -> Answer:
        time.sleep(chance.uniform(0.2, 2))
        return 200, {}

    def is_dead(_: int) -> Answer:
        """It takes connections and says nothing, the worst way to be dead."""
        left = dead_s - (time.monotonic() - began)
        if left > 0 and not over.wait(min(left, 20)):
            return 503, {}
        return 200, {}

    answers: dict[str, Callable[[int], Answer]] = {
        "is well": lambda _: (200, {}),
        "fails": fails,
        "is slow": dawdles,
        "is dead at first": is_dead,
    }
    with contextlib.ExitStack() as stack:
        try:
            yield {name: stack.enter_context(target(answer)) for name, answer in answers.items()}
        finally:
            over.set()


def check(found: Balance, name: str, app: Target, jobs: list[str]) -> None:
    strange = {one.payload["data"]["id"] for one in app.received} - set(jobs)
    found.must(not strange, f"{name}: was told of others' jobs: {strange}")
    for job in jobs:
        found.must(app.events(job) == STORY, f"{name}: was told of {job}: {app.events(job)}")
    ids: dict[str, tuple[str, str]] = {}
    for one in app.received:
        what = (one.payload["data"]["id"], one.event)
        found.must(ids.setdefault(one.id, what) == what, f"{name}: {one.id} is {what} and {ids[one.id]}")
    found.must(len(ids) == len(set(ids.values())), f"{name}: an event came under two ids")


def first_tries(app: Target) -> list[Received]:
    firsts: dict[str, Received] = {}
    for one in app.received:
        firsts.setdefault(one.id, one)
    return list(firsts.values())


def lateness(one: Received) -> float:
    """Seconds from when it happened to when it came."""
    happened = datetime.fromisoformat(one.payload["timestamp"]).timestamp()
    return max(0.0, one.received_at - happened)
