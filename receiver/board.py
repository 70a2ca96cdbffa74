"""Numbers that the web processes of a machine count together, in memory that they share: no file, no lock, no Redis.

The arbiter makes the board before it forks. Each process adds to a row of its own, and whoever asks adds the rows up. A
row stays when its process ends, and the next one to get it counts on. Only a new arbiter begins at nought.
"""

import mmap
import threading
from typing import Final

# Web processes at once: those of WEB_CONCURRENCY, and as many again while they are replaced.
ROWS: Final = 128
_BYTES: Final = 8


class Row:
    """Where one process counts; its threads may do so at once."""

    def __init__(self, cells: memoryview) -> None:
        self._cells = cells
        self._turn = threading.Lock()

    def add(self, *amounts: tuple[int, int]) -> None:
        """Add to cells: each amount comes after the number of its cell."""
        with self._turn:
            for cell, amount in amounts:
                self._cells[cell] += amount


class Board:
    """``cells``: how many numbers a row has, each below 2**64."""

    def __init__(self, cells: int, rows: int = ROWS) -> None:
        self._cells = cells
        self._rows = rows
        self._memory = memoryview(mmap.mmap(-1, rows * cells * _BYTES)).cast("Q")

    def row(self, n: int) -> Row:
        if not 0 <= n < self._rows:
            raise IndexError(n)
        return Row(self._memory[n * self._cells : (n + 1) * self._cells])

    def totals(self) -> list[int]:
        """Each number over all rows."""
        return [sum(self._memory[cell :: self._cells]) for cell in range(self._cells)]
