"""When to look again at a job or a render that is not ready. Pure: ages and reports in, seconds out.

Every look costs a request of the organization's budget, so looks follow what has been seen: a render with progress is
extrapolated, a queue position is turned into time, and what tells nothing is looked at ever more slowly.
"""

from typing import Final

from workers.renders import RenderPhase, RenderReport

RENDER_FLOOR_S: Final = 1.0
RENDER_CAP_S: Final = 60.0
FIRST_LOOK_S: Final = 1.0
JOB_FLOOR_S: Final = 1.0
JOB_CAP_S: Final = 300.0
SILENT_CAP_S: Final = 3600.0
# Swiftia archives a job after 90 days unless told otherwise; what has not ended by then will not.
GIVE_UP_AFTER_S: Final = 89 * 86_400.0
_SECONDS_PER_PLACE: Final = 5.0


def next_look(report: RenderReport, *, age_s: float) -> float:
    """Seconds until a render is worth a look, ``age_s`` seconds after it was started.

    The remaining time is extrapolated from the share done so far, and an eighth is added at least to what has passed:
    an estimate never asks twice in the same breath, and a stall slows the looks down instead of spending the budget.
    """
    return _between(RENDER_FLOOR_S, max(_estimate(report, age_s), age_s / 8), _longest(age_s))


def _estimate(report: RenderReport, age_s: float) -> float:
    if report.phase is RenderPhase.QUEUED:
        return min(_SECONDS_PER_PLACE * max(1, min(report.queue_position or 1, 20)), age_s)
    if report.progress is not None and 0 < report.progress <= 1:
        return age_s * (1.0 - report.progress) / report.progress
    return age_s / 2


def _longest(age_s: float) -> float:
    """Nobody waits for a render of hours to the minute: one that is stuck for days may not eat the budget."""
    return max(RENDER_CAP_S, min(age_s / 60, SILENT_CAP_S))


def next_fetch(*, heard_s: float) -> float:
    """Seconds until a job that was called about, but still runs, is asked for again."""
    return _between(JOB_FLOOR_S, heard_s / 2, JOB_CAP_S)


def next_reconcile(*, age_s: float, after_s: float) -> float:
    """Seconds until a job that nobody called about is asked for again: half its age more each time."""
    return _between(max(after_s, JOB_FLOOR_S), age_s / 2, max(SILENT_CAP_S, after_s))


def _between(low: float, value: float, high: float) -> float:
    return max(low, min(value, high))
