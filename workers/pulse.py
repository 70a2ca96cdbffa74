"""Tells whoever started a process that it goes on, once a second, as long as its main loop passes.

A thread does it, because a main loop may rightly take longer than a listener is patient: a worker's Redis client tries
for a minute. A process that is stopped, or whose interpreter hangs in a library, sends nothing from that moment on; one
whose main loop alone hangs sends nothing once the patience with it has ended.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

from workers.notify import Notifier
from workers.silence import Silence

LOOP_PATIENCE_S: Final = 150.0
_EVERY_S: Final = 1.0
_GAP_S: Final = 5.0


class Laps:
    """One thread notes that its loop has passed, another one asks."""

    def __init__(self) -> None:
        self._new = True

    def passed(self) -> None:
        self._new = True

    def any_new(self) -> bool:
        """Tell whether the loop has passed since the last question."""
        new, self._new = self._new, False
        return new


def keep_telling(notifier: Notifier, passed: Callable[[], bool], *, patience_s: float = LOOP_PATIENCE_S) -> None:
    """Start the thread, unless nobody listens. ``passed``: whether the loop has passed since the last call."""
    if notifier.heard:
        thread = threading.Thread(target=_tell, args=(notifier, passed, patience_s), name="pulse", daemon=True)
        thread.start()


def _tell(notifier: Notifier, passed: Callable[[], bool], patience_s: float) -> None:
    silence = Silence(gap_s=_GAP_S)
    while True:
        if silence.look(time.monotonic(), heard=passed()) <= patience_s:
            notifier.alive()
        time.sleep(_EVERY_S)
