"""A worker process: one lane, one RQ queue, one forked work-horse per step.

One queue per process, because RQ loses a job that it takes from two queues at once if it dies at that moment. A
work-horse per step, because a step that takes its process down (out of memory, a fault in a library) must not take the
worker along. Neither matters for the truth: that is in the ledger, and a nudge that is lost comes back by the lease.
"""

import contextlib
import os
import signal
import threading
import time
from datetime import UTC, datetime
from types import FrameType
from typing import Any

import structlog
from redis import Redis
from rq import Worker
from rq.exceptions import StopRequested
from rq.serializers import JSONSerializer

from workers import jobs
from workers.connections import worker_redis
from workers.nudges import StepJob, queue
from workers.settings import Settings
from workers.wiring import build, redis_url

# RQ waits for work for ``worker_ttl - 15`` seconds at a time; a stop is honoured in between.
_WORKER_TTL_S = 18
_MAINTENANCE_S = 30
_MONITORING_S = 5
_GRACE_LOOK_S = 0.5

_log = structlog.get_logger("workers.worker")


class StepWorker(Worker):
    """An RQ worker that is stopped only where it holds no job.

    RQ's own handler leaves by an exception wherever the signal arrives, also between taking a job from the queue and
    noting that it has it. Here the signal sets a flag, and the flag is read where RQ looks after its maintenance:
    between two jobs. ``tests/workers/test_rq_contract.py`` pins that place.
    """

    stop_asked_at: float | None = None

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        del signum, frame
        self.stop_asked_at = time.monotonic()
        self._shutdown_requested_date = datetime.now(UTC)
        signal.signal(signal.SIGINT, self.request_force_stop)
        signal.signal(signal.SIGTERM, self.request_force_stop)
        # Nothing is logged here: the signal may have come in the middle of a log line, whose lock this would wait for.
        self._stop_requested = True

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


def end_by_force(worker: StepWorker, grace_s: float) -> None:
    """End the process once a stop was asked for and ``grace_s`` seconds have passed: the ledger brings its step back.

    RQ waits for a step, and for a Redis that is gone, as long as it takes.
    """
    while worker.stop_asked_at is None or time.monotonic() - worker.stop_asked_at < grace_s:
        time.sleep(_GRACE_LOOK_S)
    with contextlib.suppress(Exception):
        worker.kill_horse()
    os._exit(1)


def step_worker(connection: Redis, lane: str) -> StepWorker:
    options: dict[str, Any] = {
        "worker_ttl": _WORKER_TTL_S,
        "maintenance_interval": _MAINTENANCE_S,
        "job_monitoring_interval": _MONITORING_S,
    }
    return StepWorker(
        [queue(connection, lane)],
        connection=connection,
        job_class=StepJob,
        serializer=JSONSerializer,
        log_job_description=False,
        **options,
    )


def run_worker(settings: Settings, lane: str) -> None:
    """Work on one lane until SIGTERM. Everything is built before the forks, so that a work-horse starts at once."""
    redis = worker_redis(redis_url(settings))
    services = build(settings, redis)
    jobs.bind(services.attempts)
    _log.info("worker.started", lane=lane)
    worker = step_worker(redis, lane)
    threading.Thread(target=end_by_force, args=(worker, settings.grace_seconds), name="grace", daemon=True).start()
    worker.work(logging_level="WARNING", with_scheduler=False)
    _log.info("worker.stopped", lane=lane)
