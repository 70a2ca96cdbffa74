"""What an account's renders have taught: it follows them, forgets, and no bytes make it anything but a history."""

import doctest
import json
import math
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers import history as history_module
from workers.history import History, Level, Observation

ANY_NUMBER = st.floats(allow_nan=True, allow_infinity=True)
OBSERVATIONS = st.builds(
    Observation,
    length_s=ANY_NUMBER | st.floats(0.1, 1e5),
    wait_s=st.none() | ANY_NUMBER,
    place_s=st.none() | ANY_NUMBER,
    drift=st.none() | ANY_NUMBER,
    shown=st.none() | st.booleans(),
    clip_s=st.none() | ANY_NUMBER | st.floats(1, 300),
)


def taught(*observations, history=None):
    history = history or History()
    for observation in observations:
        history = history.updated(observation)
    return history


def seconds(history, clip_s=None):
    return math.exp(history.expected(clip_s))


def numbers(history):
    for each in fields(history):
        value = getattr(history, each.name)
        yield from (value.middle, value.spread) if isinstance(value, Level) else (value,)


def test_the_examples():
    assert doctest.testmod(history_module).failed == 0


def test_it_follows_what_it_sees():
    assert seconds(taught(*[Observation(90.0)] * 8)) == pytest.approx(90, rel=0.2)


def test_it_forgets():
    before = taught(*[Observation(120.0)] * 200)
    assert seconds(taught(*[Observation(30.0)] * 50, history=before)) == pytest.approx(30, rel=0.3)


@pytest.mark.parametrize("odd", [0.1, 3, 3600, 86_400])
def test_one_that_is_odd_moves_little(odd):
    before = taught(*(Observation(60.0 * (0.8 + 0.1 * (n % 5))) for n in range(40)))
    assert seconds(before.updated(Observation(odd))) == pytest.approx(60, rel=0.1)


def test_renders_that_follow_their_clip_are_told_apart():
    lengths = [20.0 + 10 * (n * 7 % 9) for n in range(80)]
    history = taught(*(Observation(1.5 * clip, clip_s=clip) for clip in lengths))
    assert seconds(history, 25.0) < 55
    assert seconds(history, 90.0) > 100


def test_renders_that_do_not_are_not():
    lengths = [20.0 + 10 * (n * 7 % 9) for n in range(80)]
    history = taught(*(Observation(60.0 + n % 2, clip_s=clip) for n, clip in enumerate(lengths)))
    assert seconds(history, 25.0) == pytest.approx(seconds(history, 90.0), rel=0.1)


@given(observations=st.lists(OBSERVATIONS, max_size=20))
def test_nothing_learnt_leads_out_of_what_can_be(observations):
    history = taught(*observations)
    assert all(math.isfinite(number) for number in numbers(history))
    assert 0.09 < seconds(history) < 1.1e6
    assert History.read(history.as_json()) == history
    assert len(history.as_json()) < 700


@given(raw=st.none() | st.binary(max_size=80) | st.text(max_size=80))
def test_no_bytes_do_harm(raw):
    assert History.read(raw) == History()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["middle", "spread", "x"]), inner),
    max_leaves=8,
)
FOREIGN = st.dictionaries(st.sampled_from([each.name for each in fields(History)] + ["else"]), JSON)


@given(document=FOREIGN, observation=OBSERVATIONS)
def test_no_document_does_harm(document, observation):
    history = History.read(json.dumps(document)).updated(observation)
    assert all(math.isfinite(number) for number in numbers(history))
    assert all(number > 0 for number in (history.length.spread, history.wait.spread, history.ignorance))


@pytest.mark.parametrize("middle", [-1e300, -50, 50, 1e300])
def test_a_level_that_cannot_be_is_the_nearest_that_can(middle):
    history = History.read(json.dumps({"length": {"middle": middle, "spread": middle}, "count": middle}))
    assert 0.09 < seconds(history) < 1.1e6
    assert 0.05 <= history.length.spread <= 2
    assert 0.0 < history.ignorance <= 1.0


@pytest.mark.parametrize("raw", [b"", b"[]", b"7", b'"x"', b"\xff", b"{", b"[" * 10_000, b'{"count": 1e999}', None])
def test_what_is_no_history_is_a_new_one(raw):
    assert History.read(raw) == History()


def test_what_can_be_read_of_an_older_one_is():
    read = History.read('{"length": {"middle": 5, "spread": 0.1}, "wait": {"middle": 3}, "shown": null, "new": 1}')
    assert read == History(length=Level(5.0, 0.1))
