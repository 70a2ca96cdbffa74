"""The clock: moves what is due onto RQ, as fast as the budget allows and no faster. Any number of them may run.

It is what brings back delayed looks, retries, lost nudges and the steps of dead workers, all in the same way.
"""

import signal
import threading
import time
from collections.abc import Callable
from typing import Final

import structlog
from redis import Redis, RedisError

from workers.archive import keep_callbacks
from workers.artifacts import Artifacts
from workers.budget import Budget
from workers.connections import worker_redis
from workers.errors import ServiceError
from workers.ledger import Ledger
from workers.nudges import queue
from workers.settings import Settings
from workers.wiring import build, redis_url
from workers.work import FILES, QUEUE_CAP, UPSTREAM

_BUSY_S: Final = 0.05
_IDLE_S: Final = 0.25
_HOUSEKEEPING_S: Final = 5.0
_HOUSEKEEPING_MOST: Final = 20
# One nudge more than there are free slots: a worker that is there already takes a slot the moment it comes free.
_AHEAD: Final = 1

_log = structlog.get_logger("workers.clock")


class Clock:
    def __init__(self, ledger: Ledger, budget: Budget, artifacts: Artifacts, redis: Redis) -> None:
        self._ledger = ledger
        self._budget = budget
        self._artifacts = artifacts
        self._upstream = queue(redis, UPSTREAM)

    def tick(self) -> float:
        """Do one pass and answer how many seconds the next one may be away."""
        waits = [self._pace(), self._dispatch(FILES, QUEUE_CAP)]
        return max(_BUSY_S, min(*waits, _IDLE_S))

    def housekeep(self) -> None:
        """Keep the callback bodies that no fetch will come for."""
        for job in self._ledger.unarchived(_HOUSEKEEPING_MOST):
            keep_callbacks(self._ledger, self._artifacts, job)

    def _pace(self) -> float:
        # While nothing is due, which is most of the time, the one question is enough.
        wait = self._dispatch(UPSTREAM, 0)
        if wait > 0:
            return wait
        peek = self._budget.peek()
        if peek.pause_s > 0:
            return peek.pause_s
        return self._dispatch(UPSTREAM, max(0, peek.free + _AHEAD - self._upstream.count))

    def _dispatch(self, lane: str, most: int) -> float:
        done = self._ledger.dispatch(lane, most=most)
        if done.parked or done.silent:
            _log.warning("clock.silent", lane=lane, silent=done.silent, parked=done.parked)
        return _IDLE_S if done.next_ms is None else done.next_ms / 1000


def run(clock: Clock, stop: threading.Event, *, now: Callable[[], float]) -> None:
    """Tick until ``stop``. A fault is logged and the next pass comes: nothing else would bring the work back."""
    housekeeping_at = now()
    while not stop.is_set():
        wait = _IDLE_S
        try:
            wait = clock.tick()
            if now() >= housekeeping_at:
                housekeeping_at = now() + _HOUSEKEEPING_S
                clock.housekeep()
        except ServiceError as error:
            _log.error("clock.failed", reason=error.message)
        except RedisError as error:
            _log.error("clock.failed", reason=str(error))
        except Exception:  # noqa: BLE001 - see above
            _log.exception("clock.crashed")
        stop.wait(wait)


def run_clock(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT."""
    redis = worker_redis(redis_url(settings))
    services = build(settings, redis)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    _log.info("clock.started", limit=str(settings.rate_limit))
    run(Clock(services.ledger, services.budget, services.artifacts, redis), stop, now=time.monotonic)
    _log.info("clock.stopped")
