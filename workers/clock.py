"""The clock: moves what is due onto RQ, as fast as the budget allows and no faster. Any number of them may run.

It is what brings back delayed looks, retries, lost nudges and the steps of dead workers, all in the same way.
"""

import signal
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

import structlog
from redis import Redis, RedisError

from workers.archive import keep_callbacks
from workers.artifacts import Artifacts
from workers.attic import keep_packing
from workers.budget import Budget
from workers.connections import worker_redis
from workers.errors import ServiceError, StoreFull
from workers.freeing import Freer, keep_freeing
from workers.ledger import Ledger
from workers.limits import AHEAD_S, TURN_EVERY
from workers.notify import Notifier
from workers.nudges import queue
from workers.places import redis_url
from workers.presence import CLOCK, keep_present
from workers.pulse import Laps, keep_telling
from workers.records import Dispatched, Pass
from workers.retention import Retention
from workers.settings import Settings
from workers.wiring import build
from workers.work import FILES, QUEUE_CAP, UPSTREAM

_BUSY_S: Final = 0.02
# While work waits for slots: a nudge may end without one, and then somebody else can have it. Or for room in a queue.
_LOOK_S: Final = 0.1
# What becomes due while the clock sleeps waits so long at most. What is nudged at once, as a callback is, does not.
_IDLE_S: Final = 0.5
_HOUSEKEEPING_S: Final = 5.0
_HOUSEKEEPING_MOST: Final = 20
# What has to wait for a person is said once in so many rounds of housekeeping: about once a minute.
_MISSED_EVERY: Final = 12

_log = structlog.get_logger("workers.clock")


class Clock:
    """``budgets``: by account. What an account without a budget has due waits. ``retention``: what is old is erased."""

    def __init__(
        self,
        ledger: Ledger,
        budgets: Mapping[str, Budget],
        artifacts: Artifacts,
        redis: Redis,
        *,
        retention: Retention | None = None,
    ) -> None:
        self._ledger = ledger
        self._budgets = budgets
        self._artifacts = artifacts
        self._retention = retention
        self._upstream = queue(redis, UPSTREAM)
        self._since_turn = dict.fromkeys(budgets, 0)
        self._queued = dict.fromkeys(budgets, 0)
        self._housekeepings = 0
        self._full = False

    def tick(self) -> float:
        """Do one pass and answer how many seconds the next one may be away."""
        full = self._no_room()
        # While nothing is due, which is most of the time, this one question is enough. It names all lanes, also those
        # that may nudge nothing now: others tell by it that a lane has a clock.
        passes = [Pass(UPSTREAM, account) for account in dict.fromkeys([*self._budgets, ""])]
        passes.append(Pass(FILES, most=0 if full else QUEUE_CAP))
        wait = _IDLE_S
        for asked, done in zip(passes, self._ledger.dispatch_all(passes), strict=True):
            due_s = self._heard(asked, done)
            if asked.account in self._budgets and asked.lane == UPSTREAM:
                wait = min(wait, due_s or self._pace(asked.account))
            elif asked.lane == FILES and not full:
                wait = min(wait, due_s or _LOOK_S)  # what is due still finds the queue full
        return max(_BUSY_S, wait)

    def housekeep(self, passed: Callable[[], None] = lambda: None) -> None:
        """Keep the callback bodies that no fetch will come for, and erase what is old. ``passed``: called in between.

        And say now and then which account is missing.
        """
        if self._housekeepings % _MISSED_EVERY == 0:
            self._tell_missing()
        self._housekeepings += 1
        for job in self._ledger.unarchived(_HOUSEKEEPING_MOST):
            passed()
            try:
                keep_callbacks(self._ledger, self._artifacts, job)
            except StoreFull:
                break  # they stay in the ledger; that the disk is full is said once, see _no_room
        if self._retention is not None:
            self._retention.turn(passed)

    def _no_room(self) -> bool:
        """Whether no file is to be brought home now. Says so when that changes."""
        space = self._artifacts.space() if self._artifacts.holds_files else None
        if space is None or space.paused == self._full:
            return self._full
        self._full = space.paused
        said = {"free_bytes": space.free, "min_free_bytes": space.spare}
        if self._full:
            fix = "free some space: downloads wait, and go on by themselves; nothing is lost"
            _log.error("storage.paused", **said, fix=fix)
        else:
            _log.info("storage.resumed", **said)
        return self._full

    def _tell_missing(self) -> None:
        for account, waiting in self._ledger.unfinished().items():
            if waiting and account not in self._budgets:
                fix = "name it in SWIFTIA_ACCOUNTS: its jobs wait, and go on then"
                _log.error("account.missing", account=account, waiting=waiting, fix=fix)

    def _pace(self, account: str) -> float:
        """Nudge as much of what is due as there are slots for. Answers when to look again."""
        peek = self._budgets[account].peek()
        if peek.pause_s > 0:
            return peek.pause_s
        # As many workers as slots, on their way before these come free: they wait for the rest where they are.
        queued = self._queued[account] if len(self._budgets) > 1 else self._upstream.count
        most = peek.soon - peek.here - queued
        wait = 0.0
        if most > 0:
            turn = peek.turn and self._since_turn[account] >= TURN_EVERY - 1
            asked = Pass(UPSTREAM, account, most, turn)
            (done,) = self._ledger.dispatch_all([asked])
            wait = self._heard(asked, done)
            queued += done.nudged
        if queued > QUEUE_CAP // 2:
            return _LOOK_S  # that lasts for longer
        return wait or min(_LOOK_S, peek.later_s - AHEAD_S)

    def _heard(self, asked: Pass, done: Dispatched) -> float:
        """Note what became of a pass, and answer in how many seconds something may be due."""
        if asked.lane == UPSTREAM:
            since = self._since_turn.get(asked.account, 0)
            self._queued[asked.account] = done.queued
            self._since_turn[asked.account] = done.nudged - 1 if asked.turn else since + done.nudged
        if done.went_back_ms:
            # Each lane sees it once: if this process ends here, another one rewinds when it passes the other lane.
            _log.warning("clock.time_went_back", lane=asked.lane, seconds=done.went_back_ms / 1000)
            for name, budget in self._budgets.items():
                if asked.lane == FILES or name == asked.account:
                    budget.rewind(done.went_back_ms)
        if done.parked or done.silent:
            _log.warning("clock.silent", lane=asked.lane, silent=done.silent, parked=done.parked)
        return _IDLE_S if done.next_ms is None else done.next_ms / 1000


