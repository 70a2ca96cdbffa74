"""Workers and work-horses are killed while they have a step in hand: when does it run again?"""

import random
import signal
import time
from pathlib import Path

from tests.chaos.balance import Balance
from tests.chaos.load import Load
from tests.chaos.machine import Machine, parent_of, send
from tests.chaos.patient import KEY, Say, patient, settle
from tests.chaos.recovery import Recoveries, in_hand, percentile
from workers.sandbox import SandboxConfig

CALM = SandboxConfig(
    port=0, rate_limit="60/1s", shorts=2, job_seconds=1, render_seconds=2, slow=0.5, slow_seconds=2, spread=0
)
BOUND_S = 60.0
_PATIENCE_S = 60.0


def run(folder: Path, seed: int, kills: int, say: Say) -> Balance:
    chance = random.Random(seed)  # noqa: S311 - a seed repeats a run
    with patient(folder, CALM) as service:
        machine = service.machine
        load = Load(machine, chance, KEY, jobs_per_second=1, callbacks_per_second=0)
        recoveries = {kind: Recoveries(machine.redis) for kind in ("worker", "work-horse")}
        load.start()
        for number in range(kills):
            kind = chance.choice(list(recoveries))
            victim, worker = machine.wait_for(lambda kind=kind: busy(machine, kind, chance), _PATIENCE_S)
            with recoveries[kind].around(worker):
                send(victim, signal.SIGKILL)
            time.sleep(chance.uniform(0.2, 1.5))
            if number % 10 == 9:
                say(f"{number + 1} kills: {machine.counts()}")
        load.stop()
        found = settle(service, load, say)
        for kind, watched in recoveries.items():
            watched.settle()
            found.must(not watched.lost, f"killed, and did not run again: {watched.lost}")
            found.figures[f"step of a killed {kind} again after"] = watched.told()
        seconds = [value for watched in recoveries.values() for value in watched.seconds]
        found.figures["all"] = f"p95 {percentile(seconds, 0.95):.1f} s of {len(seconds)} kills"
        found.must(percentile(seconds, 0.95) < BOUND_S, f"p95 is not under {BOUND_S:.0f} s")
        return found


def busy(machine: Machine, kind: str, chance: random.Random) -> tuple[int, int] | None:
    """Return a process of that kind whose worker has claimed a step, and the worker."""
    pid = machine.pick(kind, chance)
    worker = parent_of(pid) if pid and kind == "work-horse" else pid
    with machine.redis() as redis:
        return (pid, worker) if pid and worker and in_hand(redis, worker) else None
