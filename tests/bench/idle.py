"""How many commands the whole service sends to Redis while it has nothing to do: ``up``, counted by its Valkey."""

import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.chaos.machine import started

# Who has just started sends more: connections are opened, scripts loaded, registries cleaned.
SETTLE_S = 20.0


def idle(seconds: float) -> dict[str, Any]:
    """Count what clients send. What a script calls inside costs no way there and back, and is left out."""
    with tempfile.TemporaryDirectory(prefix="idle-") as name:
        machine = started(Path(name))
        try:
            time.sleep(SETTLE_S)
            with machine.redis() as redis, machine.redis() as other, redis.monitor() as monitor:
                began = time.monotonic()
                threading.Timer(seconds, other.echo, ["over"]).start()
                by_command: Counter[str] = Counter()
                while (seen := monitor.next_command())["command"] != "ECHO over":
                    if seen["client_type"] != "lua":
                        by_command[seen["command"].partition(" ")[0]] += 1
                took = time.monotonic() - began
        finally:
            machine.end()
    each = {name: round(count / took, 2) for name, count in by_command.most_common()}
    return {"seconds": round(took, 1), "commands_per_s": round(by_command.total() / took, 2), "each_per_s": each}


def told(found: dict[str, Any]) -> str:
    each = ", ".join(f"{name} {rate}" for name, rate in list(found["each_per_s"].items())[:6])
    return f"idle, the whole service: {found['commands_per_s']} commands a second to Redis ({each})"
