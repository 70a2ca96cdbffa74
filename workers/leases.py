"""Keeps the leases of what this process has in hand, so that only a dead step falls silent."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from workers.errors import LedgerUnavailable
from workers.identifiers import Subject
from workers.work import RENEW_EVERY_S


class Leases:
    """``renew``: renews that of one attempt; False where it is another's by now.

    One thread for all of them, which most steps never wake: starting one for each took longer than a question to Redis.
    """

    def __init__(self, renew: Callable[[Subject, int], bool], *, every_s: float = RENEW_EVERY_S) -> None:
        self._renew = renew
        self._every_s = every_s
        self._lock = threading.Lock()
        self._held: set[tuple[Subject, int]] = set()
        self._thread: threading.Thread | None = None

    @contextmanager
    def kept(self, subject: Subject, attempt: int) -> Iterator[None]:
        """Renew the lease of a claimed attempt at least every ``every_s`` seconds while the block runs."""
        held = subject, attempt
        try:
            with self._lock:
                self._held.add(held)
                self._begin()
            yield
        finally:
            with self._lock:
                self._held.discard(held)

    def _begin(self) -> None:
        # Not alive: this is a fork of the process that it runs in.
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="leases", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            time.sleep(self._every_s)
            with self._lock:
                if not self._held:
                    self._thread = None
                    return
                held = list(self._held)
            for each in held:
                self._renew_one(*each)

    def _renew_one(self, subject: Subject, attempt: int) -> None:
        try:
            if self._renew(subject, attempt):
                return
        except LedgerUnavailable:
            return  # it may be back the next time
        with self._lock:
            self._held.discard((subject, attempt))
