"""Processes are killed at random moments of a run; afterwards every job has ended and the books balance."""

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from workers.sandbox import Sandbox, SandboxConfig

pytestmark = pytest.mark.slow
Start = Callable[..., Any]

KINDS = ("web worker", "worker", "work-horse", "clock", "valkey")
SEED = int(os.environ.get("KILL_SEED", "20261122"))
SECONDS = float(os.environ.get("KILL_SECONDS", "20"))


@pytest.mark.timeout(600)
def test_whatever_is_killed_every_job_ends_with_its_files(
    machine: Start, balanced: Callable[..., None], record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random(SEED)  # noqa: S311 - a seed repeats a run
    service = machine(
        RECONCILE_AFTER="3s",  # a callback that came while the door was killed is no loss
        RETRY_BASE="200ms",
        RETRY_CAP="2s",
        SANDBOX_RATE_LIMIT="1000/1s",
        SANDBOX_SHORTS="2",
        SANDBOX_JOB_SECONDS="2",
        SANDBOX_RENDER_SECONDS="2",
        SANDBOX_TWICE="0.1",
        SANDBOX_FILM_BYTES="100000-300000",
    )
    jobs = service.submit_many([f"killed-{n:03}" for n in range(40)])
    killed: Counter[str] = Counter()
    over = time.monotonic() + SECONDS
    while time.monotonic() < over and not service.all_settled(len(jobs)):
        kind = chance.choice(KINDS)
        if service.kill(kind, chance):
            killed[kind] += 1
        time.sleep(chance.uniform(0.05, 1.0))
    assert sum(killed.values()) > 5, killed
    service.wait_for(lambda: service.all_settled(len(jobs)), 240, every=0.5)
    record_property("killed", f"seed {SEED}: {dict(killed)}")
    balanced(service, jobs, doubled_only_when_unsure=True)
    assert service.books()["rate_limited"] == 0


@pytest.mark.timeout(240)
def test_everything_is_killed_at_once_and_comes_back(machine: Start, balanced: Callable[..., None]) -> None:
    config = SandboxConfig(port=0, rate_limit="1000/1s", job_seconds=1, render_seconds=3, shorts=2)
    with Sandbox(config) as sandbox:  # it stands for Swiftia, which lives on
        service = machine(
            RECONCILE_AFTER="3s",
            SWIFTIA_API_KEY="sandbox-key",
            SWIFTIA_BASE_URL=sandbox.url,
            SWIFTIA_RATE_LIMIT="1000/1s",
            SANDBOX_PORT=sandbox.url.rsplit(":", 1)[1],
            TRUSTED_NETWORKS="127.0.0.0/8",
        )
        jobs = service.submit_many([f"all-{n}" for n in range(5)])
        service.wait_for(lambda: service.counts().get("rendering"), 60)
        for pid in service.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        service.up.wait(10)
        service.http.close()
        service.start()
        service.wait_for(lambda: service.all_settled(len(jobs)), 150, every=0.5)
        balanced(service, jobs, doubled_only_when_unsure=True)
        service.stop()
