"""What a work-horse writes down for its worker: since when it has its nudge in hand. And the worker's word to end.

It lies in memory that both share: nobody has to ask Redis, which may be away.
"""

import mmap
import struct
from dataclasses import dataclass
from typing import Final

_SIDE: Final = struct.Struct("!Idd")
_SIDES: Final = (2, 2 + _SIDE.size)


@dataclass(frozen=True, slots=True)
class InHand:
    """``number``: how many nudges came before it in this shift. ``timeout_s``: nought before the first. ``since``:
    monotonic.
    """

    number: int
    timeout_s: float
    since: float


class Slate:
    """Make it before the fork. Only the horse writes on it while there is one.

    It has two sides, and the horse turns it when the other one is written: killed in the middle, it still shows the
    side before.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _SIDES[-1] + _SIDE.size)

    def write(self, in_hand: InHand) -> None:
        other = 1 - self._memory[0]
        _SIDE.pack_into(self._memory, _SIDES[other], in_hand.number, in_hand.timeout_s, in_hand.since)
        self._memory[0] = other

    def read(self) -> InHand:
        """Return what was written last."""
        return InHand(*_SIDE.unpack_from(self._memory, _SIDES[self._memory[0]]))

    def call_off(self) -> None:
        """Tell the horse to begin nothing more."""
        self._memory[1] = 1

    @property
    def called_off(self) -> bool:
        return self._memory[1] == 1
