"""``make chaos``: hurt the service, and hold its books against the sandbox's.

    storm [seconds]     everything that can befall it; the one that runs by default, for CHAOS_SECONDS
    kills [number]      workers killed with a step in hand: when does it run again?
    rolling [number]    workers restarted by SIGTERM under load
    away [seconds]      Redis hangs under 50 callbacks a second
    silent [jobs]       Swiftia never calls
    telling [jobs]      applications that fail, are slow, or are dead are told of them

Ends with a table and the seed to repeat it (CHAOS_SEED); exit code 1 where the books do not balance.
"""

import os
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos import away, kills, rolling, silent, storm, telling

RUNS = {
    "storm": (storm.run, int(os.environ.get("CHAOS_SECONDS", "600"))),
    "kills": (kills.run, 50),
    "rolling": (rolling.run, 300),
    "away": (away.run, 60),
    "silent": (silent.run, 100),
    "telling": (telling.run, 1000),
}


def main(arguments: list[str]) -> int:
    name = arguments[0] if arguments else "storm"
    if name not in RUNS:
        sys.stdout.write(f"{name} is none of {', '.join(RUNS)}\n")
        return 2
    run, size = RUNS[name]
    size = int(arguments[1]) if len(arguments) > 1 else size
    seed = int(os.environ.get("CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)
    folder = Path(tempfile.mkdtemp(prefix=f"chaos-{name}-"))
    say(f"{name} {size}, seed {seed}, in {folder}")
    try:
        found = run(folder, seed, size, say)
    finally:
        say(f'to repeat it: make chaos CHAOS_SEED={seed} ARGS="{name} {size}"')
    for title, value in found.figures.items():
        sys.stdout.write(f"{title:>40}  {value}\n")
    for violation in found.violations:
        sys.stdout.write(f"{'VIOLATED':>40}  {violation}\n")
    return 1 if found.violations else 0


def say(words: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')}  {words}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
