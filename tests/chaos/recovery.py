"""How long the step of a killed process waits until it runs again, read from Redis while the run goes on."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from redis import Redis, RedisError

LOOK_EVERY_S = 0.1
GIVE_UP_S = 600.0  # in a storm it waits its turn in a long queue as well


@dataclass(frozen=True)
class InHand:
    """An attempt that a process has claimed. ``key``: its record."""

    key: str
    attempt: int


def record_key(subject: str) -> str:
    if subject.startswith("ref:"):
        return f"sr:{subject}"
    return f"sr:{'render' if '/' in subject else 'job'}:{subject}"


def in_hand(redis: Redis, worker_pid: int) -> InHand | None:
    """Return what the worker process with this pid has claimed, by what RQ and the ledger have written down."""
    for name in redis.smembers("rq:workers"):
        if redis.hget(name, "pid") == b"%d" % worker_pid:
            for running in redis.smembers(name + b":executions"):
                data = redis.hget(b"rq:job:" + running.rpartition(b":")[0], "data")
                _, subject, attempt = json.loads(data)[2] if data else ("", "", 0)
                return _claimed(redis, subject, attempt)
            taken = redis.get(b"sr:given:" + name.removeprefix(b"rq:worker:"))
            _, _, subject, attempt, *_ = json.loads(taken) if taken else ("", "", "", 0)
            return _claimed(redis, subject, int(attempt))
    return None


def _claimed(redis: Redis, subject: str, attempt: int) -> InHand | None:
    begun = redis.hget(record_key(subject), "begun")
    return InHand(record_key(subject), attempt) if begun == b"%d" % attempt else None


def runs_again(redis: Redis, hurt: InHand) -> bool:
    """Tell whether a later attempt has been claimed, or the subject needs none any more."""
    attempt, begun, ended, went = redis.hmget(hurt.key, "attempt", "begun", "ended", "class")
    if attempt is None or went is None:
        return True
    if int(attempt) > hurt.attempt:
        return attempt in (begun, ended)
    return False


@dataclass
class Recoveries:
    """Watches what was hurt, each in a thread of its own. Seconds from the kill until it runs again."""

    connect: Callable[[], Redis]
    seconds: list[float] = field(default_factory=list)
    lost: list[InHand] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)

    @contextlib.contextmanager
    def around(self, worker_pid: int | None) -> Iterator[None]:
        """Kill inside; nothing is watched where the worker had nothing in hand, or Redis does not tell."""
        hurt = None
        with contextlib.suppress(RedisError), self.connect() as redis:
            hurt = in_hand(redis, worker_pid) if worker_pid else None
        killed = time.monotonic()
        yield
        if hurt is not None:
            thread = threading.Thread(target=self._watch, args=(hurt, killed), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _watch(self, hurt: InHand, killed: float) -> None:
        while (passed := time.monotonic() - killed) < GIVE_UP_S:
            with contextlib.suppress(RedisError), self.connect() as redis:
                if runs_again(redis, hurt):
                    self.seconds.append(passed)
                    return
            time.sleep(LOOK_EVERY_S)
        self.lost.append(hurt)

    def settle(self) -> None:
        for thread in self._threads:
            thread.join(GIVE_UP_S)

    def told(self) -> str:
        spread = ", ".join(f"p{round(share * 100)} {percentile(self.seconds, share):.1f} s" for share in (0.5, 0.95, 1))
        return f"{spread} of {len(self.seconds)}"


def percentile(values: list[float], share: float) -> float:
    """Return the smallest value that so many of all are not above: nearest rank."""
    ordered = sorted(values)
    return ordered[max(0, -(-round(share * 100) * len(ordered) // 100) - 1)] if ordered else float("nan")
