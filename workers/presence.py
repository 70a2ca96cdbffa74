"""Which processes are there that RQ knows nothing of: web, clocks and couriers. Each says so every few seconds.

Nothing depends on it but what people are shown: a process that cannot say it goes on all the same.
"""

import contextlib
import os
import re
import socket
import threading
import time
from dataclasses import dataclass
from typing import Final

from redis import Redis, RedisError

from workers import keys
from workers.reader import asked
from workers.scripts import Scripts

WEB: Final = "web"
CLOCK: Final = "clock"
COURIER: Final = "courier"
EVERY_S: Final = 10.0
SILENT_S: Final = 35.0
MOST: Final = 500
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_NAME = re.compile(r"(web|clock|courier) ([A-Za-z0-9._-]{1,64}) ([0-9]{1,10}) ([0-9]{1,12})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Process:
    """``since``: Unix seconds when it began, by its own clock."""

    kind: str
    host: str
    pid: int
    since: int

    @property
    def name(self) -> str:
        return f"{self.kind} {self.host} {self.pid} {self.since}"


class Presence:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._scripts = Scripts(redis)

    def tell(self, process: Process) -> None:
        """Raise ``RedisError`` when Redis does not take it."""
        self._scripts.run("present", {"name": process.name, "kept_ms": round(SILENT_S * 1000), "most": MOST})

    def all(self) -> list[Process]:
        """Everybody who said so lately, by kind and host. Raise ``LedgerUnavailable``."""
        seconds, _ = asked(self._redis.time)
        names = asked(self._redis.zrangebyscore, keys.PRESENT, (seconds - SILENT_S) * 1000, "+inf", 0, MOST)
        found = [match for name in names if (match := _NAME.fullmatch(name.decode("utf-8", "replace")))]
        return sorted(
            (Process(match[1], match[2], int(match[3]), int(match[4])) for match in found),
            key=lambda process: (process.kind, process.host, process.pid),
        )


def this_process(kind: str) -> Process:
    host = _UNSAFE.sub("_", socket.gethostname())[:64] or "_"
    return Process(kind, host, os.getpid(), int(time.time()))


def keep_present(redis: Redis, kind: str) -> None:
    """Start the thread that says it, with a place of its own in Redis's pool of connections."""
    thread = threading.Thread(target=_tell, args=(Presence(redis), this_process(kind)), name="presence", daemon=True)
    thread.start()


def _tell(presence: Presence, process: Process) -> None:
    while True:
        with contextlib.suppress(RedisError, OSError):
            presence.tell(process)
        time.sleep(EVERY_S)
