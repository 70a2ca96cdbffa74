"""What the door counts: how callbacks end, and how long those take that are acknowledged."""

from bisect import bisect_left
from collections.abc import Mapping
from itertools import accumulate
from typing import Final

from receiver.board import Board

# As the answer to a callback says it.
TAKEN: Final = ("new", "duplicate", "full", "erased", "spooled")
REFUSED: Final = ("token", "signature", "size", "body", "unidentifiable", "not_stored", "fault")
# Upper bounds in seconds.
BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

_OUTCOMES: Final = (*TAKEN, *REFUSED)
_CELL: Final = {outcome: cell for cell, outcome in enumerate(_OUTCOMES)}
_FIRST_BUCKET: Final = len(_OUTCOMES)
_MICROSECONDS: Final = _FIRST_BUCKET + len(BOUNDS) + 1


def new_board() -> Board:
    """Make the board for an arbiter, before it forks."""
    return Board(_MICROSECONDS + 1)


class Tally:
    """Counts for its own process until it joins the others of the machine."""

    def __init__(self) -> None:
        self._board = new_board()
        self._row = self._board.row(0)

    def join(self, board: Board, row: int) -> None:
        self._board, self._row = board, board.row(row)

    def took(self, outcome: str, seconds: float) -> None:
        """A callback was acknowledged after so long."""
        bucket = _FIRST_BUCKET + bisect_left(BOUNDS, seconds)
        self._row.add((_CELL[outcome], 1), (bucket, 1), (_MICROSECONDS, max(0, round(seconds * 1_000_000))))

    def refused(self, cause: str) -> None:
        self._row.add((_CELL[cause], 1))

    def outcomes(self) -> Mapping[str, int]:
        """How often each of ``TAKEN`` and ``REFUSED`` happened, in all processes."""
        return dict(zip(_OUTCOMES, self._board.totals(), strict=False))

    def latency(self) -> tuple[list[int], float]:
        """How many took no longer than each of ``BOUNDS``, then how many there were; and all their seconds together."""
        totals = self._board.totals()
        return list(accumulate(totals[_FIRST_BUCKET:_MICROSECONDS])), totals[_MICROSECONDS] / 1_000_000
