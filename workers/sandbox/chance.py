"""Seeded luck, shared by threads."""

import math
import random
import threading
from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
_LETTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


class Chance:
    """With an empty seed every run differs; with a seed the draws repeat."""

    def __init__(self, seed: str, stream: str) -> None:
        # Separate streams keep the jobs of a seed the same, whatever faults are drawn beside them.
        self._random = random.Random(f"{seed}/{stream}" if seed else None)  # noqa: S311 - dice, not secrets
        self._turns: Counter[str] = Counter()
        self._lock = threading.Lock()

    def draw(self) -> float:
        with self._lock:
            return self._random.random()

    def hits(self, fraction: float) -> bool:
        return fraction > 0 and self.draw() < fraction

    def spread(self, mean: float, spread: float) -> float:
        return mean * (1 + spread * (2 * self.draw() - 1))

    def tail(self, median: float, deviation: float) -> float:
        """Draw from a log-normal distribution, cut off at two fifths and at eight times the median."""
        with self._lock:
            factor = math.exp(self._random.gauss(0.0, deviation))
        return median * min(max(factor, 0.4), 8.0)

    def whole(self, low: int, high: int) -> int:
        with self._lock:
            return self._random.randint(low, high)

    def name(self, length: int) -> str:
        with self._lock:
            return "".join(self._random.choices(_LETTERS, k=length))

    def turn(self, key: str, choices: Sequence[T]) -> T:
        """Take the choices one after the other, so that each of them appears."""
        with self._lock:
            number = self._turns[key]
            self._turns[key] += 1
        return choices[number % len(choices)]
