"""The shared budget on real Valkey: what arrives upstream never exceeds the window, and the important goes first."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from workers.budget import CREDENTIALS_PAUSE_S, TRANSIT_S, Budget, NoSlot
from workers.errors import CredentialsRefused, RateLimited, UpstreamRefused, UpstreamUnavailable
from workers.limits import RateLimit


class Hands:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.ms = 1_800_000_000_000

    def now_ms(self) -> int:
        return self.ms


@pytest.fixture
def hands() -> Hands:
    return Hands()


FIVE_A_SECOND = RateLimit(5, 1000)


def budget(redis: Redis, hands: Hands, limit: RateLimit = FIVE_A_SECOND) -> Budget:
    return Budget(redis, limit, now_ms=hands.now_ms)


def test_as_many_as_the_limit_and_no_more(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands)
    slots = [ours.take("fetch", f"c{n}") for n in range(5)]
    assert all(isinstance(slot, str) for slot in slots)
    assert ours.peek().free == 0
    wait = ours.take("fetch", "c5")
    assert wait == 1.0


def test_a_settled_slot_comes_back_after_the_window(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands, RateLimit(1, 1000))
    slot = ours.take("fetch", "a")
    assert isinstance(slot, str)
    hands.ms += 40
    ours.settle(slot)
    hands.ms += 999
    assert ours.take("fetch", "b") == 0.001
    hands.ms += 1
    assert isinstance(ours.take("fetch", "b"), str)


def test_a_slot_that_is_never_settled_ends_by_itself(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands, RateLimit(1, 1000))
    ours.take("fetch", "a")
    hands.ms += round(TRANSIT_S * 1000) + 999
    assert isinstance(ours.take("fetch", "b"), float)
    hands.ms += 1
    assert isinstance(ours.take("fetch", "b"), str)


def test_the_important_goes_first(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands, RateLimit(1, 1000))
    slot = ours.take("watch", "w1")
    assert isinstance(slot, str)
    ours.settle(slot)
    assert isinstance(ours.take("submit", "s1"), float)
    hands.ms += 1000
    assert isinstance(ours.take("watch", "w2"), float)
    assert isinstance(ours.take("submit", "s1"), str)


def test_a_claim_whose_owner_is_gone_does_not_block_for_ever(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands, RateLimit(1, 1000))
    ours.take("watch", "w1")
    ours.take("submit", "s1")
    hands.ms += 10_000
    assert isinstance(ours.take("watch", "w2"), str)


def test_a_429_keeps_everybody_away_for_at_least_the_window(redis: Redis, hands: Hands) -> None:
    ours, theirs = budget(redis, hands, RateLimit(1, 5000)), budget(redis, hands, RateLimit(1, 5000))
    with pytest.raises(RateLimited), ours.slot("fetch", "a"):
        raise RateLimited("too many", retry_after=1)
    hands.ms += 4999
    assert theirs.peek().free == 0
    with pytest.raises(NoSlot), theirs.slot("submit", "b"):
        pytest.fail("nothing may be sent")
    hands.ms += 1
    assert isinstance(theirs.take("submit", "b"), str)


def test_a_longer_retry_after_is_obeyed(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands)
    with pytest.raises(RateLimited), ours.slot("fetch", "a"):
        raise RateLimited("too many", retry_after=30)
    hands.ms += 29_999
    assert ours.peek().pause_s == 0.001


def test_a_refused_key_stops_upstream_work(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands)
    with pytest.raises(CredentialsRefused), ours.slot("fetch", "a"):
        raise CredentialsRefused("no")
    assert ours.peek().pause_s == CREDENTIALS_PAUSE_S


@pytest.mark.parametrize("error", [UpstreamRefused("no", status=404, kind="not-found"), None])
def test_an_answer_settles_its_slot(redis: Redis, hands: Hands, error: UpstreamRefused | None) -> None:
    ours = budget(redis, hands, RateLimit(1, 1000))
    try:
        with ours.slot("fetch", "a"):
            hands.ms += 10
            if error:
                raise error
    except UpstreamRefused:
        pass
    hands.ms += 1000
    assert ours.peek().free == 1


def test_no_answer_leaves_the_slot_booked(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands, RateLimit(1, 1000))
    with pytest.raises(UpstreamUnavailable), ours.slot("fetch", "a"):
        raise UpstreamUnavailable("reset", sent=True)
    hands.ms += 1000
    assert ours.peek().free == 0


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    limit=st.builds(RateLimit, st.integers(1, 6), st.sampled_from([200, 1000, 5000])),
    pauses=st.lists(st.integers(0, 400), min_size=5, max_size=40),
    data=st.data(),
)
def test_what_arrives_never_exceeds_the_window(
    redis: Redis, limit: RateLimit, pauses: list[int], data: st.DataObject
) -> None:
    """Requests travel for different times; however they overtake each other, Swiftia's own count stays in the limit."""
    redis.flushall()
    hands = Hands()
    ours = budget(redis, hands, limit)
    arrivals: list[int] = []
    under_way: list[tuple[int, str]] = []
    for pause in pauses:
        hands.ms += pause
        for answered, slot in [pair for pair in under_way if pair[0] <= hands.ms]:
            ours.settle(slot)
            under_way.remove((answered, slot))
        taken = ours.take("fetch", "x")
        if isinstance(taken, str):
            travel = data.draw(st.integers(0, round(TRANSIT_S * 1000)), label="travel")
            arrivals.append(hands.ms + travel)
            # The answer cannot come before the request arrived.
            under_way.append((hands.ms + travel + data.draw(st.integers(0, 50), label="answer"), taken))
    for arrival in arrivals:
        inside = [other for other in arrivals if arrival - limit.window_ms < other <= arrival]
        assert len(inside) <= limit.requests
