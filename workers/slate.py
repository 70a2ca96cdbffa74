"""What a work-horse writes down for its worker: which nudge it has in hand. And the worker's word to come to an end.

It lies in memory that both share: a horse that is killed on any line has said what it was at, and nobody has to ask
Redis, which may be away.
"""

import json
import mmap
from dataclasses import dataclass
from typing import Final

from workers.identifiers import parse_subject
from workers.nudges import Nudge

_LONGEST: Final = 2000
_SIDES: Final = (2, 2 + _LONGEST)
_BLANK: Final = b" " * _LONGEST


@dataclass(frozen=True, slots=True)
class InHand:
    """``run``: RQ's name for this run of the job. ``nudge``: None if it is none of ours. ``since``: monotonic."""

    job_id: str
    run: str
    nudge: Nudge | None
    timeout_s: float
    since: float


class Slate:
    """Make it before the fork. Only the horse writes on it while there is one.

    It has two sides, and the horse turns it when the other one is written: killed in the middle, it still shows the
    side before.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _SIDES[-1] + _LONGEST)
        self.wipe()

    def write(self, in_hand: InHand) -> None:
        nudge = in_hand.nudge
        named = nudge and [nudge.step, str(nudge.subject), nudge.attempt]
        text = (
            json.dumps([in_hand.job_id, in_hand.run, named, in_hand.timeout_s, in_hand.since]).encode().ljust(_LONGEST)
        )
        other = 1 - self._memory[0]
        # No nudge of ours is so long, and one of somebody else's is nothing to tell the ledger of.
        self._memory[_SIDES[other] : _SIDES[other] + _LONGEST] = text if len(text) == _LONGEST else _BLANK
        self._memory[0] = other

    def read(self) -> InHand | None:
        """Return what was written last. None if that is nothing, or if it is being written over at this moment."""
        side = _SIDES[self._memory[0]]
        try:
            job_id, run, named, timeout_s, since = json.loads(self._memory[side : side + _LONGEST])
        except ValueError:
            return None
        nudge = Nudge(named[0], parse_subject(named[1]), named[2]) if named else None
        return InHand(job_id, run, nudge, timeout_s, since)

    def wipe(self) -> None:
        for side in _SIDES:
            self._memory[side : side + _LONGEST] = _BLANK

    def call_off(self) -> None:
        """Tell the horse to begin nothing more."""
        self._memory[1] = 1

    @property
    def called_off(self) -> bool:
        return self._memory[1] == 1
