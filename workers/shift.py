"""The shift of a work-horse: when its step is done, it goes on with the next nudges of its lane, for a few seconds.

A fork for each step costs more than the step. A process for all of them would keep what a step leaves behind, and a
library that takes it down would take the worker along. So a horse lives for a shift. It takes one nudge at a time, and
is written down as its worker's in the moment in which it is claimed: what a horse is killed with in hand is one, and
its worker finds out which. RQ knows of the first nudge alone.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from workers.claims import Claims
from workers.records import Record
from workers.slate import InHand, Slate

SHIFT_S: Final = 5.0
SHIFT_STEPS: Final = 1000


@dataclass(frozen=True, slots=True)
class Length:
    """How long a shift is at most. One step: a process of its own for each."""

    seconds: float = SHIFT_S
    steps: int = SHIFT_STEPS


class Shift:
    """``name``: of this shift, unlike any other's. ``now``: monotonic seconds."""

    def __init__(
        self,
        claims: Claims,
        lane: str,
        worker: str,
        slate: Slate,
        *,
        name: str,
        length: Length,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._claims = claims
        self._lane = lane
        self._worker = worker
        self._slate = slate
        self._name = name
        self._length = length
        self._now = now

    def go_on(self, began: float, perform: Callable[[Record, int], bool]) -> None:
        """Perform the next nudges of a shift that began with a step of its own. Raises ``LedgerUnavailable``.

        ``perform``: is given a claimed attempt and the seconds that it may take. If it does not answer that all went
        well, the shift is over.
        """
        record = None
        for n in range(1, self._length.steps):
            if self._slate.called_off or self._now() - began >= self._length.seconds:
                break
            taken = self._claims.take_nudge(self._lane, self._worker, f"{self._name}-{n}")
            if taken is None:
                break
            record, timeout_s = taken
            self._slate.write(InHand(n, timeout_s, self._now()))
            if not perform(record, timeout_s):
                break
        if record is not None:
            self._claims.put_down(self._worker)
