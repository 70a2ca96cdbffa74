"""Keeps services alive: starts them in order, starts again whatever ends or falls silent, stops them in reverse order.

One thread, woken by signals. Whatever the exit code, an end is an end: RQ's workers exit with 0 on failure.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog
from structlog.typing import FilteringBoundLogger

from workers.errors import ServiceError
from workers.notify import Notifier
from workers.signals import Signals, listening
from workers.silence import Silence

_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 5.0
_SETTLED_S = 10.0
_READY_POLL_S = 0.05
_LONGEST_WAIT_S = 1.0
# How long a process may take to its first sign of life.
_START_S = 60.0
# The supervisor looks every second. Where more than this lies between two looks it was held up itself.
_GAP_S = 5.0
_LOG: FilteringBoundLogger = structlog.get_logger()


class Service(Protocol):
    """What the supervisor keeps alive. No call waits long, and ``ready`` raises nothing.

    ``stop_seconds``: how long ``terminate`` may take before ``kill``; None: as long as it takes.
    ``watchdog_seconds``: how long it may be silent; None: it tells nothing.
    """

    @property
    def name(self) -> str: ...
    @property
    def pid(self) -> int | None: ...
    @property
    def stop_seconds(self) -> float | None: ...
    @property
    def watchdog_seconds(self) -> float | None: ...
    def launch(self) -> None: ...
    def ready(self) -> bool: ...
    def heard(self) -> bool:
        """Tell whether a sign of life came since the last call."""

    def poll(self) -> int | None:
        """Return the exit code; None while it runs."""

    def terminate(self) -> None: ...
    def kill(self) -> None:
        """End it by force, and what it left behind; called after every exit too."""


def restart_delay(quick_deaths: int) -> float:
    """Return the seconds to wait after so many deaths in a row that each came soon after a start.

    >>> [restart_delay(n) for n in (0, 1, 2, 6, 10**9)]
    [0.1, 0.2, 0.4, 5.0, 5.0]
    """
    return float(min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2 ** min(quick_deaths, 10)))


@dataclass(slots=True)
class _Care:
    """One service and what became of it so far. Times are those of the supervisor's clock."""

    service: Service
    start_s: float
    running: bool = False
    ready: bool = False
    launches: int = 0
    launched_at: float = 0.0
    quick_deaths: int = 0
    due: float = 0.0
    heard: bool = False
    silence: Silence = field(default_factory=lambda: Silence(gap_s=_GAP_S))

    def started(self, now: float) -> None:
        self.running, self.ready, self.launched_at = True, False, now
        self.launches += 1
        self._listen_anew()

    def _listen_anew(self) -> None:
        self.heard, self.silence = False, Silence(gap_s=_GAP_S)

    def wedged_for(self, now: float) -> float:
        """Listen, and return for how many seconds it has been silent if that is too long, else nought."""
        patience = self.service.watchdog_seconds
        if not self.running or patience is None:
            return 0.0
        heard = self.service.heard()
        self.heard = self.heard or heard
        seconds = self.silence.look(now, heard=heard)
        if seconds <= (patience if self.heard else max(patience, self.start_s)):
            return 0.0
        self._listen_anew()  # so that one that even a kill does not end is not told of every second
        return seconds

    def ended(self, now: float) -> None:
        if self.running and now - self.launched_at >= _SETTLED_S:
            self.quick_deaths = 0
        self.running, self.due = False, now + restart_delay(self.quick_deaths)
        self.quick_deaths += 1

    def is_ready(self) -> bool:
        self.ready = self.running and (self.ready or self.service.ready())
        return self.ready


class Supervisor:
    """``ranks``: the services in start order. A rank starts together when the one before is ready, and stops together
    when the one after has ended. ``now``: a monotonic clock in seconds. ``notifier``: who is told that the supervisor
    itself goes on. ``start_s``: how long a service may take to its first sign of life.
    """

    def __init__(
        self,
        ranks: Sequence[Sequence[Service]],
        *,
        now: Callable[[], float] = time.monotonic,
        log: FilteringBoundLogger = _LOG,
        notifier: Notifier | None = None,
        start_s: float = _START_S,
    ) -> None:
        self._ranks = [[_Care(service, start_s) for service in rank] for rank in ranks]
        self._begun: list[list[_Care]] = []
        self._now = now
        self._log = log
        self._notifier = notifier or Notifier(None)

    def run(self) -> None:
        """Return when SIGTERM, SIGINT or SIGHUP came and everything has ended. Runs in the main thread only.

        What the first start of a service raises ends the others and is raised here.
        """
        with listening() as signals:
            try:
                while not signals.stop_asked:
                    self._begin_ranks()
                    self._look_after()
                    self._notifier.alive()
                    signals.wait(self._pause())
            finally:
                self._notifier.stopping()
                for rank in reversed(self._begun):
                    self._stop(rank, signals)

    def _begin_ranks(self) -> None:
        while len(self._begun) < len(self._ranks) and all(care.is_ready() for rank in self._begun for care in rank):
            rank = self._ranks[len(self._begun)]
            self._begun.append(rank)
            for care in rank:
                self._launch(care)

    def _look_after(self) -> None:
        for rank in self._begun:
            for care in rank:
                self._notice_end(care)
                self._end_if_wedged(care)
                if not care.running and self._now() >= care.due:
                    self._launch(care)

    def _launch(self, care: _Care) -> None:
        service = care.service
        try:
            service.launch()
        except (ServiceError, OSError) as error:
            if care.launches == 0:
                raise
            self._log.error("process.unstartable", service=service.name, error=str(error))
            care.ended(self._now())
            return
        care.started(self._now())
        first = care.launches == 1
        self._log.info("process.started" if first else "process.restarted", service=service.name, pid=service.pid)

    def _notice_end(self, care: _Care, *, expected: bool = False) -> None:
        if not care.running or (code := care.service.poll()) is None:
            return
        # An orphan that lives on would take work, and hold connections, beside its successor.
        care.service.kill()
        care.ended(self._now())
        log = self._log.info if expected else self._log.warning
        log("process.exited", service=care.service.name, pid=care.service.pid, code=code)

    def _end_if_wedged(self, care: _Care) -> None:
        if seconds := care.wedged_for(self._now()):
            self._log.error("process.wedged", service=care.service.name, pid=care.service.pid, silent_s=round(seconds))
            care.service.kill()

    def _pause(self) -> float:
        cares = [care for rank in self._begun for care in rank]
        waits = [care.due - self._now() for care in cares if not care.running]
        if len(self._begun) < len(self._ranks):
            waits.append(_READY_POLL_S)
        return max(0.0, min(waits, default=_LONGEST_WAIT_S))

    def _stop(self, rank: list[_Care], signals: Signals) -> None:
        for care in rank:
            self._notice_end(care)
            if care.running:
                care.service.terminate()
        asked_at, patient = self._now(), list(rank)
        while any(care.running for care in rank):
            for care in [care for care in patient if self._is_overdue(care, asked_at)]:
                patient.remove(care)
                self._log.error("process.killed", service=care.service.name, pid=care.service.pid)
                care.service.kill()
            self._notifier.alive()
            signals.wait(_READY_POLL_S)
            for care in rank:
                self._notice_end(care, expected=True)

    def _is_overdue(self, care: _Care, asked_at: float) -> bool:
        patience = care.service.stop_seconds
        return care.running and patience is not None and self._now() - asked_at >= patience
