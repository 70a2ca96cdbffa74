"""The allowance of the organization: a sliding window over the arrivals of its requests [RL2, RL3]."""

import math
import re
import threading
from collections import deque
from dataclasses import dataclass
from functools import lru_cache

_RATE = re.compile(r"([1-9][0-9]{0,6})/([0-9]{0,6}(?:\.[0-9]{1,6})?)s", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rate:
    count: int
    seconds: float


@lru_cache(maxsize=16)
def parse_rate(text: str) -> Rate:
    """Read ``5/1s``, ``1/5s``, ``10/0.5s`` or ``1/s``; raise ValueError for anything else."""
    match = _RATE.fullmatch(text.strip())
    seconds = float(match[2] or 1) if match else 0.0
    if match is None or seconds <= 0:
        raise ValueError(text)
    return Rate(int(match[1]), seconds)


@dataclass(frozen=True, slots=True)
class Verdict:
    """``resets_at``: when the oldest counted request leaves the window; ``wait``: seconds until one more may come."""

    allowed: bool
    remaining: int
    resets_at: float
    wait: float


class Limiter:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._arrivals: deque[float] = deque()

    def arrive(self, now: float, rate: Rate, *, count_refused: bool = False) -> Verdict:
        with self._lock:
            while self._arrivals and self._arrivals[0] <= now - rate.seconds:
                self._arrivals.popleft()
            allowed = len(self._arrivals) < rate.count
            if allowed or count_refused:
                self._arrivals.append(now)
            return self._verdict(now, rate, allowed=allowed)

    def forget(self) -> None:
        with self._lock:
            self._arrivals.clear()

    def _verdict(self, now: float, rate: Rate, *, allowed: bool) -> Verdict:
        used = len(self._arrivals)
        resets_at = (self._arrivals[0] if used else now) + rate.seconds
        # With refused arrivals counted the window can hold more than the limit: the first is not the one to wait for.
        frees = self._arrivals[used - rate.count] + rate.seconds if used >= rate.count else now
        return Verdict(allowed, max(0, rate.count - used), resets_at, max(0.0, frees - now))


def whole_seconds(wait: float) -> int:
    """``Retry-After`` is whole seconds [RL1]; never 0, which would invite a loop."""
    return max(1, math.ceil(wait))
