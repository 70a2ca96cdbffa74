"""Swiftia never calls: every job ends all the same, and at no more than the budget."""

import random
from pathlib import Path

from tests.chaos.balance import Balance
from tests.chaos.load import Load
from tests.chaos.patient import KEY, Say, patient, settle
from workers.sandbox import SandboxConfig

LIMIT = "5/1s"
CALM = SandboxConfig(port=0, rate_limit=LIMIT, shorts=2, job_seconds=5, render_seconds=5, never=1)


def run(folder: Path, seed: int, jobs: int, say: Say) -> Balance:
    chance = random.Random(seed)  # noqa: S311 - a seed repeats a run
    with patient(folder, CALM) as service:
        load = Load(service.machine, chance, KEY, jobs_per_second=0, callbacks_per_second=0)
        submitted = service.machine.submit_many([f"silent-{number:03}" for number in range(jobs)])
        say(f"{len(submitted)} submitted")
        found = settle(service, load, say)
        books = service.sandbox.books()
        requests = sum(sum(endings.values()) for name, endings in books["requests"].items() if "/api/" in name)
        found.must(not books["callbacks"], "Swiftia called")
        found.must(books["rate_limited"] == 0, f"{books['rate_limited']} requests were refused with 429")
        found.must(len(books["jobs"]) == jobs, f"{len(books['jobs'])} jobs at Swiftia instead of {jobs}")
        found.figures["requests"] = f"{requests} for {jobs} jobs with {len(books['renders'])} renders, at {LIMIT}"
        return found
