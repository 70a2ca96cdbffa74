"""How many deliveries go to each target at once."""

from hypothesis import given
from hypothesis import strategies as st

from workers.rooms import Rooms


def test_a_target_has_its_share_and_one_that_fails_a_single_place() -> None:
    rooms = Rooms(8)
    rooms.enter("slow")
    assert rooms.full() == []
    rooms.enter("slow")
    assert rooms.full() == ["slow"]
    for _ in range(2):
        rooms.leave("slow", failed=True)
    rooms.enter("slow")
    assert rooms.full() == ["slow"]
    rooms.leave("slow", failed=False)
    rooms.enter("slow")
    assert rooms.full() == []


@given(
    threads=st.integers(1, 40), moves=st.lists(st.tuples(st.sampled_from("abc"), *[st.booleans()] * 2), max_size=200)
)
def test_the_counts_are_right_whatever_comes_and_goes(threads: int, moves: list[tuple[str, bool, bool]]) -> None:
    rooms, inside = Rooms(threads), dict.fromkeys("abc", 0)
    for name, comes, failed in moves:
        if comes and not rooms.are_full and name not in rooms.full():
            rooms.enter(name)
            inside[name] += 1
        elif not comes and inside[name]:
            rooms.leave(name, failed=failed)
            inside[name] -= 1
    assert sum(inside.values()) <= threads
    assert max(inside.values()) <= max(1, threads // 4)
    assert rooms.are_full == (sum(inside.values()) >= threads)
