"""RQ's worker as we run it: its work-horses go on for a shift, and it tells the ledger what became of them."""

import contextlib
import os
import signal
import time
from datetime import UTC, datetime
from types import FrameType
from typing import Any
from uuid import uuid4

import structlog
from redis import RedisError
from rq import Queue
from rq.exceptions import StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.timeouts import JobTimeoutException, UnixSignalDeathPenalty

from workers import jobs
from workers.attempts import StepTimeout
from workers.errors import LedgerUnavailable
from workers.horse import Heartbeat, how_it_ended
from workers.ledger import Ledger
from workers.nudges import Nudge, StepJob, nudge_of
from workers.pulse import Laps
from workers.records import Record
from workers.shift import Length, Shift
from workers.slate import InHand, Slate
from workers.stoppable import StoppableWorker
from workers.work import LEASE_S

# A step is ended from inside when its time is over, and where that does not reach it from outside, so much later.
_OVERTIME_S = 15.0
# RQ takes a worker for dead that has not been heard of for so much longer than it looks at its horse.
_RQ_SPARE_S = 60
# How often an idle worker says that it lives.
_NOTED_EVERY_S = 15.0

_log = structlog.get_logger("workers.worker")


class StepPenalty(UnixSignalDeathPenalty):
    """Ends a step that takes too long with an exception of ours, which a step cannot take for one of its own."""

    def handle_death_penalty(self, signum: int, frame: FrameType | None) -> None:
        if self._exception is JobTimeoutException:
            raise StepTimeout(self._timeout)
        super().handle_death_penalty(signum, frame)  # type: ignore[no-untyped-call]


