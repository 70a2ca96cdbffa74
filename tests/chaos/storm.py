"""A long, seeded run: jobs and callbacks keep coming while everything that can befall the service befalls it.

Then there is quiet, and the books must balance. The seed repeats what is done to it, and in which order; what the
processes are doing at that moment is theirs.
"""

import itertools
import random
import threading
import time
from pathlib import Path

from tests.chaos.balance import Balance
from tests.chaos.load import Load
from tests.chaos.patient import KEY, Say, patient, settle
from tests.chaos.recovery import Recoveries
from tests.chaos.troubles import Troubles
from tests.targets import Answer, Target, target
from workers.sandbox import SandboxConfig

KILL_EVERY_S = 0.8
LASTING_S = 30.0
APP_PATIENCE_S = 2
CALM = SandboxConfig(
    port=0,
    rate_limit="40/1s",
    shorts=2,
    job_seconds=2,
    render_seconds=3,
    twice=0.1,
    never=0.1,
    late=0.1,
    early=0.05,
    late_seconds=5,
    slow=0.3,  # so that a kill finds steps in hand
    slow_seconds=1.5,
    film_bytes="50000-300000",
)


def run(folder: Path, seed: int, seconds: float, say: Say) -> Balance:
    chance = random.Random(seed)  # noqa: S311 - a seed repeats a run
    answers = random.Random(chance.random())  # noqa: S311 - as above
    with target(lambda _: unreliable(answers)) as app, patient(folder, CALM, **telling(app)) as service:
        machine = service.machine
        recoveries = Recoveries(machine.redis)
        lasting = min(LASTING_S, seconds / 12)
        troubles = Troubles(machine, service.sandbox, chance, recoveries, lasting, service.wallclock)
        load = Load(machine, chance, KEY, jobs_per_second=0.7, callbacks_per_second=4)
        load.start()
        rage(seconds, troubles, chance, say)
        load.stop()
        found = settle(service, load, say, app=app)
        recoveries.settle()
        found.figures.update(told(troubles))
        found.figures["a killed step runs again after"] = recoveries.told()
        found.figures["disk"] = service.disk
        found.must(not recoveries.lost, f"killed, and did not run again: {recoveries.lost}")
        return found


def unreliable(chance: random.Random) -> Answer:
    """The team's own application has its troubles too."""
    if chance.random() < 0.05:
        time.sleep(APP_PATIENCE_S + 1)
    return (500, {}) if chance.random() < 0.2 else (200, {})


def telling(app: Target) -> dict[str, str]:
    return {"DELIVERY_URL": app.url, "DELIVERY_RETRY_BASE": "200ms", "DELIVERY_TIMEOUT": f"{APP_PATIENCE_S}s"}


def rage(seconds: float, troubles: Troubles, chance: random.Random, say: Say) -> None:
    over = time.monotonic() + seconds
    slow = threading.Thread(target=_lasting_ones, args=(troubles, random.Random(chance.random()), say))  # noqa: S311
    slow.start()
    while time.monotonic() < over:
        troubles.kill()
        time.sleep(min(chance.expovariate(1 / KILL_EVERY_S), max(0.0, over - time.monotonic())))
    troubles.stop.set()
    slow.join()
    troubles.thaw()


def _lasting_ones(troubles: Troubles, chance: random.Random, say: Say) -> None:
    """One after the other, each of them once before any comes again."""
    each = [
        *[troubles.freeze] * 5,
        troubles.restart_valkey,
        troubles.redis_hangs,
        troubles.redis_is_down,
        troubles.clock_jumps,
        troubles.clock_jumps,
        troubles.disk_is_slow,
        troubles.disk_is_full,
        troubles.outage,
        troubles.outage,
        troubles.storm_of_429,
        troubles.slow_answers,
        troubles.everything_dies,
    ]
    for round_number in itertools.count(1):
        for trouble in chance.sample(each, len(each)):
            if troubles.stop.wait(chance.uniform(0, troubles.seconds / 10)):
                return
            trouble()
        say(f"round {round_number} of lasting troubles is over: {troubles.machine.counts()}")


def told(troubles: Troubles) -> dict[str, object]:
    counts = troubles.counts
    kills = {name: number for name, number in counts.items() if name.startswith("SIGKILL ")}
    return {
        "killed": f"{sum(kills.values())}: " + ", ".join(f"{n} {name[8:]}" for name, n in sorted(kills.items())),
        "other troubles": ", ".join(f"{n} x {name}" for name, n in sorted(counts.items()) if name not in kills),
        "not to be had here": "; ".join(f"{name}: {why}" for name, why in troubles.missing.items()) or "nothing",
    }
