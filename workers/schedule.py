"""Between which bounds the next look at a job lies that is not ready, and when nobody looks any more. Pure.

When exactly is foretold (``workers/forecast.py``). Every look costs a request of the organization's budget.
"""

from typing import Final

JOB_FLOOR_S: Final = 1.0
JOB_CAP_S: Final = 300.0
SILENT_CAP_S: Final = 3600.0
_SOONEST_CAP_S: Final = 2.0
_DAY_S: Final = 86_400.0
_SOON_S: Final = 7 * _DAY_S


def give_up_after(*, archive_s: float) -> float:
    """Age of a job in seconds from which on nobody looks any more. ``archive_s``: when Swiftia archives it.

    What has not ended a day before that will not.

    >>> give_up_after(archive_s=90 * 86_400) / 86_400, give_up_after(archive_s=86_400)
    (89.0, 77760.0)
    """
    return archive_s - min(_DAY_S, archive_s / 10)


def archived_soon(*, archive_s: float) -> tuple[float, float]:
    """Ages in seconds from which on and up to which a job is about to be archived: in its last 7 days, or last half.

    >>> [age / 86_400 for age in archived_soon(archive_s=90 * 86_400)]
    [83.0, 90.0]
    """
    return archive_s - min(_SOON_S, archive_s / 2), archive_s


def after_a_callback(*, heard_s: float) -> tuple[float, float]:
    """Least and most seconds until a job that was called about, but still runs, is asked for again.

    It is ready any moment, most likely: at first it is looked at soon, whatever is foretold.

    >>> after_a_callback(heard_s=0.5), after_a_callback(heard_s=60), after_a_callback(heard_s=86_400)
    ((1.0, 2.0), (1.0, 60), (1.0, 300.0))
    """
    return JOB_FLOOR_S, min(max(heard_s, _SOONEST_CAP_S), JOB_CAP_S)


def without_a_callback(*, age_s: float, after_s: float) -> tuple[float, float]:
    """Least and most seconds until a job that nobody called about is asked for again.

    Its callback will come, most likely: a look is for the case that it does not. Half its age more each time at most.

    >>> without_a_callback(age_s=600, after_s=600), without_a_callback(age_s=3600, after_s=600)
    ((600, 600), (600, 1800.0))
    """
    low_s = max(after_s, JOB_FLOOR_S)
    return low_s, min(max(low_s, age_s / 2), max(SILENT_CAP_S, low_s))
