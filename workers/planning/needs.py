"""What it takes to run a load: workers, processor, memory, Redis, bytes. See deploy/measured.md."""

import math
from dataclasses import dataclass
from typing import Final

from workers.limits import AHEAD_S
from workers.planning.load import DAY_S, Load
from workers.planning.plan import Plan
from workers.work import PACK_AFTER_S

# By `make bench-budget ARGS=--plan`.
WORKER_BYTES: Final = 48_000_000
STEP_CPU_S: Final = 0.047
# By `python -m tests.bench.memory`: of a job that has just ended and is not packed yet. One under way counts as much.
OPEN_JOB_BYTES: Final = 2900
OPEN_RENDER_BYTES: Final = 1150
# Of one that is packed, as it is until it is erased.
JOB_BYTES: Final = 900
RENDER_BYTES: Final = 140
# Workers that are busier than this let others wait for them.
_BUSIEST: Final = 0.7


@dataclass(frozen=True, slots=True)
class Needs:
    """Of all accounts together. ``cores``: processor seconds a second of workers, clock and Valkey.

    ``redis_bytes``: when the first jobs are as old as they are kept. ``link``: its share in use; ``file_s``: until
    a video is home, None if the link is too slow. Deliveries come on top.
    """

    upstream_workers: int
    files_workers: int
    cores: float
    worker_bytes: int
    redis_bytes: int
    files_per_s: float
    files_per_day: float
    link: float
    file_s: float | None


def needs(plan: Plan, load: Load, *, video_bytes: int, link_per_s: float, kept_days: float) -> Needs:
    """``link_per_s``: bytes that all downloads together get. ``kept_days``: how long jobs stay in the ledger."""
    jobs_per_s = min(plan.accounts * plan.jobs_per_day / DAY_S, plan.accounts * plan.ceiling_per_h / 3600)
    videos_per_s = jobs_per_s * load.shorts
    link = videos_per_s * video_bytes / link_per_s
    file_s = video_bytes / link_per_s / (1.0 - link) if link < 1.0 else None
    step_s = load.answer_s + AHEAD_S + STEP_CPU_S
    # One account that has work waiting keeps as many busy as its allowance lets through.
    busy = max(plan.requests_per_s * step_s / _BUSIEST, load.most_per_s * step_s)
    upstream = math.ceil(busy) + (1 if plan.accounts > 1 else 0)
    files = max(1, math.ceil(videos_per_s * (file_s or 0.0) / _BUSIEST))
    return Needs(
        upstream_workers=upstream,
        files_workers=files,
        cores=(plan.requests_per_s + videos_per_s) * STEP_CPU_S,
        worker_bytes=(upstream + files) * WORKER_BYTES,
        redis_bytes=round(jobs_per_s * _redis_bytes(plan, load, kept_days * DAY_S)),
        files_per_s=videos_per_s * video_bytes,
        files_per_day=videos_per_s * video_bytes * DAY_S,
        link=link,
        file_s=file_s,
    )


def _redis_bytes(plan: Plan, load: Load, kept_s: float) -> float:
    """Of what comes in with one job a second."""
    open_s = plan.ended["mean"] + PACK_AFTER_S
    open_bytes = OPEN_JOB_BYTES + load.shorts * OPEN_RENDER_BYTES
    return open_s * open_bytes + kept_s * (JOB_BYTES + load.shorts * RENDER_BYTES)
