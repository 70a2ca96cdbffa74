"""How many deliveries may be under way to each target at once. Plain counting, safe between threads."""

import threading
from collections import Counter
from typing import Final

# A target that answers gets this share of all threads, one that fails a single one.
_SHARE: Final = 4
_FAILURES: Final = 2


class Rooms:
    """``threads``: for all targets together."""

    def __init__(self, threads: int) -> None:
        self.all = threads
        self._share = max(1, threads // _SHARE)
        self._inside: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def are_full(self) -> bool:
        return self._inside.total() >= self.all

    def full(self) -> list[str]:
        """Name the targets that may have no more at the moment."""
        with self._lock:
            return sorted(name for name, count in self._inside.items() if count >= self._most(name))

    def enter(self, target: str) -> None:
        with self._lock:
            self._inside[target] += 1

    def leave(self, target: str, *, failed: bool) -> None:
        with self._lock:
            self._inside[target] -= 1
            if not self._inside[target]:
                del self._inside[target]
            if failed:
                self._failures[target] += 1
            else:
                del self._failures[target]

    def _most(self, target: str) -> int:
        return 1 if self._failures[target] >= _FAILURES else self._share
