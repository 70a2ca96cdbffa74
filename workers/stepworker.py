"""RQ's worker as we run it: it stops only between two jobs, and tells the ledger what became of its work-horses."""

import contextlib
import os
import signal
import time
from datetime import UTC, datetime
from types import FrameType
from typing import Any

import structlog
from redis import RedisError
from rq import Queue, Worker
from rq.exceptions import StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.timeouts import JobTimeoutException, UnixSignalDeathPenalty

from workers.attempts import StepTimeout
from workers.horse import Heartbeat, how_it_ended
from workers.ledger import Ledger
from workers.nudges import Nudge, nudge_of
from workers.pulse import Laps
from workers.work import LEASE_S

_TWICE_AT_ONCE_S = 1.0
# A step is ended from inside when its time is over, and where that does not reach it from outside, so much later.
_OVERTIME_S = 15.0

_log = structlog.get_logger("workers.worker")


class StepPenalty(UnixSignalDeathPenalty):
    """Ends a step that takes too long with an exception of ours, which a step cannot take for one of its own."""

    def handle_death_penalty(self, signum: int, frame: FrameType | None) -> None:
        if self._exception is JobTimeoutException:
            raise StepTimeout(self._timeout)
        super().handle_death_penalty(signum, frame)  # type: ignore[no-untyped-call]


class StepWorker(Worker):
    """RQ's own handler of SIGTERM leaves by an exception wherever the signal arrives, also between taking a job from
    the queue and noting that it has it. Here the signal sets a flag, and the flag is read where RQ looks after its
    maintenance: between two jobs. ``tests/workers/test_rq_contract.py`` pins that place.

    ``last_words``: a ledger whose client gives up after seconds; what cannot be told there, the lease covers.
    ``horse_patience_s``: how long a work-horse may be silent. ``overtime_s``: how long it may go on after its time is
    over. ``laps``: told when the main loop passes.
    """

    death_penalty_class = StepPenalty
    # RQ doubles its pause up to a minute, and would come that much later than a Redis that is back.
    max_connection_wait_time = 2.0

    def __init__(
        self,
        *args: Any,
        last_words: Ledger | None = None,
        horse_patience_s: float = LEASE_S,
        overtime_s: float = _OVERTIME_S,
        laps: Laps | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self._last_words = last_words
        self._horse_patience_s = horse_patience_s
        self._overtime_s = overtime_s
        self._laps = laps or Laps()
        self._heartbeat = Heartbeat(gap_s=2.0 * self.job_monitoring_interval)
        self._in_hand: Nudge | None = None
        self._forked_at = 0.0
        self._killed_because = ""
        self._stop_asked_at: float | None = None
        self._hurried = False
        self._cut_off = False

    # Being stopped

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

    def cut_off(self) -> None:
        """End the step in hand and put it back: it runs elsewhere at once, and that it was cut off is not its fault."""
        self._cut_off = True
        self.kill_horse()
        self._tell(reason="", crashed=False)

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

    # Going on, and looking after the horse

    def heartbeat(self, *args: Any, **options: Any) -> None:
        """Called by RQ wherever its loop passes, before it asks Redis for anything."""
        self._laps.passed()
        super().heartbeat(*args, **options)

    def execute_job(self, job: Job, queue: Queue) -> None:
        self._in_hand, self._killed_because = nudge_of(job), ""
        super().execute_job(job, queue)
        self._in_hand = None

    def fork_work_horse(self, job: Job, queue: Queue) -> None:
        if self._cut_off:
            raise StopRequested
        self._forked_at = time.monotonic()
        self._heartbeat.expect(self._forked_at)
        super().fork_work_horse(job, queue)

    def main_work_horse(self, job: Job, queue: Queue) -> None:
        try:
            self._heartbeat.start()
        except RuntimeError:
            os._exit(1)  # no thread to be had. What is raised here would make a second worker of the horse
        super().main_work_horse(job, queue)

    def maintain_heartbeats(self, job: Job, execution: Execution) -> None:
        """Called every few seconds while a horse works. What RQ notes here matters to nobody: it may fail."""
        if given_up := self._given_up(job, time.monotonic()):
            self._killed_because = given_up
            self.kill_horse()
            return
        try:
            super().maintain_heartbeats(job, execution)
        except RedisError as error:
            _log.warning("worker.heartbeat", name=self.name, error=str(error))

    def _given_up(self, job: Job, now: float) -> str:
        """Say why the horse is to be ended; nothing if it is not."""
        if self._heartbeat.silent_s(now) > self._horse_patience_s:
            return f"silent for {self._horse_patience_s:g} s"
        seconds = float(job.timeout or 0)
        if now - self._forked_at > seconds + self._overtime_s:
            return f"ran for more than {seconds:g} s"
        return ""

    def kill_horse(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """End the horse and what it started, if there is one: RQ's own way may meet this process in its place."""
        if horse := self.horse_pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(horse, sig)
                os.killpg(horse, sig)

    def handle_work_horse_killed(self, job: Job, retpid: int | None, ret_val: int | None, rusage: object) -> None:
        """Called by RQ when a horse ended without a word. ``ret_val`` is None where RQ ended it: it took too long."""
        del retpid, rusage
        ended = f"ran for more than {job.timeout} s" if ret_val is None else how_it_ended(ret_val)
        self._tell(reason=self._killed_because or ended, crashed=not self._cut_off)

    def _tell(self, *, reason: str, crashed: bool) -> None:
        nudge = self._in_hand
        if nudge is None or self._last_words is None:
            return
        said = {"step": nudge.step, "subject": str(nudge.subject), "attempt": nudge.attempt, "crashed": crashed}
        try:
            told = self._last_words.lost(nudge.subject, nudge.attempt, reason=reason, crashed=crashed)
        except Exception as error:  # noqa: BLE001 - the lease covers it, and the worker goes on
            _log.warning("step.lost", **said, reason=reason, untold=str(error))
        else:
            _log.warning("step.lost", **said, reason=reason, told=told)
