"""A service to be hurt, with a sandbox that stands for Swiftia and lives on, and how it comes to rest again."""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
from redis import RedisError

from tests.chaos.balance import Balance, balance, is_quiet, parked_reasons
from tests.chaos.load import Load
from tests.chaos.machine import Machine, prepared
from tests.chaos.wallclock import Wallclock, built
from tests.targets import Target
from workers.sandbox import Sandbox, SandboxConfig

KEY = "a-callback-key-of-chaos"
DISK_BYTES = "700m"
QUIET_S = 420.0
Say = Callable[[str], None]


@dataclass
class Patient:
    machine: Machine
    sandbox: Sandbox
    calm: SandboxConfig
    wallclock: Wallclock | None
    disk: str


@contextlib.contextmanager
def patient(folder: Path, calm: SandboxConfig, **env: str) -> Iterator[Patient]:
    """Yield a running service in ``folder``, with its own small disk and wall clock where they can be had."""
    with Sandbox(calm) as sandbox, small_disk(folder / "data") as disk:
        wallclock = built(folder)
        machine = prepared(folder, **{**environment(sandbox), **(wallclock.env if wallclock else {}), **env})
        machine.start()
        try:
            yield Patient(machine, sandbox, calm, wallclock, disk)
        finally:
            machine.end()


def environment(sandbox: Sandbox) -> dict[str, str]:
    return {
        "SWIFTIA_API_KEY": "sandbox-key",
        "SWIFTIA_BASE_URL": sandbox.url,
        "SWIFTIA_RATE_LIMIT": sandbox.config.rate_limit,
        "SANDBOX_PORT": sandbox.url.rsplit(":", 1)[1],
        "TRUSTED_NETWORKS": "127.0.0.0/8",
        "MIN_FREE_BYTES": "16M",  # of the small disk
        "CALLBACK_KEYS": KEY,
        "RECONCILE_AFTER": "5s",  # hours of the clock are seconds here
        "RETRY_BASE": "200ms",
        "RETRY_CAP": "5s",
        "MAX_ATTEMPTS": "60",  # outages come one after the other
        "WORKERS": "4",
        "WEB_CONCURRENCY": "2",
    }


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[str]:
    """Give the service a disk that can be filled; yields what it is."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=700", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode != 0:  # noqa: S603 - a folder of our own
        yield "that of the machine"
        return
    try:
        yield f"{DISK_BYTES} of its own"
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S603, S607 - a folder of our own


def settle(patient: Patient, load: Load, say: Say, *, app: Target | None = None) -> Balance:
    """Calm upstream, wait for quiet, ask again for what was parked, wait again, and compare the books."""
    machine, sandbox = patient.machine, patient.sandbox
    calmed = ("rate_limit", "server_errors", "html", "resets", "cuts", "slow")
    sandbox.configure(**{name: getattr(patient.calm, name) for name in calmed})
    began = time.monotonic()
    say(f"now quiet: {machine.counts()}")
    with httpx2.Client(base_url=machine.http.base_url, timeout=30, headers=machine.http.headers) as http:
        for item in load.items:
            load.ask(http, item)
    machine.wait_for(lambda: quiet(machine), QUIET_S, every=0.5)
    rest = time.monotonic() - began
    reasons = parked_reasons(machine)
    for job_id in parked_jobs(machine):
        machine.http.post(f"/api/jobs/{job_id}/retry").raise_for_status()
    machine.http.post("/api/deliveries/retry?state=parked").raise_for_status()
    machine.wait_for(lambda: quiet(machine), QUIET_S, every=0.5)
    found = balance(machine, load, sandbox.books(), app)
    left = parked_jobs(machine)
    found.must(not left, f"parked again after a retry: {left}")
    found.figures["quiet after"] = f"{rest:.0f} s"
    found.figures["parked before the retry"] = "; ".join(f"{n} x {why}" for why, n in reasons.items()) or "none"
    found.figures["requests refused with 429"] = sandbox.books(hashes=False)["rate_limited"]
    return found


def quiet(machine: Machine) -> bool:
    with contextlib.suppress(httpx2.HTTPError, RedisError, ValueError):
        return is_quiet(machine)
    return False


def parked_jobs(machine: Machine) -> list[str]:
    """Name the parked jobs. A ref is none: asking again for it would submit, and pay for, a second job."""
    with machine.redis() as redis:
        names = [name.decode() for name in redis.zrange("sr:jobs:parked", 0, -1)]
    return [name for name in names if not name.startswith("ref:")]
