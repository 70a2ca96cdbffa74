"""What a look at a render or a job leads to: what it showed, when to look again, what was learnt. Pure.

The steps (``workers/steps``) and the plan (``workers/planning``) both go by this.
"""

from typing import NamedTuple

from workers import forecast, schedule
from workers.history import History, Observation
from workers.trail import Trail


class Look(NamedTuple):
    """``wait_s``: seconds from this look to the next one."""

    trail: Trail
    wait_s: float


def at_render(
    trail: Trail,
    history: History,
    *,
    age_s: float,
    progress: float | None,
    place: int | None = None,
    waits: bool = False,
    clip_s: float | None = None,
    price_s: float = 0.0,
) -> Look:
    """A render that runs, or ``waits`` in a queue. ``price_s``: see ``forecast.next_look``."""
    trail = trail.seen(age_s, progress=0.0 if waits else progress, place=place)
    return Look(trail, forecast.next_look(trail, history, clip_s=clip_s, price_s=price_s))


def at_job(
    trail: Trail,
    history: History,
    *,
    age_s: float,
    progress: float | None,
    heard_s: float | None,
    reconcile_after_s: float,
    price_s: float = 0.0,
) -> Look:
    """A job that runs. ``heard_s``: seconds since its callback, None if none came."""
    trail = trail.seen(age_s, progress=progress)
    if heard_s is None:
        low_s, high_s = schedule.without_a_callback(age_s=age_s, after_s=reconcile_after_s)
    else:
        low_s, high_s = schedule.after_a_callback(heard_s=heard_s)
    wait_s = forecast.next_look(trail, history, floor_s=low_s, cap_s=high_s, grain=forecast.JOB_GRAIN, price_s=price_s)
    return Look(trail, wait_s)


def lesson_of_job(trail: Trail, history: History, *, age_s: float, heard_s: float | None) -> Observation:
    """What a job taught that was found done at ``age_s``: it ended with its callback, or else by this look."""
    called_s = None if heard_s is None else age_s - heard_s
    # A callback that came before a look which saw it run was too early.
    exact = called_s is not None and called_s >= trail.age_s
    end_s = called_s if called_s is not None and exact else age_s
    return forecast.observed(trail, history, age_s=end_s, exact=exact, grain=forecast.JOB_GRAIN)
