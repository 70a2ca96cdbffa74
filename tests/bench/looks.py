"""Looks into Redis while a run goes on: which classes wait, and how many slots each was given."""

import contextlib
import os
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from redis import Redis

from workers import keys
from workers.work import CLASSES, UPSTREAM

LOOK_EVERY_S = 0.25
STRETCH_S = 20.0
DRY = 3
# Between two attempts of the last one that waits a look may find nothing.
_ALL_ALONG = 0.9


@dataclass
class Looks:
    """Looks into Redis while a run goes on, from a thread of its own."""

    redis: Redis
    account: str
    taken: list[dict[str, Any]] = field(default_factory=list)

    @contextlib.contextmanager
    def going_on(self) -> Iterator[None]:
        over = threading.Event()

        def look() -> None:
            while not over.wait(LOOK_EVERY_S):
                self.taken.append(self.look())

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        yield
        over.set()
        thread.join()

    def look(self) -> dict[str, Any]:
        pipeline: Any = self.redis.pipeline(transaction=True)
        pipeline.time().hgetall(f"{keys.budget(self.account)}given")
        for name in CLASSES[UPSTREAM]:
            pipeline.zrange(keys.due(keys.line(name, self.account)), 0, 0, withscores=True)
        (seconds, micros), given, *heads = pipeline.execute()
        now_ms = seconds * 1000 + micros / 1000
        waits = [name for name, head in zip(CLASSES[UPSTREAM], heads, strict=True) if head and head[0][1] <= now_ms]
        counts = {name: int(given.get(name.encode(), 0)) for name in CLASSES[UPSTREAM]}
        return {"at": now_ms / 1000, "waits": waits, "given": counts, "load": os.getloadavg()[0]}


@dataclass(frozen=True)
class Shares:
    """``given``: slots by class. ``below``: the share of what is less important than the first class that waited, where
    both waited all along a stretch; None if they never did. ``starved``: what waited all along ``DRY`` stretches in a
    row and got nothing.
    """

    given: dict[str, int]
    below: float | None
    starved: list[str]


def shares(looks: list[dict[str, Any]]) -> Shares:
    names = list(looks[0]["given"])
    below = total = 0
    dry: Counter[str] = Counter()
    starved: set[str] = set()
    for stretch in _stretches(looks):
        given = _between(stretch[0], stretch[-1])
        waited = [name for name in names if sum(name in look["waits"] for look in stretch) > _ALL_ALONG * len(stretch)]
        if len(waited) > 1:
            below += sum(given[name] for name in names[names.index(waited[0]) + 1 :])
            total += sum(given.values())
        for name in names:
            dry[name] = dry[name] + 1 if name in waited and not given[name] else 0
        starved |= {name for name in names if dry[name] >= DRY}
    return Shares(_between(looks[0], looks[-1]), below / total if total else None, sorted(starved))


def _between(first: dict[str, Any], last: dict[str, Any]) -> dict[str, int]:
    return {name: last["given"][name] - first["given"][name] for name in last["given"]}


def _stretches(looks: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    size = round(STRETCH_S / LOOK_EVERY_S)
    for start in range(0, len(looks) - size + 1, size):
        yield looks[start : start + size]
