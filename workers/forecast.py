"""When a render, or a job, will be done, and when to look next. Pure: what was seen in, seconds out.

A look costs a request, a late look costs lateness; the next one is put where both together are least to be expected
(``workers/guesses.py``). What is expected is a mixture of

* what earlier renders of the account took (``workers/history.py``), given that this one has lasted so far; and, for it
  may be like none of them, a far wider copy of that, so that one that outlives every guess is looked at ever less;
* once it has moved, its progress (``workers/trail.py``) carried on to the end. The pace is pooled from the steps
  between looks and from history, each by what its error allows; where they contradict each other all are trusted less.
  Time in the queue does not count: the place tells it, or earlier renders.

So an account's usual render takes two looks: one while it runs, which makes the guess sharp, and one behind its end.
Where requests are scarce a look has a price besides (``price_s``): whoever waits waits one slot longer. Then the first
look comes so late that many renders have ended by then.
What stands still is looked at ever more rarely; after a step back only the steps from there on count.
"""

import math
from dataclasses import replace
from itertools import pairwise
from typing import Final, NamedTuple

from workers.guesses import Guess, best_look, steepness
from workers.history import History, Observation
from workers.trail import Trail

FLOOR_S: Final = 1.0
CAP_S: Final = 3600.0
# How far a share may be off as it is told: a render's comes in hundredths, a job's in a handful of stages.
RENDER_GRAIN: Final = 0.004
JOB_GRAIN: Final = 0.05

# What a look is worth, in seconds of lateness: 3 for a render of a minute, 10 for five, 70 for an hour.
_PRICE, _PRICE_POWER = 0.13, 0.75
_MOST_PRICE: Final = 4.0
# What a second too early costs, beyond the look: less if that look will show how far it has come.
_EARLY_SEEING, _EARLY_BLIND = 0.12, 0.5
# The shares of the mixture. Stalls and queues that nobody told of are why progress does not get all of it.
_PROGRESS, _VAGUE_PROGRESS, _HISTORY = 0.75, 0.1, 0.15
_UNUSUAL: Final = 0.08
_WIDE, _VAGUE = 1.3, 2.0
_LEAST_ERROR: Final = 0.01
# It has stalled when it should have moved by so many grains, and did not.
_STALL_GRAINS: Final = 7.5
_ERROR_OF_A_STALL: Final = 0.5
# What may teach: an end known to this share of the time since the first mark, which told of at least so much and at
# most so much, with its beginning known to this share of the time it ran.
_PINNED, _HARDLY_BEGUN, _NEARLY_DONE, _VAGUE_START = 0.35, 0.03, 0.97, 0.25
# What the first look finds done ended somewhere before it; taken later, short renders would never be noticed as such.
_FIRST_LOOK_HIT: Final = 0.7
_SHORTEST_S: Final = 0.1


def next_look(
    trail: Trail,
    history: History,
    *,
    clip_s: float | None = None,
    floor_s: float = FLOOR_S,
    cap_s: float = CAP_S,
    grain: float = RENDER_GRAIN,
    price_s: float = 0.0,
) -> float:
    """Seconds from the last look of ``trail``, or from the start, until another one is worth a request.

    Between ``floor_s`` and ``cap_s``, whatever was seen. ``clip_s``: length of the short, None if it is not known.
    ``price_s``: what a look costs others, in seconds of lateness of all of them together: a higher one never means a
    sooner look. It counts up to four times the whole: however many wait, what has ended is found in proportion.
    """
    guesses = _by_history(trail, history, clip_s)
    if trail.marks:
        left_s, error, stalled_s = _by_progress(trail, history, clip_s, grain)
        guesses = [replace(each, weight=_HISTORY * each.weight) for each in guesses]
        guesses += [Guess(_PROGRESS, left_s, steepness(error)), Guess(_VAGUE_PROGRESS, left_s, _VAGUE)]
        whole_s, early, least_s = trail.age_s + left_s, _EARLY_SEEING, stalled_s / 2
    else:
        whole_s = max(math.exp(history.expected(clip_s)) + _began(trail, history)[0], trail.age_s)
        seeing = history.shown if trail.place or not trail.age_s else 0.0
        early = seeing * _EARLY_SEEING + (1.0 - seeing) * _EARLY_BLIND
        # Where nobody knows anything yet, wait as long again as it has lasted.
        least_s = trail.standing_s / 2 if trail.place else trail.age_s * history.ignorance
    price_s = _PRICE * whole_s**_PRICE_POWER + min(max(price_s, 0.0), _MOST_PRICE * whole_s)
    best_s = best_look(guesses, price_s=price_s, early=early, low_s=floor_s, high_s=max(floor_s, cap_s))
    return max(floor_s, min(max(best_s, least_s), cap_s))


