"""The shift of a work-horse: when its step is done, it goes on with the next nudges of its lane, for a few seconds.

A fork for each step costs more than the step. A process for all of them would keep what a step leaves behind, and a
library that takes it down would take the worker along. So a horse lives for a shift. It takes one nudge at a time: what
it is killed with in hand is one, and its worker knows which (``slate.py``).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from redis import Redis
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import utcformat

from workers.nudges import StepJob, nudge_of
from workers.scripts import Scripts
from workers.slate import InHand, Slate

SHIFT_S: Final = 5.0
SHIFT_STEPS: Final = 1000


@dataclass(frozen=True, slots=True)
class Length:
    """How long a shift is at most. One step: a process of its own for each."""

    seconds: float = SHIFT_S
    steps: int = SHIFT_STEPS


def run_of(in_hand: InHand, connection: Redis, worker: str, lane: str) -> tuple[Job, Execution]:
    """What RQ's own notes about a run are made with, without asking Redis for them."""
    job = StepJob(in_hand.job_id, connection=connection, serializer=JSONSerializer)
    job.origin, job.timeout = lane, round(in_hand.timeout_s)
    job.started_at = datetime.now(UTC)
    return job, Execution(in_hand.run, in_hand.job_id, connection, worker)


class Shift:
    """``silent_s``: how long RQ takes a run for alive that nobody tells of. ``now``: monotonic seconds."""

    def __init__(
        self,
        redis: Redis,
        lane: str,
        worker: str,
        slate: Slate,
        *,
        silent_s: int,
        length: Length,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scripts = Scripts(redis)
        self._redis = redis
        self._lane = lane
        self._worker = worker
        self._slate = slate
        self._silent_s = silent_s
        self._length = length
        self._now = now

    def go_on(self, began: float, perform: Callable[[StepJob, Execution], bool]) -> None:
        """Perform the next nudges of a shift that began with a step of its own.

        ``perform``: answers whether it ended well. If it did not, it has told RQ so, and the shift is over.
        """
        ended: InHand | None = None
        for _ in range(self._length.steps - 1):
            if self._slate.called_off or self._now() - began >= self._length.seconds:
                break
            taken, ended = self._take(ended), None
            if taken is None:
                return
            job, in_hand = taken
            self._slate.write(in_hand)
            execution = Execution(in_hand.run, in_hand.job_id, self._redis, self._worker)
            if not perform(job, execution):
                return
            ended = in_hand
            if job.spent:
                break
        if ended is not None:
            self._turn(ended=ended)

    def _take(self, ended: InHand | None) -> tuple[StepJob, InHand] | None:
        run = uuid4().hex
        taken = self._turn(run=run, ended=ended)
        if not taken:
            return None
        name, *pairs = taken
        job = StepJob(name.decode("utf-8", "replace"), connection=self._redis, serializer=JSONSerializer)
        in_hand = InHand(job.id, run, None, 0.0, self._now())
        try:
            job.restore(dict(zip(pairs[::2], pairs[1::2], strict=True)))
            nudge = nudge_of(job) if job.func else None
        except Exception:  # noqa: BLE001 - it is whatever somebody wrote into Redis
            nudge = None
        if nudge is None:
            # That is RQ's to deal with, in a horse that dies of it if need be.
            self._turn(ended=in_hand, back=1)
            return None
        return job, InHand(job.id, run, nudge, float(job.timeout or 0), in_hand.since)

    def _turn(self, *, run: str | None = None, ended: InHand | None = None, back: int = 0) -> Any:
        at = datetime.now(UTC)
        said = {
            "lane": self._lane,
            "worker": self._worker,
            "kept_s": self._silent_s,
            "expires_at": int(at.timestamp()) + self._silent_s,
            "seconds": repr(at.timestamp()),
            "moment": utcformat(at),
            "back": back,
        }
        if run:
            said["run"] = run
        if ended:
            said["ended"] = [ended.job_id, ended.run]
        return self._scripts.run("shift", said)
