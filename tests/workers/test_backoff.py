"""Backoff: bounded, spread, and never shorter than what the other side asked for."""

from hypothesis import given
from hypothesis import strategies as st

from workers.backoff import delay

SECONDS = st.floats(0, 1e6)


@given(
    tries=st.integers(1, 10**9),
    base=SECONDS,
    cap=SECONDS,
    floor=SECONDS,
    chance=st.floats(0, 1, exclude_max=True),
)
def test_it_lies_between_floor_and_floor_plus_cap(
    tries: int, base: float, cap: float, floor: float, chance: float
) -> None:
    seconds = delay(tries, base_s=base, cap_s=cap, at_least_s=floor, chance=lambda: chance)
    assert floor <= seconds <= floor + cap


@given(tries=st.integers(1, 100), base=SECONDS, cap=SECONDS)
def test_the_ceiling_never_falls(tries: int, base: float, cap: float) -> None:
    def ceiling(n: int) -> float:
        return delay(n, base_s=base, cap_s=cap, chance=lambda: 1.0)

    assert ceiling(tries) <= ceiling(tries + 1)


def test_it_doubles_up_to_the_cap() -> None:
    assert [delay(n, base_s=2, cap_s=60, chance=lambda: 1.0) for n in (1, 2, 3, 9)] == [2.0, 4.0, 8.0, 60.0]
    assert delay(3, base_s=2, cap_s=60, at_least_s=5, chance=lambda: 0.5) == 9.0


def test_chance_is_asked_each_time() -> None:
    rolls = iter([0.1, 0.9])
    found = [delay(1, base_s=10, cap_s=60, chance=lambda: next(rolls)) for _ in range(2)]
    assert found == [1.0, 9.0]
