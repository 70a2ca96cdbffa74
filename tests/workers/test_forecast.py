"""When to look next: within its bounds whatever was seen, ever less at what is stuck, and later the more is left."""

import doctest
import json
import math
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers import forecast as forecast_module
from workers.forecast import CAP_S, FLOOR_S, JOB_GRAIN, RENDER_GRAIN, left, next_look, observed
from workers.guesses import Guess, steepness
from workers.history import History, Level
from workers.trail import Trail

DAY = 86_400.0
LIFE = 89 * DAY
LEVELS = st.fixed_dictionaries({"middle": st.floats(-20, 20), "spread": st.floats(0, 5)})
HISTORIES = st.fixed_dictionaries(
    {},
    optional={each.name: LEVELS if isinstance(each.default, Level) else st.floats(0, 2000) for each in fields(History)},
).map(lambda document: History.read(json.dumps(document)))
LOOKS = st.tuples(
    st.floats(0, 2 * DAY) | st.floats(0, 60),
    st.none() | st.floats(0, 1) | st.floats(allow_nan=True, allow_infinity=True),
    st.none() | st.integers(-(2**70), 2**70),
)
CLIPS = st.none() | st.floats(allow_nan=True, allow_infinity=True) | st.floats(1, 300)
GRAINS = st.sampled_from([RENDER_GRAIN, JOB_GRAIN])


def walked(looks):
    trail, age = Trail(), 0.0
    for step, progress, place in looks:
        age += step
        trail = trail.seen(age, progress=progress, place=place)
    return trail


TRAILS = st.lists(LOOKS, max_size=8).map(walked)
USED = replace(History(), count=40.0, length=Level(math.log(60), 0.14), shown=1.0)


def test_the_examples():
    assert doctest.testmod(forecast_module).failed == 0


@given(
    trail=TRAILS, history=HISTORIES, clip=CLIPS, grain=GRAINS, bounds=st.tuples(st.floats(0.1, 900), st.floats(0, DAY))
)
def test_a_look_is_never_too_soon_nor_too_late(trail, history, clip, grain, bounds):
    floor, span = bounds
    seconds = next_look(trail, history, clip_s=clip, floor_s=floor, cap_s=floor + span, grain=grain)
    assert floor <= seconds <= floor + span
    assert FLOOR_S <= next_look(trail, history, clip_s=clip) <= CAP_S
    assert 0.0 <= left(trail, history, clip_s=clip, grain=grain) < math.inf


@pytest.mark.parametrize("spent_s", [0.0, 1e9])
def test_a_guess_that_knows_nothing_has_ends_all_the_same(spent_s):
    soon, late = Guess(1.0, 10.0, steepness(1000.0), spent_s).ends_within_s([0.02, 0.9985])
    assert soon < late < math.inf


@given(
    trail=TRAILS,
    history=HISTORIES,
    clip=CLIPS,
    prices=st.tuples(st.floats(-10, 1e6), st.floats(-10, 1e6)),
    bounds=st.tuples(st.floats(0.1, 900), st.floats(0, DAY)),
)
def test_a_higher_price_never_means_a_sooner_look(trail, history, clip, prices, bounds):
    floor, span = bounds
    cheap, dear = (
        next_look(trail, history, clip_s=clip, floor_s=floor, cap_s=floor + span, price_s=price)
        for price in sorted(prices)
    )
    assert floor <= cheap <= dear <= floor + span


def test_however_many_wait_what_ended_is_found_in_proportion():
    assert next_look(Trail(), USED, price_s=1e9) == next_look(Trail(), USED, price_s=250.0) < 120


STUCK = [
    {},
    {"progress": 0.0},
    {"progress": 0.5},
    {"progress": 0.99},
    {"progress": 1.0},
    {"place": 1},
    {"place": 20},
    {"place": 10_000},
]


def looks(report, history, *, until_s):
    trail, age, waits = Trail(), next_look(Trail(), history), []
    while age < until_s and len(waits) < 10_000:
        trail = trail.seen(age, **report)
        waits.append(next_look(trail, history))
        age += waits[-1]
    return waits


@pytest.mark.parametrize("report", STUCK, ids=str)
@pytest.mark.parametrize("history", [History(), USED], ids=["new", "used"])
def test_a_render_that_is_stuck_costs_few_looks_an_hour(report, history):
    assert len(looks(report, history, until_s=3600)) <= 40


@settings(max_examples=40, deadline=None)
@given(report=st.sampled_from(STUCK), history=HISTORIES)
def test_whatever_was_learnt_a_stuck_one_is_given_ever_more_time(report, history):
    assert len(looks(report, history, until_s=DAY)) <= 300


def test_the_looks_over_the_longest_life_are_bounded():
    assert len(looks({"progress": 0.5}, USED, until_s=LIFE)) <= LIFE / CAP_S + 100


@given(share=st.floats(0.1, 1), first=st.floats(1, 300), history=st.sampled_from([History(), USED]))
def test_what_stands_still_is_looked_at_ever_more_rarely(share, first, history):
    trail, age, waits = Trail().seen(first, progress=share), first, []
    for _ in range(16):
        waits.append(next_look(trail, history))
        age += waits[-1]
        trail = trail.seen(age, progress=share)
    assert waits[-8:] == sorted(waits[-8:])
    assert waits[-1] >= min(CAP_S, 1.4**8 * waits[-9])


