"""How long it takes from a callback to the kept result and the kept videos, measured on a running trial.

All moments are those of the ledger's timeline, so they are of one clock. What the sandbox takes for its own work is not
in the first number, and is in the second.
"""

import contextlib
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from receiver import progress
from receiver.api_client import Api
from receiver.order import order
from receiver.progress import Board
from receiver.trial import Trial
from workers.connections import web_redis
from workers.documents import member, text
from workers.keys import PREFIX
from workers.places import redis_url

# The sandbox answers at once and allows much, so that what is measured is the service.
CHOSEN: Final = {
    "SANDBOX_DIALECT": "g3",
    "SANDBOX_WEBHOOK_BODIES": "whole",
    "SANDBOX_JOB_SECONDS": "1",
    "SANDBOX_RENDER_SECONDS": "0.5",
    "SANDBOX_QUEUE_SECONDS": "0",
    "SANDBOX_STALLS": "0",
    "SANDBOX_RATE_LIMIT": "200/1s",
    "LOG_FORMAT": "json",
    "LOG_LEVEL": "warning",
}


@dataclass(frozen=True, slots=True)
class Measured:
    """``kept_s``: seconds from the first callback to the kept result; ``finished_s``: to the last kept video."""

    job_id: str
    state: str
    kept_s: float | None
    finished_s: float | None


def one_by_one(trial: Trial, jobs: int, shown: Board) -> list[Measured]:
    """Carry ``jobs`` jobs without renders through an idle trial, each after the end of the one before."""
    return [one for _ in range(jobs) for one in _carry(trial, 1, shown, render=False, every_s=0.1)]


def at_once(trial: Trial, jobs: int, shown: Board) -> list[Measured]:
    """Submit ``jobs`` jobs with all their renders at once."""
    return _carry(trial, jobs, shown, render=True, every_s=2.0)


def _carry(trial: Trial, jobs: int, shown: Board, *, render: bool, every_s: float) -> list[Measured]:
    begun = time.time_ns()
    with contextlib.closing(trial.api()) as api:
        refs = [_submit(api, f"bench-{begun}-{number}", render=render) for number in range(jobs)]
        ended = progress.follow(lambda: [api.job(ref) for ref in refs], shown, every_s=every_s)
        return [measured(api.job_document(job.subject)) for job in ended]


def _submit(api: Api, video: str, *, render: bool) -> str:
    body = order(video, function="VideoShorts", options=(), metadata=(), render=render)
    return api.submit(body, idempotency_key=None, wait=False).subject


def ledger_bytes(trial: Trial) -> int:
    """Return the memory of our keys in Redis, in bytes: what it uses as a whole moves by more than a few jobs."""
    with contextlib.closing(web_redis(redis_url(trial.settings))) as redis:
        return sum(redis.memory_usage(key, samples=0) or 0 for key in redis.scan_iter(f"{PREFIX}*", count=1000))


def measured(document: object) -> Measured:
    """Read one answer of ``GET /api/jobs/<id>``."""
    timeline = member(document, "timeline")
    events = [event for event in timeline if isinstance(event, dict)] if isinstance(timeline, list) else []
    callback, result, finished = (_moment(events, name) for name in ("callback", "result", "finished"))
    return Measured(
        job_id=text(member(document, "id")) or "",
        state=text(member(document, "state")) or "",
        kept_s=_between(callback, result),
        finished_s=_between(callback, finished),
    )


def _moment(events: Sequence[Mapping[str, Any]], name: str) -> datetime | None:
    at = next((event.get("at") for event in events if event.get("event") == name), None)
    return datetime.fromisoformat(at) if isinstance(at, str) else None


def _between(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else round((end - start).total_seconds(), 3)


def summary(found: Sequence[Measured]) -> dict[str, object]:
    """Return counts and percentiles in seconds. A job without a number is counted, never left out in silence."""
    return {
        "jobs": len(found),
        "finished": sum(one.state == "finished" for one in found),
        "callback_to_result_kept_s": percentiles([one.kept_s for one in found]),
        "callback_to_all_kept_s": percentiles([one.finished_s for one in found]),
        "raw": [asdict(one) for one in found],
    }


def without_raw(document: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the raw numbers, at any depth."""
    kept = {name: value for name, value in document.items() if name != "raw"}
    return {name: without_raw(value) if isinstance(value, Mapping) else value for name, value in kept.items()}


def percentiles(values: Sequence[float | None]) -> dict[str, float | int]:
    """Return p50, p95 and max, and how many values are ``missing``.

    >>> percentiles([0.1, 0.3, 0.2, None])
    {'missing': 1, 'p50': 0.2, 'p95': 0.3, 'max': 0.3}
    """
    known = sorted(value for value in values if value is not None)
    found: dict[str, float | int] = {"missing": len(values) - len(known)}
    if known:
        # The 95th percentile is a value that was measured, not one between two.
        rank = max(0, -(-95 * len(known) // 100) - 1)
        found |= {"p50": round(statistics.median(known), 3), "p95": known[rank], "max": known[-1]}
    return found
