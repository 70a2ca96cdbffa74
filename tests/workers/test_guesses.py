"""A guess is a distribution, and the best look weighs coming late against coming too early."""

import doctest
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers import guesses as guesses_module
from workers.guesses import Guess, best_look, steepness

SECONDS = st.floats(0.1, 1e6)
GUESSES = st.builds(
    Guess, weight=st.just(1.0), median_s=SECONDS, steepness=st.floats(0.5, 400), spent_s=st.floats(0, 1e7)
)


def test_the_examples():
    assert doctest.testmod(guesses_module).failed == 0


@given(guess=GUESSES, first=SECONDS, second=SECONDS)
def test_the_longer_one_waits_the_likelier_it_is_done(guess, first, second):
    sooner, later = sorted((first, second))
    assert 0.0 <= guess.done_in(sooner) <= guess.done_in(later) <= 1.0


@given(median=SECONDS, spent=st.floats(0, 1e4), deviation=st.floats(0.05, 2))
def test_half_of_it_is_left(median, spent, deviation):
    guess = Guess(1.0, median, steepness(deviation), spent)
    if guess.survival > 1e-9:
        assert guess.done_in(guess.half_left_s()) == pytest.approx(0.5, abs=0.01)


@given(median=SECONDS, spent=st.floats(0, 1e4), deviation=st.floats(0.05, 2), likely=st.floats(0.01, 0.999))
def test_what_ends_within_a_time_is_done_by_then(median, spent, deviation, likely):
    guess = Guess(1.0, median, steepness(deviation), spent)
    if guess.survival > 1e-9:
        assert guess.done_in(guess.ends_within_s([likely])[0]) == pytest.approx(likely, abs=0.01)


@given(low=st.floats(0.5, 100), span=st.floats(0, 1e5), guess=GUESSES, early=st.floats(0, 1), price=st.floats(0, 1e3))
def test_a_look_is_never_out_of_its_bounds(low, span, guess, early, price):
    seconds = best_look([guess], price_s=price, early=early, low_s=low, high_s=low + span)
    assert low <= seconds <= low + span


@pytest.mark.parametrize("deviation", [0.02, 0.1, 0.4, 1.0])
def test_the_dearer_a_look_the_later_it_comes(deviation):
    guess = Guess(1.0, 60.0, steepness(deviation))
    looks = [best_look([guess], price_s=price, early=0.1, low_s=1, high_s=1800) for price in (0.3, 3, 30)]
    assert looks == sorted(looks)
    assert looks[0] < looks[-1]


@given(
    guesses=st.lists(GUESSES, min_size=1, max_size=4),
    early=st.floats(0, 1),
    prices=st.tuples(st.floats(0, 1e4), st.floats(0, 1e4)),
)
def test_a_dearer_look_is_never_a_sooner_one(guesses, early, prices):
    shared = [replace(guess, weight=1 / len(guesses)) for guess in guesses]
    cheap, dear = (best_look(shared, price_s=price, early=early, low_s=1, high_s=3600) for price in sorted(prices))
    assert cheap <= dear


def test_what_has_outlived_its_guess_is_looked_at_in_proportion_to_its_age():
    looks = [
        best_look([Guess(1.0, 1.0, 1.3, spent_s=age)], price_s=0.0, early=0.5, low_s=0.1, high_s=math.inf)
        for age in (1e3, 1e4, 1e5)
    ]
    assert looks[1] / looks[0] == pytest.approx(10, rel=0.2)
    assert looks[2] / looks[1] == pytest.approx(10, rel=0.2)