def left(trail: Trail, history: History, *, clip_s: float | None = None, grain: float = RENDER_GRAIN) -> float:
    """Seconds from the last look until the likely end: by progress, or before there is any by history.

    >>> round(left(Trail().seen(10, progress=0.25).seen(20, progress=0.5), History()))
    19
    """
    if trail.marks:
        return _by_progress(trail, history, clip_s, grain)[0]
    return max(_by_history(trail, history, clip_s), key=lambda guess: guess.weight).half_left_s()


def observed(
    trail: Trail,
    history: History,
    *,
    age_s: float,
    clip_s: float | None = None,
    exact: bool = False,
    grain: float = RENDER_GRAIN,
) -> Observation:
    """What is learnt from one that was found done at ``age_s``. ``exact``: it ended then, rather than at any time since
    the last look.
    """
    since_s = min(trail.age_s, age_s)
    if exact:
        end_s = age_s
    elif trail.marks:
        end_s = min(since_s + left(trail, history, clip_s=clip_s, grain=grain), age_s)
    else:
        end_s = (since_s + age_s) / 2 if since_s else _FIRST_LOOK_HIT * age_s
    began_s = min(_began(trail, history)[0], max(end_s / 2, trail.marks[0].age_s if trail.marks else 0.0))
    seen = Observation(
        length_s=max(end_s - began_s, _SHORTEST_S), shown=bool(trail.marks) if since_s else None, clip_s=clip_s
    )
    if trail.torn or not trail.marks or not _is_pinned(trail, 0.0 if exact else age_s - since_s, end_s):
        return seen
    return _from_first_mark(seen, trail, history, end_s)


def _is_pinned(trail: Trail, doubt_s: float, end_s: float) -> bool:
    """Whether the end is known far better than the first look that saw progress could tell it."""
    first = trail.marks[0]
    return first.share < _NEARLY_DONE and trail.age_s > first.age_s and doubt_s < _PINNED * (end_s - first.age_s)


def _from_first_mark(seen: Observation, trail: Trail, history: History, end_s: float) -> Observation:
    """Add when it began, by the line from the end through the first mark, and how far off that mark's promise was."""
    first, idle_s = trail.marks[0], trail.idle_s or 0.0
    pace_s = (end_s - first.age_s) / (1.0 - first.share)
    waited_s = max(first.age_s - first.share * pace_s, idle_s)
    if trail.place:
        seen = replace(seen, place_s=max(waited_s - idle_s, _SHORTEST_S) / trail.place)
    else:
        seen = replace(seen, wait_s=waited_s)
    began_s, error_s = _began(trail, history)
    ran_s = max(first.age_s - began_s, _SHORTEST_S)
    if first.share < _HARDLY_BEGUN or error_s > _VAGUE_START * ran_s:
        return seen
    return replace(seen, drift=math.log(pace_s * first.share / ran_s))


class _Pace(NamedTuple):
    """``log``: of the seconds that the whole takes. ``doubt``: the variance it is weighed by, which does not depend on
    the progress itself: more progress then never means a later end. ``variance``: with what the progress is off by.
    """

    log: float
    doubt: float
    variance: float