@given(
    before=st.lists(LOOKS, max_size=4).map(walked),
    wait=st.floats(0.1, 1000),
    shares=st.tuples(st.floats(0.001, 1), st.floats(0.001, 1)),
    history=HISTORIES,
    clip=CLIPS,
)
def test_more_progress_at_one_age_never_means_a_later_end(before, wait, shares, history, clip):
    """Of two looks that both saw it move; one that saw no move tells of a stall, which is another matter."""
    behind = before.marks[-1].share if before.marks else 0.0
    ends = []
    for share in sorted(shares):
        trail = before.seen(before.age_s + wait, progress=behind + (1.0 - behind) * share)
        if not trail.marks or trail.marks[-1].age_s < trail.age_s:
            return
        ends.append(left(trail, history, clip_s=clip))
    assert ends[1] <= ends[0] * (1 + 1e-9)


@given(age=st.floats(0, 1000), places=st.tuples(st.integers(1, 500), st.integers(1, 500)), history=HISTORIES)
def test_further_back_in_the_queue_never_means_an_earlier_look(age, places, history):
    near, far = (Trail().seen(age, place=place) for place in sorted(places))
    assert left(near, history) <= left(far, history) * (1 + 1e-9)


def test_time_in_the_queue_does_not_count():
    straight = Trail().seen(10, progress=0.2).seen(20, progress=0.4)
    queued = Trail().seen(100, place=1).seen(110, progress=0.2).seen(120, progress=0.4)
    assert left(queued, USED) == pytest.approx(left(straight, USED), rel=0.2)


def test_an_unusually_slow_one_is_extrapolated():
    trail = Trail().seen(40, progress=0.1).seen(80, progress=0.2).seen(160, progress=0.4)
    assert left(trail, USED) == pytest.approx(240, rel=0.25)


def test_after_a_step_back_only_what_follows_counts():
    trail = Trail().seen(40, progress=0.8).seen(50, progress=0.2).seen(60, progress=0.4).seen(70, progress=0.6)
    assert left(trail, USED) == pytest.approx(20, rel=0.25)


def test_a_usual_render_takes_a_look_while_it_runs_and_one_behind_its_end():
    first = next_look(Trail(), USED)
    assert 30 < first < 60
    trail = Trail().seen(first, progress=round((first - 1) / 65, 2))
    second = first + next_look(trail, USED)
    assert 66 < second < 70


def test_what_is_told_in_stages_is_trusted_less_than_what_is_told_in_hundredths():
    trail = Trail().seen(10, progress=0.05).seen(20, progress=0.1)
    assert next_look(trail, History(), grain=JOB_GRAIN) < 0.7 * next_look(trail, History(), grain=RENDER_GRAIN)


def test_where_nobody_knows_anything_looks_double():
    for age in (10, 100, 1000):
        assert next_look(Trail().seen(age), History()) >= age


def test_what_contradicts_history_is_looked_at_before_it_may_be_late():
    agreeing, contradicting = (Trail().seen(44, progress=share) for share in (0.7, 0.2))
    assert left(contradicting, USED) > 80
    assert next_look(contradicting, USED) < 0.6 * left(contradicting, USED)
    assert next_look(agreeing, USED) > left(agreeing, USED)


@given(trail=TRAILS, history=HISTORIES, clip=CLIPS, wait=st.floats(0, DAY), exact=st.booleans())
def test_what_is_learnt_lies_within_what_was_seen(trail, history, clip, wait, exact):
    age = trail.age_s + wait
    seen = observed(trail, history, age_s=age, clip_s=clip, exact=exact)
    assert 0.0 < seen.length_s <= max(age, 0.1) * 1.001
    assert seen.wait_s is None or 0.0 <= seen.wait_s <= age
    assert seen.place_s is None or 0.0 < seen.place_s <= max(age, 0.1)
    assert all(math.isfinite(value) for value in (history.updated(seen).expected(clip),))


def test_an_end_between_narrow_looks_teaches_when_it_began():
    trail = Trail().seen(40, progress=0.5).seen(58, progress=0.95)
    seen = observed(trail, USED, age_s=61)
    assert seen.wait_s == pytest.approx(20, abs=2)
    assert seen.length_s == pytest.approx(59, abs=2)


def test_the_wait_at_a_place_is_learnt():
    trail = Trail().seen(10, place=5).seen(60, progress=0.5).seen(78, progress=0.95)
    seen = observed(trail, USED, age_s=80.5)
    assert (seen.place_s, seen.wait_s) == (pytest.approx(6, abs=0.5), None)


def test_a_promise_that_was_not_kept_is_learnt():
    trail = Trail().seen(31, progress=0.75).seen(55, progress=0.95)
    drift = observed(trail, USED, age_s=62).drift
    assert drift is not None
    assert drift > 0.5


def test_a_callback_tells_the_end():
    assert observed(Trail(), History(), age_s=100, exact=True).length_s == pytest.approx(99)
    assert observed(Trail(), History(), age_s=100).length_s < 75
