"""What is kept of the looks at one render: enough, bounded, and read back from any text without harm."""

import doctest
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers import trail as trail_module
from workers.trail import Mark, Trail

LOOKS = st.lists(
    st.tuples(
        st.floats(-5, 1e4),
        st.none() | st.floats(0, 1) | st.floats(allow_nan=True, allow_infinity=True),
        st.none() | st.integers(-5, 2**53),
    ),
    max_size=12,
)


def walked(looks):
    trail, age = Trail(), 0.0
    for step, progress, place in looks:
        age += step
        trail = trail.seen(age, progress=progress, place=place)
    return trail


def test_the_examples():
    assert doctest.testmod(trail_module).failed == 0


@given(looks=LOOKS)
def test_what_is_written_is_read_back(looks):
    text = walked(looks).as_json()
    assert Trail.read(text).as_json() == text
    assert Trail.read(text.encode()).marks == Trail.read(text).marks
    assert len(text) < 300


@given(looks=LOOKS)
def test_a_trail_is_ordered(looks):
    trail = walked(looks)
    ages = [trail.idle_s or 0.0, *(mark.age_s for mark in trail.marks), trail.age_s]
    assert ages == sorted(ages)
    assert 0.0 <= trail.standing_s <= trail.age_s
    assert len(trail.marks) <= 4


@given(raw=st.none() | st.binary(max_size=60) | st.text(max_size=60))
def test_no_bytes_do_harm(raw):
    assert isinstance(Trail.read(raw), Trail)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), st.lists, max_leaves=12
)


@given(values=st.lists(JSON, min_size=6, max_size=6))
def test_no_values_do_harm(values):
    trail = Trail.read(json.dumps(values))
    assert 0.0 <= trail.standing_s <= trail.age_s


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "{}",
        "[1]",
        "[9,null,null,0,[],0,0]",
        "[-9,null,null,0,[],0]",
        "[9,null,3,0,[],0]",
        "[9,10,3,0,[],0]",
        "[9,5,3,6,[],0]",
        "[9,null,null,0,[[8,0.5],[7,0.6]],0]",
        "[9,null,null,0,[[7,0.6],[8,0.6]],0]",
        "[9,null,null,0,[[7,1.1]],0]",
        "[9,null,null,0,[[7]],0]",
        "[9,null,null,0,[[1,0.1],[2,0.2],[3,0.3],[4,0.4],[5,0.5]],0]",
        "[9,null,null,0,7,0]",
        "[1e999,null,null,0,[],0]",
    ],
)
def test_a_trail_that_cannot_be_is_none(text):
    assert Trail.read(text) == Trail()


def test_what_tells_nothing_only_ages():
    assert Trail().seen(5, progress=0.2).seen(9) == Trail(age_s=9, marks=(Mark(5, 0.2),))


def test_a_step_back_starts_anew():
    trail = Trail().seen(10, progress=0.5).seen(20, progress=0.3)
    assert trail == Trail(age_s=20, marks=(Mark(20, 0.3),), torn=True)


def test_a_wobble_is_no_step_back():
    assert Trail().seen(10, progress=0.5).seen(20, progress=0.49).marks == (Mark(10, 0.5),)


def test_back_in_the_queue_it_has_not_begun():
    trail = Trail().seen(10, progress=0.5).seen(20, progress=0.0, place=4)
    assert trail == Trail(age_s=20, idle_s=20, place=4, placed_s=20)


def test_a_place_that_stays_stands():
    trail = Trail().seen(5, place=4).seen(10, place=4).seen(30, place=4)
    assert (trail.standing_s, trail.idle_s) == (25, 30)
    assert trail.seen(31, place=3).standing_s == 0


def test_a_clock_that_goes_back_does_not():
    assert Trail().seen(10, progress=0.5).seen(3, progress=0.6).marks == (Mark(10, 0.5), Mark(10, 0.6))
