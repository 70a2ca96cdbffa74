"""Deletes the files of a job at Swiftia once all of it is kept here, where that is wanted: its storage is small.

Each request takes a slot of the least important class. A job is taken with a term, so one that is cut off comes again,
and deletes what is left; what is gone already is no error.
"""

import threading
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

import structlog

from workers.budget import NoSlot
from workers.errors import ServiceError
from workers.ledger import Ledger
from workers.records import Freeing
from workers.upstreams import Upstream, Upstreams

T = TypeVar("T")
_IDLE_S: Final = 5.0
_AGAIN_S: Final = 600.0
_MOST_TRIES: Final = 10
_log = structlog.get_logger("workers.freeing")


class Freer:
    """``pause``: waits for so many seconds, and tells whether to stop."""

    def __init__(self, ledger: Ledger, upstreams: Upstreams, *, pause: Callable[[float], bool]) -> None:
        self._ledger = ledger
        self._upstreams = upstreams
        self._pause = pause

    def turn(self) -> bool:
        """Free the files of one job. False if there is none."""
        taken = self._ledger.take_freeing(again_s=_AGAIN_S)
        if taken is None:
            return False
        try:
            deleted = self._free(self._upstreams.of(taken.account), taken.job_id)
        except ServiceError as error:
            self._not_now(taken, error)
        else:
            if deleted is not None:
                self._ledger.freed(taken.job_id, "upstream.freed", files=deleted)
        return True

    def _free(self, upstream: Upstream, job_id: str) -> int | None:
        uploads = self._in_turn(upstream, job_id, upstream.swiftia.uploads)
        if uploads is None:
            return None
        mine = [file.id for file in uploads.files if file.job_id == job_id]
        for file_id in mine:
            if self._in_turn(upstream, job_id, partial(upstream.swiftia.delete_file, file_id)) is None:
                return None
        return len(mine)

    def _in_turn(self, upstream: Upstream, job_id: str, ask: Callable[[], T]) -> T | None:
        """None if it is time to stop: nothing was asked then."""
        while True:
            try:
                with upstream.budget.slot("reconcile", f"free-{job_id}"):
                    return ask()
            except NoSlot as turn:
                if self._pause(turn.wait_s):
                    return None

    def _not_now(self, taken: Freeing, error: ServiceError) -> None:
        _log.warning("upstream.not_freed", job=taken.job_id, tries=taken.tries, reason=error.message)
        if taken.tries >= _MOST_TRIES:
            self._ledger.freed(taken.job_id, "upstream.not_freed", reason=error.message)


def keep_freeing(freer: Freer, stop: threading.Event) -> None:
    """Run until ``stop``; a thread of the clock, whose own work waits for nobody."""
    while not stop.is_set():
        try:
            busy = freer.turn()
        except ServiceError as error:
            _log.warning("freeing.failed", reason=error.message)
            busy = False
        if not busy:
            stop.wait(_IDLE_S)