def run(
    clock: Clock, stop: threading.Event, *, now: Callable[[], float], passed: Callable[[], None] = lambda: None
) -> None:
    """Tick until ``stop``. A fault is logged and the next pass comes: nothing else would bring the work back.

    ``passed`` is called whenever the loop passes.
    """
    housekeeping_at = now()
    while not stop.is_set():
        passed()
        wait = _IDLE_S
        try:
            wait = clock.tick()
            if now() >= housekeeping_at:
                housekeeping_at = now() + _HOUSEKEEPING_S
                clock.housekeep(passed)
        except ServiceError as error:
            _log.error("clock.failed", reason=error.message)
        except RedisError as error:
            _log.error("clock.failed", reason=str(error))
        except Exception:  # noqa: BLE001 - see above
            _log.exception("clock.crashed")
        stop.wait(wait)


def run_clock(settings: Settings, notifier: Notifier) -> None:
    """Run until SIGTERM or SIGINT."""
    laps = Laps()
    keep_telling(notifier, laps.any_new)
    redis = worker_redis(redis_url(settings))
    services = build(settings, redis)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if settings.free_upstream:
        freer = Freer(services.ledger, services.upstreams, pause=stop.wait)
        threading.Thread(target=keep_freeing, args=(freer, stop), name="freeing", daemon=True).start()
    keep_present(redis, CLOCK)
    packing = (services.ledger.pack_one, stop)
    threading.Thread(target=keep_packing, args=packing, name="packing", daemon=True).start()
    notifier.ready()
    _log.info("clock.started", limits={name: str(budget.limit) for name, budget in services.budgets.items()})
    clock = Clock(services.ledger, services.budgets, services.artifacts, redis, retention=services.retention)
    run(clock, stop, now=time.monotonic, passed=laps.passed)
    notifier.stopping()
    _log.info("clock.stopped")
