"""Workers are restarted by SIGTERM, one after the other, while jobs keep coming: nothing is lost, nothing doubled."""

import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.balance import Balance
from tests.chaos.load import Load
from tests.chaos.machine import Machine, send
from tests.chaos.patient import KEY, Say, patient, settle
from workers.sandbox import SandboxConfig

CALM = SandboxConfig(
    port=0, rate_limit="60/1s", shorts=2, job_seconds=1, render_seconds=2, twice=0.1, slow=0.3, slow_seconds=1
)
WORKERS, AT_ONCE = 4, 2
_PATIENCE_S = 60.0


def run(folder: Path, seed: int, restarts: int, say: Say) -> Balance:
    chance = random.Random(seed)  # noqa: S311 - a seed repeats a run
    with patient(folder, CALM, WORKERS=str(WORKERS)) as service:
        machine = service.machine
        load = Load(machine, chance, KEY, jobs_per_second=1.5, callbacks_per_second=1)
        machine.wait_for(lambda: len(workers(machine)) == WORKERS + 1, _PATIENCE_S)  # and a courier
        load.start()
        rounds = Rounds(machine, chance)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for number, _ in enumerate(pool.map(lambda _: rounds.restart(), range(restarts)), start=1):
                if number % 50 == 0:
                    say(f"{number} restarts: {machine.counts()}")
        load.stop()
        found = settle(service, load, say)
        shorts = service.sandbox.books()["renders_per_short"].values()
        doubled = sum(sum(of_job.values()) - len(of_job) for of_job in shorts)
        found.must(doubled == 0, f"{doubled} renders were started twice")
        found.must(found.figures["parked before the retry"] == "none", str(found.figures["parked before the retry"]))
        found.figures["restarts by SIGTERM"] = f"{restarts}, the slowest worker gone after {max(rounds.took):.1f} s"
        return found


@dataclass
class Rounds:
    """Stops one worker at a time in each thread, and waits until another one stands in its place."""

    machine: Machine
    chance: random.Random
    took: list[float] = field(default_factory=list)
    _seen: set[int] = field(default_factory=set)
    _choosing: threading.Lock = field(default_factory=threading.Lock)

    def restart(self) -> None:
        pid = self.machine.wait_for(self._choose, _PATIENCE_S)
        began = time.monotonic()
        send(pid, signal.SIGTERM)
        self.machine.wait_for(lambda: pid not in workers(self.machine), _PATIENCE_S)
        self.took.append(time.monotonic() - began)

    def _choose(self) -> int | None:
        with self._choosing:
            running = workers(self.machine)
            fresh = [pid for pid in running if pid not in self._seen]
            if len(running) <= WORKERS - AT_ONCE or not fresh:
                return None
            pid = self.chance.choice(fresh)
            self._seen.add(pid)
            return pid


def workers(machine: Machine) -> list[int]:
    return sorted(pid for pid, kind in machine.processes().items() if kind == "worker")
