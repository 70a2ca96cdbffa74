import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.sandbox.limiter import Limiter, Rate, parse_rate, whole_seconds


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("5/1s", Rate(5, 1)),
        ("1/5s", Rate(1, 5)),
        ("1000/1s", Rate(1000, 1)),
        ("3/0.25s", Rate(3, 0.25)),
        ("2/s", Rate(2, 1)),
    ],
)
def test_rates_are_read(text, rate):
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", [" ", "5", "0/1s", "5/0s", "5/1", "-1/1s", "5/1m", "5/1s ago", "٣/1s"])
def test_anything_else_is_no_rate(text):
    with pytest.raises(ValueError, match=re.escape(text)):
        parse_rate(text)


def test_the_window_slides():
    limiter, rate = Limiter(), Rate(2, 5)

    assert limiter.arrive(100.0, rate).allowed
    assert limiter.arrive(103.0, rate).allowed
    refused = limiter.arrive(104.0, rate)

    assert not refused.allowed
    assert (refused.remaining, refused.resets_at, refused.wait) == (0, 105.0, 1.0)
    assert limiter.arrive(105.0, rate).allowed
    assert not limiter.arrive(105.1, rate).allowed
    assert limiter.arrive(108.0, rate).allowed


def test_refused_requests_can_be_made_to_count():
    limiter, rate = Limiter(), Rate(1, 5)
    limiter.arrive(100.0, rate, count_refused=True)

    assert limiter.arrive(104.0, rate, count_refused=True).wait == 5.0
    assert not limiter.arrive(106.0, rate, count_refused=True).allowed


def test_nobody_is_told_to_come_back_at_once():
    assert [whole_seconds(wait) for wait in (0.0, 0.2, 1.0, 1.01)] == [1, 1, 1, 2]


@settings(max_examples=100, deadline=None)
@given(
    gaps=st.lists(st.floats(0, 3), max_size=60),
    count=st.integers(1, 5),
    seconds=st.sampled_from([0.5, 1.0, 2.0, 5.0]),
)
def test_no_window_ever_holds_more_than_the_limit(gaps, count, seconds):
    limiter, now, passed = Limiter(), 1000.0, []
    for gap in gaps:
        now += gap
        if limiter.arrive(now, Rate(count, seconds)).allowed:
            passed.append(now)

    for first in passed:
        assert sum(first <= other < first + seconds for other in passed) <= count
