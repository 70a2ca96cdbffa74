"""Who gets a slot when there are too few: the important first, nobody never, and nobody asleep on a slot for long."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from tests.workers.hands import FIVE_A_SECOND, ONE_A_SECOND, TRANSIT_MS, Hands, budget
from workers.budget import Budget, NoSlot
from workers.limits import AHEAD_S, TURN_EVERY, RateLimit
from workers.work import CLASSES, UPSTREAM

AHEAD_MS = round(AHEAD_S * 1000)
RANKED = CLASSES[UPSTREAM]


@pytest.fixture
def hands() -> Hands:
    return Hands()


def spent(redis: Redis, hands: Hands, limit: RateLimit = ONE_A_SECOND) -> Budget:
    """A budget whose slots have all been answered at this moment."""
    ours = budget(redis, hands, limit)
    for slot in [ours.take("reconcile", f"earlier-{n}") for n in range(limit.requests)]:
        ours.settle(str(slot))
    return ours


# Waiting in place


def test_a_slot_that_comes_free_in_a_moment_is_waited_for(redis: Redis, hands: Hands) -> None:
    ours = spent(redis, hands)
    hands.ms += 1000 - AHEAD_MS
    began = hands.ms
    with ours.slot("watch", "a"):
        assert hands.ms - began == AHEAD_MS


def test_for_longer_nobody_stays(redis: Redis, hands: Hands) -> None:
    ours = spent(redis, hands)
    hands.ms += 1000 - AHEAD_MS - 1
    began = hands.ms
    with pytest.raises(NoSlot), ours.slot("watch", "a"):
        pytest.fail("there is no slot")
    assert hands.ms == began


def test_who_waits_in_place_gives_up_when_others_were_faster(redis: Redis, hands: Hands) -> None:
    ours = spent(redis, hands)
    hands.ms += 960
    began = hands.ms

    def sleep(seconds: float) -> None:
        hands.sleep(seconds)
        ours.take("watch", "faster")

    slower = Budget(redis, ONE_A_SECOND, now_ms=hands.now_ms, sleep=sleep)
    with pytest.raises(NoSlot), slower.slot("watch", "a"):
        pytest.fail("there is no slot")
    assert hands.ms - began <= AHEAD_MS


def test_who_waits_in_place_is_seen_and_who_left_is_not(redis: Redis, hands: Hands) -> None:
    ours = spent(redis, hands)
    hands.ms += 950
    ours.take("watch", "stays", stay_s=0.1)
    ours.take("watch", "leaves", stay_s=0.01)
    peek = ours.peek()
    assert (peek.here, peek.soon, peek.next_s) == (1, 1, 0.05)
    assert ours.state().waiting == {**dict.fromkeys(RANKED, 0), "watch": 2}
    hands.ms += 50
    assert isinstance(ours.take("watch", "stays"), str)
    assert ours.peek().here == 0


def test_many_at_once_get_exactly_the_slots_there_are(redis: Redis) -> None:
    """Real threads, Redis's own clock."""
    ours = Budget(redis, RateLimit(3, 60_000))
    granted: list[str] = []
    ready = threading.Barrier(12)

    def ask(name: str) -> None:
        ready.wait()
        try:
            with ours.slot("fetch", name):
                granted.append(name)
        except NoSlot:
            pass

    threads = [threading.Thread(target=ask, args=(f"t{n}",)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(granted) == 3


# What the clock goes by


def test_it_is_told_when_the_next_slots_come_free(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands)
    for n in range(5):
        slot = ours.take("fetch", f"c{n}")
        hands.ms += 80
        ours.settle(str(slot))
    assert (ours.peek().free, ours.peek().next_s, ours.peek().soon, ours.peek().later_s) == (0, 0.68, 0, 0.68)
    hands.ms += 520
    peek = ours.peek()
    assert (peek.free, peek.next_s, peek.soon, peek.later_s) == (0, 0.16, 1, 0.24)
    hands.ms += 180
    peek = ours.peek()
    assert (peek.free, peek.next_s, peek.soon, peek.later_s) == (1, 0, 3, 0.22)


def test_what_is_under_way_cannot_come_free_before_its_answer(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands, ONE_A_SECOND)
    ours.take("fetch", "a")
    hands.ms += 500
    assert (ours.peek().soon, ours.peek().next_s, ours.peek().later_s) == (0, 1, 1)


# Out of turn


def test_a_place_is_kept_for_who_is_told_to_come_and_not_for_long(redis: Redis, hands: Hands) -> None:
    ours = spent(redis, hands)
    assert ours.take("submit", "s1") == 1.0
    hands.ms += 1000
    assert ours.take("watch", "w1") == 0.15
    hands.ms += 149
    assert isinstance(ours.take("watch", "w1"), float)
    hands.ms += 1
    assert isinstance(ours.take("watch", "w1"), str)


def test_a_free_slot_is_not_kept_for_who_was_told_to_come_later(redis: Redis, hands: Hands) -> None:
    ours = spent(redis, hands, RateLimit(2, 1000))
    hands.ms += 500
    ours.take("submit", "s1")
    hands.ms += 500
    assert isinstance(ours.take("watch", "w1"), str)
    assert isinstance(ours.take("submit", "s1"), str)


def slots(ours: Budget, hands: Hands, names: list[str], wanted: int, *, step_ms: int = 1) -> Iterator[tuple[str, int]]:
    """Let everybody of a crowd ask when it was told to come, and again after each slot: who gets which, and when?"""
    crowd = list(enumerate(names))
    come = dict.fromkeys(crowd, hands.ms)
    granted = 0
    while granted < wanted:
        for who, at in come.items():
            if at > hands.ms:
                continue
            number, name = who
            taken = ours.take(name, str(number), stay_s=60.0)
            if isinstance(taken, str):
                ours.settle(taken)
                granted += 1
                yield name, hands.ms
            else:
                come[who] = hands.ms + round(taken * 1000)
        hands.ms += step_ms


@pytest.mark.parametrize("limit", [ONE_A_SECOND, FIVE_A_SECOND])
def test_each_tenth_slot_goes_to_the_less_important(redis: Redis, hands: Hands, limit: RateLimit) -> None:
    ours = spent(redis, hands, limit)
    got = [name for name, _ in slots(ours, hands, [*["submit"] * 6, "reconcile"], 60)][10:]
    assert got.count("reconcile") == 5
    places = [n for n, name in enumerate(got) if name == "reconcile"]
    assert {after - before for before, after in pairwise(places)} == {TURN_EVERY}


def test_among_the_less_important_it_is_the_one_that_waits_longest(redis: Redis, hands: Hands) -> None:
    ours = spent(redis, hands)
    crowd = ["submit", "submit", "fetch", "watch", "reconcile"]
    got = [name for name, _ in slots(ours, hands, crowd, 100)][10:]
    others = [name for name in got if name != "submit"]
    assert len(others) == 9
    assert others[:6] == [*others[:3], *others[:3]]
    assert set(others[:3]) == {"fetch", "watch", "reconcile"}


def test_nobody_is_kept_waiting_by_a_turn_that_nobody_takes(redis: Redis, hands: Hands) -> None:
    ours = spent(redis, hands)
    for _ in range(2 * TURN_EVERY):
        hands.ms += 1000
        ours.take("reconcile", "gone", stay_s=0.0)
        ours.settle(str(ours.take("submit", "s")))


@dataclass
class Arrivals:
    """Swiftia's own count of what arrives."""

    limit: RateLimit
    at: list[int] = field(default_factory=list)

    def check(self) -> None:
        for arrival in self.at:
            inside = [other for other in self.at if arrival - self.limit.window_ms < other <= arrival]
            assert len(inside) <= self.limit.requests


LIMITS = st.builds(RateLimit, st.integers(1, 6), st.sampled_from([200, 1000, 5000]))
unhurried = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@unhurried
@given(
    limit=LIMITS,
    asked=st.lists(
        st.tuples(
            st.integers(0, 400),  # ms that go by before
            st.sampled_from(RANKED),
            st.integers(0, 7),  # whose claim it is
            st.sampled_from([0.0, 0.1]),
            st.integers(0, TRANSIT_MS),  # on its way
            st.integers(0, 3000),  # until the answer is here, or never
        ),
        min_size=5,
        max_size=60,
    ),
)
def test_whoever_asks_whenever_what_arrives_stays_within_the_limit(
    redis: Redis, limit: RateLimit, asked: list[tuple[int, str, int, float, int, int]]
) -> None:
    redis.flushall()
    hands, arrivals = Hands(), Arrivals(limit)
    ours = budget(redis, hands, limit)
    under_way: list[tuple[int, str]] = []
    for pause, name, claim, stay_s, travel, answer in asked:
        hands.ms += pause
        for answered, slot in [pair for pair in under_way if pair[0] <= hands.ms]:
            ours.settle(slot)
            under_way.remove((answered, slot))
        taken = ours.take(name, f"{name}-{claim}", stay_s=stay_s)
        if isinstance(taken, str):
            arrivals.at.append(hands.ms + travel)
            under_way.append((hands.ms + travel + answer, taken))
        else:
            assert taken > 0
            peek = ours.peek()
            assert 0 <= peek.free <= peek.soon <= limit.requests
    arrivals.check()


@settings(unhurried, max_examples=25)
@given(
    limit=st.builds(RateLimit, st.integers(1, 6), st.sampled_from([200, 1000])),
    crowd=st.lists(st.sampled_from(RANKED), min_size=2, max_size=7),
    step_ms=st.integers(1, 60),
)
def test_no_class_starves(redis: Redis, limit: RateLimit, crowd: list[str], step_ms: int) -> None:
    """Everybody asks whenever it was told to come, in any crowd: who is less important gets its share all the same."""
    redis.flushall()
    hands = Hands()
    ours = spent(redis, hands, limit)
    got = [name for name, _ in slots(ours, hands, crowd, TURN_EVERY * (len(crowd) + 1), step_ms=step_ms)]
    for name in set(crowd):
        assert got.count(name) >= 1, (name, got)


def test_five_a_second_are_used_whole(redis: Redis, hands: Hands) -> None:
    ours = spent(redis, hands, FIVE_A_SECOND)
    times = [at for _, at in slots(ours, hands, ["watch"] * 6, 51)]
    assert times[-1] - times[0] <= 10 * 1000 + 10
