"""When a delivery is tried again: never too soon, never past all patience, and always an end."""

from http import HTTPStatus

from hypothesis import given
from hypothesis import strategies as st

from workers.deliveries import FIRST_S, LONGEST_S, Reply, judge, pause

DAYS_3 = 259_200.0
tries = st.integers(1, 10_000)
seconds = st.floats(0, 10 * DAYS_3)
chances = st.floats(0, 1, exclude_max=True)
words = st.text(max_size=30)


@given(tries=tries, age_s=seconds, patience_s=seconds, wish_s=seconds, chance=chances)
def test_a_pause_lies_within_its_bounds(
    tries: int, age_s: float, patience_s: float, wish_s: float, chance: float
) -> None:
    found = pause(tries, age_s=age_s, patience_s=patience_s, at_least_s=wish_s, chance=lambda: chance)
    if age_s >= patience_s:
        assert found is None
        return
    assert found is not None
    assert found >= min(wish_s, 86_400)
    assert found <= max(min(1.25 * LONGEST_S, patience_s - age_s), min(wish_s, 86_400))
    assert found >= min(0.75 * FIRST_S, patience_s - age_s)


@given(patience_s=st.floats(1, 10 * DAYS_3), chance=chances)
def test_it_ends_and_the_last_try_comes_when_patience_does(patience_s: float, chance: float) -> None:
    age_s, sent = 0.0, 1
    while (wait_s := pause(sent, age_s=age_s, patience_s=patience_s, chance=lambda: chance)) is not None:
        age_s, sent = age_s + wait_s, sent + 1
        assert sent < 200
    assert age_s >= patience_s
    assert age_s - patience_s < 1


def test_three_days_are_a_handful_of_tries_at_first_and_three_a_day_later() -> None:
    age_s, moments = 0.0, []
    while (wait_s := pause(len(moments) + 1, age_s=age_s, patience_s=DAYS_3, chance=lambda: 0.5)) is not None:
        age_s += wait_s
        moments.append(age_s)
    assert sum(moment < 3600 for moment in moments) == 6
    assert len(moments) == 17


@given(status=st.integers(100, 599), name=words, value=words)
def test_any_answer_is_judged(status: int, name: str, value: str) -> None:
    reply = judge(status, {name: value, "Retry-After": value})
    assert reply.status == status
    assert (reply.problem == "") == (200 <= status < 300)
    assert reply.over == (status == HTTPStatus.GONE)
    assert reply.wait_s >= 0


def test_what_the_answers_mean() -> None:
    assert judge(200, {}) == Reply(200)
    assert "redirect" in judge(301, {"Location": "https://elsewhere.example/"}).problem
    assert judge(429, {"Retry-After": "120"}).wait_s == 120
    assert judge(500, {}).wait_s == 0
    dates = {"Date": "Tue, 24 Nov 2026 10:00:00 GMT", "Retry-After": "Tue, 24 Nov 2026 10:01:30 GMT"}
    assert judge(503, dates).wait_s == 90
