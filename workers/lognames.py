"""Every event that we log, by its constant name, and what it tells. Lines of libraries have none of these names.

``tests/test_lognames.py`` holds the code against this list.
"""

from collections.abc import Mapping
from typing import Final

EVENTS: Final[Mapping[str, str]] = {
    # One line for each callback, and one for each attempt of a step
    "callback.received": "a callback was acknowledged; outcome, receipt, size, ms, its job or the beginning of its ref",
    "callback.refused": "a callback was not acknowledged; cause, peer",
    "step.attempted": "an attempt of a step ended; step, subject, attempt, outcome, reason, ms",
    "step.crashed": "a step raised what it must not: a fault of ours, with its traceback; it is tried again",
    "step.lost": "an attempt ended without an outcome, as its process died or was stopped; reason, crashed",
    "step.stale": "a nudge came too late or twice, and did nothing",
    # Exchanges, at the level debug
    "upstream.answered": "Swiftia answered, or did not (status none); route, status, ms",
    "download.answered": "the server of a file answered; host, status",
    "delivery.answered": "the team's application answered; status, reason, event_type, event_id",
    # Callbacks and submissions
    "callback.other_account": "a callback came under another account than its job's, and changed nothing about that",
    "submission.linked": "Swiftia took a submission; the beginning of its ref, and its job",
    "submission.noted": "a submission was passed on with something in it that is not known here; notes",
    "submission.unlinked": "Swiftia took a submission and Redis did not: until its callback comes, this names the job",
    # The web side
    "request.failed": "a request was answered with a fault; problem, reason",
    "request.crashed": "a request met a fault of ours, with its traceback",
    "metrics.without_redis": "the numbers of Redis are left out of /metrics",
    "console.signed_in": "somebody signed in to the console; role, peer",
    "console.refused": "somebody offered the console a token that is none; peer",
    "console.too_many_tries": "an address has tried too often to sign in, and has to wait; peer",
    "console.without_redis": "the console shows what can be shown without Redis",
    "events.interrupted": "live progress pauses, as Redis does not answer",
    "events.lost": "listeners were away for longer than changes are kept, and are told so",
    "events.stuck": "live progress met a fault; it goes on by itself",
    # Redis and the spool
    "redis.away": "callbacks go to the spool from now on",
    "redis.back": "callbacks go to Redis again",
    "spool.drained": "what waited in the spool is in Redis; callbacks: how many",
    "spool.stuck": "what waits in the spool cannot be handed on; it is tried again",
    "spool.set_aside": "Redis refuses one callback of the spool: a person must look",
    "spool.damaged": "the spool's file is damaged; what can be read is saved",
    "spool.moved_aside": "the damaged file lies beside the new one",
    "spool.not_erased": "a job is erased, and the spool could not be searched for it",
    # Swiftia
    "swiftia.limited": "Swiftia answered 429: nobody sends for a while; cause",
    "swiftia.limit": "Swiftia states another limit than is set; allowed, configured",
    "swiftia.credentials": "Swiftia refuses the API key: upstream work waits until it is mended",
    "swiftia.credentials_work": "the API key works again",
    "swiftia.away": "Swiftia's answers fail: the breaker is open; pause_s",
    "swiftia.back": "Swiftia answers again",
    "budget.unsettled": "Redis was not told how a request ended; its slot ends by itself",
    "answer.unobserved": "the budget was not told of an answer, with the traceback",
    "upstream.not_freed": "files at Swiftia could not be deleted; tries, reason",
    "freeing.failed": "deleting files at Swiftia met a fault; it goes on",
    # Files, deliveries, history
    "download.goes_on": "a download goes on where it broke off; at, of",
    "partial.discarded": "what had come of a file was not what was received: it is fetched anew",
    "storage.paused": "the disk is full: downloads wait; free_bytes, min_free_bytes",
    "storage.resumed": "there is room again",
    "handler.failed": "the team's handler raised, with the traceback; the event is tried again",
    "history.unread": "what renders or jobs take could not be read: the usual guess is taken",
    "history.unwritten": "what was learnt of a render or a job could not be kept",
    "job.erased": "every trace of a job was erased here, but this line; why",
    # Processes
    "clock.started": "the clock runs; limits: by account",
    "clock.stopped": "the clock has ended",
    "clock.failed": "a pass of the clock failed, and the next one comes; reason",
    "clock.crashed": "a pass of the clock met a fault of ours, with its traceback, and the next one comes",
    "packing.failed": "a job at rest could not be packed, and is tried again; reason",
    "packing.crashed": "packing met a fault of ours, with its traceback; it goes on",
    "clock.silent": "attempts had fallen silent and go on; silent, parked",
    "clock.time_went_back": "Redis's clock went back, and what is due with it; seconds",
    "account.missing": "an account's jobs wait, as SWIFTIA_ACCOUNTS does not name it; account, waiting",
    "worker.started": "a worker runs; lane",
    "worker.stopping": "a worker was told to stop, and ends what it has in hand",
    "worker.stopped": "a worker has ended",
    "worker.heartbeat": "RQ could not note that a worker lives, which matters to nobody",
    "worker.maintenance": "RQ's own cleaning failed, with the traceback, which matters to nobody",
    "courier.started": "the courier runs; threads",
    "courier.stopped": "the courier has ended",
    "courier.without_redis": "the courier waits for Redis",
    "courier.unwritten": "how a delivery ended could not be written: it is sent again",
    "start.slow": "the service does not get ready; readyz: what it answers",
    "process.started": "a process runs; service, pid",
    "process.restarted": "a process runs again; service, pid",
    "process.exited": "a process has ended; service, code",
    "process.killed": "a process did not stop in time and was killed",
    "process.wedged": "a process was silent for too long and was killed; silent_s",
    "process.unstartable": "a process could not be started; it is tried again",
    "process.unwatched": "a process runs, and its silence would not be noticed",
    "tracing.missing": "OTEL_ variables ask for spans, and the packages for them are not installed",
}
