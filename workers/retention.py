"""Erases finished and failed jobs when they have been kept for long enough, a few at a time."""

from collections.abc import Callable
from typing import Final

from workers.erasure import Erasure
from workers.ledger import Ledger

DAY_S: Final = 86_400.0
_MOST: Final = 100
# The clock, whose work this is, has more urgent work: files in a bucket take their time.
_LONGEST_S: Final = 0.5


class Retention:
    """``days``: 0 for never. ``now``: seconds of a clock that only rises."""

    def __init__(self, ledger: Ledger, erasure: Erasure, *, days: int, now: Callable[[], float]) -> None:
        self._ledger = ledger
        self._erasure = erasure
        self._age_s = days * DAY_S
        self._now = now

    def turn(self, passed: Callable[[], None] = lambda: None) -> int:
        """Erase some of what is old, the oldest first, and answer how many. ``passed`` is called between two jobs."""
        if not self._age_s:
            return 0
        erased, until = 0, self._now() + _LONGEST_S
        for subject in self._ledger.old(age_s=self._age_s, most=_MOST):
            passed()
            erased += self._erasure.erase(subject, why="retention", age_s=self._age_s)
            if self._now() >= until:
                break
        return erased
