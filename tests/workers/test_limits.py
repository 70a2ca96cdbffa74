"""Rate limits as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.errors import InvalidInput
from workers.limits import PLANS, RateLimit, parse_rate_limit


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("5/1s", RateLimit(5, 1000)),
        ("1/5s", RateLimit(1, 5000)),
        ("1/500ms", RateLimit(1, 500)),
        ("5/s", RateLimit(5, 1000)),
        ("100/m", RateLimit(100, 60_000)),
        ("1000/1.5h", RateLimit(1000, 5_400_000)),
        (" 2/0.25s ", RateLimit(2, 250)),
    ],
)
def test_what_people_write_is_read(text: str, limit: RateLimit) -> None:
    assert parse_rate_limit(text) == limit


@pytest.mark.parametrize(
    "text",
    ["", "5", "5/", "/1s", "0/1s", "1/0s", "1/0.1ms", "-1/1s", "1/-1s", "1e3/1s", "1/1d", "1/nan s", "\u0663/1s"],
)
def test_what_allows_nothing_or_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="rate limit"):
        parse_rate_limit(text)


def test_a_long_text_is_cut_in_the_message() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_rate_limit("x" * 10_000)
    assert len(caught.value.message) < 200


@given(st.builds(RateLimit, st.integers(1, 999_999), st.integers(1, 10**12)))
def test_what_is_shown_can_be_read_back(limit: RateLimit) -> None:
    assert parse_rate_limit(str(limit)) == limit


@given(st.text() | st.from_regex(r"[0-9]{1,20}/[0-9.]{0,20} ?(ms|s|m|h)?"))
def test_any_text_gives_a_limit_or_our_error(text: str) -> None:
    try:
        limit = parse_rate_limit(text)
    except InvalidInput:
        return
    assert limit.requests >= 1
    assert limit.window_ms >= 1


def test_a_bigger_plan_allows_more() -> None:
    rates = [limit.requests / limit.window_ms for limit in PLANS.values()]
    assert rates == sorted(rates)
    assert PLANS["free"] == RateLimit(1, 5000)
