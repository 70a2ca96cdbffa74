"""Hands on what waits in the spool, in order, as soon as Redis takes writes. One at a time on a machine.

A crash between handing on and removing repeats the handing on, which the ledger knows by the receipt.
"""

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Final

import structlog
from redis import ResponseError

from workers import folderlock
from workers.errors import LedgerUnavailable, SpoolUnavailable
from workers.gate import ASK_EVERY_S
from workers.intake import Intake
from workers.records import Callback

_MOST: Final = 20
_STOP_S: Final = 3.0
# So often Redis may refuse one callback while it takes other writes, before that one is set aside.
_REFUSALS: Final = 60
_log = structlog.get_logger("spool")


class Drain:
    """``start`` and ``stop`` belong to the process that serves. ``turn`` does one round, for those without a thread."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._spool = intake.spool
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._refused = ("", 0)

    def start(self) -> None:
        # A daemon: cut off anywhere it loses nothing, so it never holds up the end of a process.
        self._thread = threading.Thread(target=self._run, name="drain", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the callback in hand; wait for that for 3 seconds at most."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_STOP_S)

    def turn(self) -> int:
        """Hand on all that waits, or find out whether Redis is back. Answers how many were handed on."""
        try:
            if self._intake.is_due():
                self._intake.try_redis()
            if not self._intake.redis_trusted:
                return 0
            with self._alone() as alone:
                return self._empty() if alone else 0
        except LedgerUnavailable:
            return 0

    def _run(self) -> None:
        told = ""
        with contextlib.suppress(SpoolUnavailable):
            self._spool.take_back()
        while not self._stop.is_set():
            try:
                self.turn()
                told = ""
            except Exception as error:  # noqa: BLE001 - whatever it is, the next round may do better
                if str(error) != told:
                    _log.error("spool.stuck", error=str(error), exc_info=not isinstance(error, SpoolUnavailable))
                told = str(error)
            self._stop.wait(ASK_EVERY_S)

    def _empty(self) -> int:
        done = 0
        while not self._stop.is_set() and (waiting := self._spool.oldest(_MOST)):
            handed_on: list[str] = []
            try:
                for callback in waiting:
                    if self._hand_on(callback):
                        handed_on.append(callback.receipt)
                    if self._stop.is_set():
                        break
            finally:
                self._spool.remove(handed_on)
                done += len(handed_on)
        if done:
            _log.info("spool.drained", callbacks=done)
        return done

    def _hand_on(self, callback: Callback) -> bool:
        try:
            self._intake.hand_on(callback)
        except LedgerUnavailable as error:
            self._intake.try_redis()  # raises where it is Redis that fails, and not this one callback
            if not self._is_hopeless(callback, error):
                raise
            self._spool.set_aside(callback.receipt)
            fix = "it is tried again at the next start"
            _log.critical("spool.set_aside", receipt=callback.receipt, error=str(error), fix=fix)
            return False
        return True

    def _is_hopeless(self, callback: Callback, error: LedgerUnavailable) -> bool:
        receipt, times = self._refused
        self._refused = (callback.receipt, times + 1 if receipt == callback.receipt else 1)
        # A large body on a slow line times out; that is no verdict on it.
        return isinstance(error.__cause__, ResponseError) and self._refused[1] >= _REFUSALS

    @contextlib.contextmanager
    def _alone(self) -> Iterator[bool]:
        """Yield whether there is something to do and nobody else does it."""
        if not self._spool.waits():
            yield False
            return
        lock = os.open(self._spool.path.with_name("draining.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield folderlock.take(lock)
        finally:
            os.close(lock)
