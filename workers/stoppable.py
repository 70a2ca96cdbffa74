"""RQ's worker, but that it stops between two jobs and nowhere else."""

import signal
import time
from datetime import UTC, datetime
from types import FrameType
from typing import Any, Final

import structlog
from rq import Worker
from rq.exceptions import StopRequested

_TWICE_AT_ONCE_S: Final = 1.0

_log = structlog.get_logger("workers.worker")


class StoppableWorker(Worker):
    """RQ's own handler of SIGTERM leaves by an exception wherever the signal arrives, also between taking a job from
    the queue and noting that it has it. Here the signal sets a flag, and the flag is read where RQ looks after its
    maintenance: between two jobs. ``tests/workers/test_rq_contract.py`` pins that place.
    """

    # RQ doubles its pause up to a minute, and would come that much later than a Redis that is back.
    max_connection_wait_time = 2.0

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._stop_asked_at: float | None = None
        self._hurried = False

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        del signum, frame
        self._stop_asked_at = time.monotonic()
        self._shutdown_requested_date = datetime.now(UTC)
        signal.signal(signal.SIGINT, self.request_force_stop)
        signal.signal(signal.SIGTERM, self.request_force_stop)
        # Nothing is logged here: the signal may have come in the middle of a log line, whose lock this would wait for.
        self._stop_requested = True

    def request_force_stop(self, signum: int, frame: FrameType | None) -> None:
        """Take a second signal for the end of all patience. One that comes at once is the same one, sent to a group."""
        del signum, frame
        self._hurried = time.monotonic() - (self._stop_asked_at or 0.0) >= _TWICE_AT_ONCE_S

    def out_of_time(self, grace_s: float) -> bool:
        """Tell whether a stop was asked for, and more than once or more than ``grace_s`` seconds ago."""
        if self._stop_asked_at is None:
            return False
        return self._hurried or time.monotonic() - self._stop_asked_at >= grace_s

    @property
    def should_run_maintenance_tasks(self) -> bool:
        if self._stop_requested:
            _log.info("worker.stopping", name=self.name)
            raise StopRequested
        return bool(super().should_run_maintenance_tasks)

    def run_maintenance_tasks(self) -> None:
        """Clean RQ's registries, or leave it: nothing of ours depends on them, and an entry that cannot be read would
        end every worker at its start.
        """
        try:
            super().run_maintenance_tasks()  # type: ignore[no-untyped-call]
        except Exception:  # noqa: BLE001 - see above
            _log.exception("worker.maintenance", name=self.name)
            self.last_cleaned_at = datetime.now(UTC)  # type: ignore[assignment]
