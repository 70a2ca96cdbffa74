"""A courier: carries deliveries out, many at once, in threads of one process.

A delivery waits for somebody else's server nearly all of its time, and a dead one makes it wait for as long as patience
lasts. So there is no process for each, as for the other steps: threads take what is due straight from the ledger. No
target gets more than its share of them, and one that fails only one, so that the others never wait for it.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import structlog

from workers import exporting
from workers.attempts import Attempts
from workers.connections import worker_redis
from workers.errors import LedgerUnavailable
from workers.ledger import Ledger
from workers.notify import Notifier
from workers.outcomes import Done
from workers.places import redis_url
from workers.presence import COURIER, keep_present
from workers.pulse import Laps, keep_telling
from workers.records import Record
from workers.rooms import Rooms
from workers.settings import Settings
from workers.wiring import build
from workers.work import HANDLER_TIMEOUT_S

# A delivery waits so long at most until it is seen, unless another one has just ended.
_IDLE_S: Final = 0.5
_BLIND_S: Final = 1.0

_log = structlog.get_logger("workers.courier")


class Courier:
    """``now``: a monotonic clock in seconds. ``hung_s``: how long a delivery may take; ``give_up`` is called then."""

    def __init__(
        self,
        ledger: Ledger,
        attempts: Attempts,
        rooms: Rooms,
        *,
        now: Callable[[], float] = time.monotonic,
        hung_s: float = HANDLER_TIMEOUT_S,
        give_up: Callable[[], None] = lambda: os._exit(1),
    ) -> None:
        self._ledger = ledger
        self._attempts = attempts
        self._rooms = rooms
        self._now = now
        self._hung_s = hung_s
        self._give_up = give_up
        self._changed = threading.Condition()
        self._in_hand: dict[int, tuple[Record, float]] = {}

    def run(self, stop: threading.Event, *, grace_s: float, passed: Callable[[], None] = lambda: None) -> bool:
        """Carry out what is due until ``stop``; then let what is in hand end, for ``grace_s`` seconds at most.

        What has not ended by then is put back, and its threads go on: answers whether there are none.
        """
        pool = ThreadPoolExecutor(self._rooms.all, thread_name_prefix="delivery")
        while not stop.is_set():
            passed()
            self._look_for_hung()
            self._pause(self._take(pool))
        deadline = self._now() + grace_s
        while self._in_hand and self._now() < deadline:
            passed()
            self._pause(min(_IDLE_S, max(0.0, deadline - self._now())))
        left = list(self._in_hand.values())
        for record, _ in left:
            self._lost(record, reason="", crashed=False)
        pool.shutdown(wait=False, cancel_futures=True)
        return not left

    def wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _take(self, pool: ThreadPoolExecutor) -> float:
        """Start one delivery if one is due and has room; seconds until it is worth to look again."""
        if self._rooms.are_full:
            return _IDLE_S
        try:
            taken = self._ledger.take_delivery(self._rooms.full())
        except LedgerUnavailable as error:
            _log.warning("courier.without_redis", reason=error.message)
            return _BLIND_S
        if not isinstance(taken, Record):
            return _IDLE_S if taken is None else min(taken, _IDLE_S)
        self._rooms.enter(taken.fields["target"])
        self._in_hand[id(taken)] = (taken, self._now())
        pool.submit(self._carry_out, taken)
        return 0.0

    def _carry_out(self, record: Record) -> None:
        outcome = None
        try:
            outcome = self._attempts.carry_out(record)
        except LedgerUnavailable as error:
            _log.warning("courier.unwritten", subject=str(record.subject), reason=error.message)
        finally:
            self._in_hand.pop(id(record), None)
            self._rooms.leave(record.fields["target"], failed=not isinstance(outcome, Done))
            self.wake()

    def _look_for_hung(self) -> None:
        """End the process when a handler does not come back: a thread cannot be ended, and it holds its place."""
        latest = self._now() - self._hung_s
        hung = [record for record, since in list(self._in_hand.values()) if since < latest]
        for record in hung:
            self._lost(record, reason=f"ran for more than {self._hung_s:g} s", crashed=True)
        if hung:
            self._give_up()

    def _lost(self, record: Record, *, reason: str, crashed: bool) -> None:
        try:
            self._ledger.lost(record.subject, record.attempt, reason=reason, crashed=crashed)
        except LedgerUnavailable as error:
            _log.warning("courier.unwritten", subject=str(record.subject), reason=error.message)  # the lease covers it

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait(seconds)


def run_courier(settings: Settings, notifier: Notifier) -> None:
    """Run until SIGTERM or SIGINT."""
    laps = Laps()
    keep_telling(notifier, laps.any_new)
    exporting.start("courier")
    redis = worker_redis(redis_url(settings))
    services = build(settings, redis, with_handler=True)
    keep_present(redis, COURIER)
    courier = Courier(services.ledger, services.attempts, Rooms(settings.delivery_threads))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    notifier.ready()
    _log.info("courier.started", threads=settings.delivery_threads)
    all_ended = courier.run(stop, grace_s=settings.grace_seconds, passed=laps.passed)
    notifier.stopping()
    _log.info("courier.stopped")
    if not all_ended:
        os._exit(0)  # the interpreter would wait for threads whose work was put back
