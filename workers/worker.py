"""A worker process: one lane, one RQ queue, one forked work-horse per shift of steps.

One queue per process, because RQ loses a job that it takes from two queues at once if it dies at that moment. A
work-horse, because a step that takes its process down (out of memory, a fault in a library) must not take the worker
along; for a shift of steps (``shift.py``), because a fork costs more than most steps (``deploy/scaling.md``). None of
it matters for the truth: that is in the ledger, and a nudge that is lost comes back by the lease. What the worker sees
of the end of a horse it tells the ledger, so that nobody has to wait for the lease.
"""

import gc
import os
import threading
import time
from typing import Any

import structlog
from redis import Redis
from rq.serializers import JSONSerializer

from workers import exporting, jobs
from workers.connections import web_redis, worker_redis
from workers.notify import Notifier
from workers.nudges import StepJob, queue
from workers.places import redis_url
from workers.pulse import Laps, keep_telling
from workers.settings import Settings
from workers.shift import Length
from workers.stepworker import StepWorker
from workers.wiring import build, open_ledger

# RQ waits for work for ``worker_ttl - 15`` seconds at a time; a stop is honoured in between.
_WORKER_TTL_S = 18
_MAINTENANCE_S = 60
_MONITORING_S = 5
_GRACE_LOOK_S = 0.1
# For what is left to do once the grace is over: one short word to the ledger.
_LAST_WORD_S = 1.6

_log = structlog.get_logger("workers.worker")


def step_worker(connection: Redis, lane: str, *, monitoring_s: int = _MONITORING_S, **own: Any) -> StepWorker:
    """Make a worker. ``own``: what StepWorker takes. It looks at its horse every ``monitoring_s`` seconds."""
    options: dict[str, Any] = {
        "worker_ttl": _WORKER_TTL_S,
        "maintenance_interval": _MAINTENANCE_S,
        "job_monitoring_interval": monitoring_s,
    }
    return StepWorker(
        [queue(connection, lane)],
        connection=connection,
        job_class=StepJob,
        serializer=JSONSerializer,
        log_job_description=False,
        **options,
        **own,
    )


def end_in_time(worker: StepWorker, grace_s: float) -> None:
    """End the process once a stop was asked for and ``grace_s`` seconds have passed; what it has in hand is put back.

    RQ waits for a step, and for a Redis that is gone, as long as it takes.
    """
    while not worker.out_of_time(grace_s):
        time.sleep(_GRACE_LOOK_S)
    threading.Thread(target=worker.cut_off, name="cut-off", daemon=True).start()
    # Without its horse the main thread leaves by itself, in moments. But not where it waits for a Redis that is gone.
    time.sleep(_LAST_WORD_S)
    worker.kill_horse()
    os._exit(0)


def work(worker: StepWorker, grace_s: float) -> None:
    """Work until SIGTERM, and from then on for ``grace_s`` seconds at most. Main thread only."""
    threading.Thread(target=end_in_time, args=(worker, grace_s), name="grace", daemon=True).start()
    worker.work(logging_level="WARNING", with_scheduler=False)


def run_worker(settings: Settings, lane: str, notifier: Notifier, *, shift: Length | None = None) -> None:
    """Work on one lane until SIGTERM. Everything is built before the forks, so that a work-horse starts at once.

    ``shift``: how long a work-horse goes on with the next steps.
    """
    laps = Laps()
    keep_telling(notifier, laps.any_new)
    exporting.start(f"worker-{lane}", forks=True)
    url = redis_url(settings)
    redis = worker_redis(url)
    services = build(settings, redis)
    services.ledger.read_scripts()
    for budget in services.budgets.values():
        budget.read_scripts()
    jobs.bind(services.attempts)
    last_words = open_ledger(settings, services.upstreams.accounts, web_redis(url))
    worker = step_worker(redis, lane, last_words=last_words, laps=laps, shift=shift)
    # What is there by now stays. Looking through all of it for garbage would take a tenth of the time of each step, and
    # make each horse copy the memory that it shares with its worker.
    gc.freeze()
    notifier.ready()
    _log.info("worker.started", lane=lane)
    work(worker, settings.grace_seconds)
    notifier.stopping()
    _log.info("worker.stopped", lane=lane)