def _by_progress(trail: Trail, history: History, clip_s: float | None, grain: float) -> tuple[float, float, float]:
    """Seconds left, the deviation of their logarithm, and for how long it has stalled."""
    usual = history.length.deviation + 3.0 * history.ignorance
    expected = history.expected(clip_s) - history.drift.middle
    paces = [_Pace(expected, usual**2, usual**2), *_steps(trail, history, grain)]
    total = sum(1.0 / pace.doubt for pace in paces)
    log = sum(pace.log / pace.doubt for pace in paces) / total
    variance = sum(pace.variance / pace.doubt**2 for pace in paces) / total**2
    quarrel = sum((pace.log - log) ** 2 / pace.variance for pace in paces)
    error = math.sqrt(variance * max(1.0, quarrel))
    pace_s = math.exp(log + history.drift.middle)
    left_s = (1.0 - trail.marks[-1].share) * pace_s
    if trail.standing_s > _STALL_GRAINS * grain * pace_s:
        return max(left_s, trail.standing_s / 2), max(error, _ERROR_OF_A_STALL), trail.standing_s
    return max(left_s - trail.standing_s, 2 * grain * pace_s, _SHORTEST_S), error, 0.0


def _steps(trail: Trail, history: History, grain: float) -> list[_Pace]:
    """The paces from the beginning to the first mark and from mark to mark."""
    steps = [(later.age_s - mark.age_s, later.share - mark.share, 0.0) for mark, later in pairwise(trail.marks)]
    if not trail.torn:
        first = trail.marks[0]
        began_s, error_s = _began(trail, history)
        steps.append((first.age_s - began_s, first.share, error_s))
    return [_step(max(seconds, _SHORTEST_S), share, error_s, history, grain) for seconds, share, error_s in steps]


def _step(seconds: float, share: float, error_s: float, history: History, grain: float) -> _Pace:
    doubt = (history.drift.deviation + _LEAST_ERROR) ** 2 + (error_s / seconds) ** 2
    return _Pace(math.log(seconds / share), doubt, doubt + 2 * (grain / share) ** 2)


def _began(trail: Trail, history: History) -> tuple[float, float]:
    """When the work began or will begin, as an age, and by how much that may be off. Seconds."""
    idle_s = trail.idle_s or 0.0
    if trail.place:
        queue_s = trail.place * math.exp(history.place.middle)
        began_s, error_s = idle_s + queue_s, queue_s * min(history.place.deviation, 1.0)
    else:
        # Without progress it waits in a queue that nobody told of, or it is slow: half and half.
        began_s, error_s = max(history.wait.middle, idle_s / 2), history.wait.deviation + idle_s / 4
    if trail.marks:
        within_s = trail.marks[0].age_s - idle_s
        began_s = min(max(began_s, idle_s), idle_s + 0.9 * within_s)
        error_s = min(error_s, within_s / 3)
    return began_s, max(error_s, _SHORTEST_S)


def _by_history(trail: Trail, history: History, clip_s: float | None) -> list[Guess]:
    median_s, deviation = math.exp(history.expected(clip_s)), history.length.deviation
    began_s, error_s = (0.0, 0.0) if trail.torn else _began(trail, history)
    if (ahead_s := began_s - trail.age_s) > 0.0:
        median_s += ahead_s
        deviation = math.hypot(deviation, error_s / median_s)
    spent_s = max(-ahead_s, 0.0)
    wide = max(_UNUSUAL, history.ignorance)
    guesses = [Guess(1.0 - wide, median_s, steepness(deviation), spent_s), Guess(wide, median_s, _WIDE, spent_s)]
    total = sum(guess.weight * guess.survival for guess in guesses)
    return [replace(guess, weight=guess.weight * guess.survival / total) for guess in guesses]
