"""A work-horse as its worker sees it: whether it still goes on, and how it ended."""

import mmap
import os
import signal
import threading
import time
from typing import Final

from workers.silence import Silence

_EVERY_S: Final = 1.0


class Heartbeat:
    """One byte that a work-horse and its worker share; make it before the fork.

    The horse counts in it, from a thread that does nothing else: not the one that renews the lease, which waits for a
    minute where Redis is away. So it stands still when the process is stopped, or hangs inside a library that does not
    let Python go on, and only then. ``gap_s``: where more than this lies between two looks, the worker was held up.
    """

    def __init__(self, *, gap_s: float) -> None:
        self._gap_s = gap_s
        self._count = mmap.mmap(-1, 1)
        self._seen = 0
        self._silence = Silence(gap_s=gap_s)

    def expect(self, now: float) -> None:
        """Listen to a new horse, from now on."""
        self._seen = self._count[0]
        self._silence = Silence(gap_s=self._gap_s)
        self._silence.look(now, heard=True)

    def silent_s(self, now: float) -> float:
        """Return for how many seconds the horse has not counted, as far as its worker looked."""
        before, self._seen = self._seen, self._count[0]
        return self._silence.look(now, heard=self._seen != before)

    def start(self) -> None:
        """Count from now on; called in the horse."""
        threading.Thread(target=self._keep_counting, name="heartbeat", daemon=True).start()

    def _keep_counting(self) -> None:
        while True:
            self._count[0] = (self._count[0] + 1) % 256
            time.sleep(_EVERY_S)


def how_it_ended(status: int) -> str:
    """Say in words what ``waitpid`` said of a process that did not end well.

    >>> how_it_ended(11), how_it_ended(3 << 8)
    ('killed by SIGSEGV', 'ended with exit code 3')
    >>> how_it_ended(9)
    'killed by SIGKILL, as the kernel does when memory runs out'
    """
    if not os.WIFSIGNALED(status):
        return f"ended with exit code {os.waitstatus_to_exitcode(status)}"
    number = os.WTERMSIG(status)
    if number == signal.SIGKILL:
        return "killed by SIGKILL, as the kernel does when memory runs out"
    try:
        return f"killed by {signal.Signals(number).name}"
    except ValueError:
        return f"killed by signal {number}"  # a real-time signal has no name