class StepWorker(StoppableWorker):
    """Forks a work-horse for a shift of steps, and ends it, or tells the ledger of its end, where that is called for.

    ``last_words``: a ledger whose client gives up after seconds; what cannot be told there, the lease covers.
    ``horse_patience_s``: how long a work-horse may be silent. ``overtime_s``: how long it may go on after its time is
    over. ``laps``: told when the main loop passes. ``shift``: how long a horse goes on with the next nudges.
    """

    death_penalty_class = StepPenalty

    def __init__(
        self,
        *args: Any,
        last_words: Ledger | None = None,
        horse_patience_s: float = LEASE_S,
        overtime_s: float = _OVERTIME_S,
        laps: Laps | None = None,
        shift: Length | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self._last_words = last_words
        self._horse_patience_s = horse_patience_s
        self._overtime_s = overtime_s
        self._laps = laps or Laps()
        self._noted_at = float("-inf")
        self._heartbeat = Heartbeat(gap_s=2.0 * self.job_monitoring_interval)
        self._shift = shift or Length()
        self._slate = Slate()
        self._shift_name = ""
        self._first: Nudge | None = None
        self._told = False
        self._ended: int | None = None
        self._forked_at = 0.0
        self._killed_because = ""
        self._cut_off = False

    # Being stopped

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        self._slate.call_off()
        super().request_stop(signum, frame)

    def cut_off(self) -> None:
        """End the step in hand and put it back: it runs elsewhere at once, and that it was cut off is not its fault."""
        self._cut_off = True
        self.kill_horse()
        self._tell(reason="", crashed=False)

    # Going on, and looking after the horse

    def heartbeat(self, *args: Any, **options: Any) -> None:
        """Called by RQ wherever its loop passes, before it asks Redis for anything.

        It passes every few seconds, and what it notes by that lasts for more than a minute.
        """
        self._laps.passed()
        now = time.monotonic()
        if args or options or now >= self._noted_at + _NOTED_EVERY_S:
            super().heartbeat(*args, **options)
            self._noted_at = now

    def execute_job(self, job: Job, queue: Queue) -> None:
        self._killed_because = ""
        super().execute_job(job, queue)

    def fork_work_horse(self, job: Job, queue: Queue) -> None:
        if self._cut_off:
            raise StopRequested
        self._forked_at = time.monotonic()
        self._heartbeat.expect(self._forked_at)
        self._shift_name, self._first, self._told = uuid4().hex, nudge_of(job), False
        self._slate.write(InHand(0, float(job.timeout or 0), self._forked_at))
        super().fork_work_horse(job, queue)

    def main_work_horse(self, job: Job, queue: Queue) -> None:
        try:
            self._heartbeat.start()
        except RuntimeError:
            os._exit(1)  # no thread to be had. What is raised here would make a second worker of the horse
        super().main_work_horse(job, queue)

    def perform_job(self, job: Job, queue: Queue, execution: Execution) -> bool:
        """Called in the horse: RQ's own way for the first nudge, and the shift after it."""
        good = super().perform_job(job, queue, execution)
        if good and isinstance(job, StepJob) and not job.spent:
            taken_by = queue.name, self.name, self._slate
            shift = Shift(jobs.bound().ledger, *taken_by, name=self._shift_name, length=self._shift)
            with contextlib.suppress(LedgerUnavailable):  # its worker meets that too, and waits
                shift.go_on(self._forked_at, _perform)
        return good

    def maintain_heartbeats(self, job: Job, execution: Execution) -> None:
        """Called every few seconds while a horse works. What RQ notes here matters to nobody: it may fail."""
        in_hand = self._slate.read()
        if given_up := self._given_up(in_hand, time.monotonic()):
            self._killed_because = given_up
            self.kill_horse()
            return
        try:
            if in_hand.number == 0:
                super().maintain_heartbeats(job, execution)
            else:
                self.heartbeat(self.job_monitoring_interval + _RQ_SPARE_S)
                job.started_at = datetime.now(UTC)  # RQ has its own limit, and counts from here
        except RedisError as error:
            _log.warning("worker.heartbeat", name=self.name, error=str(error))

    def _given_up(self, in_hand: InHand, now: float) -> str:
        """Say why the horse is to be ended; nothing if it is not."""
        if self._heartbeat.silent_s(now) > self._horse_patience_s:
            return f"silent for {self._horse_patience_s:g} s"
        if now - in_hand.since > in_hand.timeout_s + self._overtime_s:
            return f"ran for more than {in_hand.timeout_s:g} s"
        return ""

    def wait_for_horse(self) -> tuple[int | None, int | None, Any]:
        found = super().wait_for_horse()
        self._ended = found[1]
        return found

    def monitor_work_horse(self, job: Job, queue: Queue, execution: Execution) -> None:
        """RQ knows of the first nudge of a shift alone: a horse that dies of a later one is looked after here."""
        super().monitor_work_horse(job, queue, execution)
        if self._ended == os.EX_OK or self._told:
            return
        reason = self._killed_because or ("" if self._ended is None else how_it_ended(self._ended))
        timeout_s = self._slate.read().timeout_s
        self._tell(reason=reason or f"ran for more than {timeout_s:g} s", crashed=not self._cut_off)

    def kill_horse(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """End the horse and what it started, if there is one: RQ's own way may meet this process in its place."""
        if horse := self.horse_pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(horse, sig)
                os.killpg(horse, sig)

    def handle_work_horse_killed(self, job: Job, retpid: int | None, ret_val: int | None, rusage: object) -> None:
        """Called by RQ when a horse ended without a word. ``ret_val`` is None where RQ ended it: it took too long."""
        del retpid, rusage
        self._told = True
        ended = f"ran for more than {job.timeout} s" if ret_val is None else how_it_ended(ret_val)
        self._tell(reason=self._killed_because or ended, crashed=not self._cut_off)

    def _tell(self, *, reason: str, crashed: bool) -> None:
        if self._last_words is None:
            return
        said: dict[str, object] = {"crashed": crashed, "reason": reason}
        try:
            nudge = self._last_words.given(self.name, self._shift_name) or self._first
            if nudge is None:
                return
            said |= {"step": nudge.step, "subject": str(nudge.subject), "attempt": nudge.attempt}
            said["told"] = self._last_words.lost(nudge.subject, nudge.attempt, reason=reason, crashed=crashed)
            self._last_words.put_down(self.name)
        except Exception as error:  # noqa: BLE001 - the lease covers it, and the worker goes on
            said["untold"] = str(error)
        _log.warning("step.lost", **said)


def _perform(record: Record, timeout_s: int) -> bool:
    """Do a step that a horse has taken, and answer whether it may go on."""
    try:
        with StepPenalty(timeout_s, JobTimeoutException):  # type: ignore[no-untyped-call]
            return jobs.carry_out(record)
    except (Exception, StepTimeout):  # noqa: BLE001 - the attempt comes back, and this horse ends
        _log.exception("step.unwritten", step=record.step, subject=str(record.subject), attempt=record.attempt)
        return False
