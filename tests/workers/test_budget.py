"""The shared budget on real Valkey: what arrives upstream never exceeds the window, and the important goes first."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from tests.workers.hands import TRANSIT_MS, Hands, budget
from workers.budget import NoSlot
from workers.errors import CredentialsRefused, RateLimited, UpstreamRefused, UpstreamUnavailable
from workers.limits import AHEAD_S, RateLimit
from workers.window import CREDENTIALS_PAUSE_S


@pytest.fixture
def hands() -> Hands:
    return Hands()


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
    hands.ms += TRANSIT_MS + 999
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
    hands.ms += 4999 - round(AHEAD_S * 1000)
    assert theirs.peek().free == 0
    with pytest.raises(NoSlot), theirs.slot("submit", "b"):
        pytest.fail("nothing may be sent")
    hands.ms += round(AHEAD_S * 1000)
    assert isinstance(theirs.take("submit", "b"), float)
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
    assert ours.state().pause_reason == "credentials"


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


def test_what_was_never_sent_takes_no_slot(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands, RateLimit(1, 1000))
    with pytest.raises(UpstreamUnavailable), ours.slot("fetch", "a"):
        raise UpstreamUnavailable("no connection", sent=False)
    assert ours.peek().free == 1


# When Redis's clock goes back

HOUR_MS = 3_600_000


def test_the_budget_goes_on_after_the_clock_went_back(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands)
    settled = [ours.take("fetch", f"c{n}") for n in range(3)]
    hands.ms += 100
    for slot in settled:
        ours.settle(str(slot))
    ours.take("fetch", "under way")
    hands.ms += 500
    hands.ms -= HOUR_MS
    assert ours.peek().used == 4
    ours.rewind(HOUR_MS)
    assert ours.peek().free == 1
    hands.ms += 499
    assert ours.peek().free == 1
    hands.ms += 1
    assert ours.peek().free == 4
    hands.ms += TRANSIT_MS - 1
    assert ours.peek().free == 4
    hands.ms += 1
    assert ours.peek().free == 5


def test_a_jump_that_is_not_known_whole_costs_no_more_than_a_window(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands)
    for n in range(5):
        ours.take("fetch", f"c{n}")
    hands.ms -= HOUR_MS
    ours.rewind(1000)
    hands.ms += TRANSIT_MS + 999
    assert ours.peek().free == 0
    hands.ms += 1
    assert ours.peek().free == 5


def test_rewinding_twice_changes_nothing_more(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands, RateLimit(1, 60_000))
    ours.settle(str(ours.take("fetch", "a")), pause_s=90)
    hands.ms += 10_000
    hands.ms -= HOUR_MS
    ours.rewind(HOUR_MS)
    once = {key: redis.dump(key) for key in redis.keys("*")}
    assert ours.peek().pause_s == 80
    ours.rewind(HOUR_MS)
    assert {key: redis.dump(key) for key in redis.keys("*")} == once


def test_a_slot_that_was_taken_after_the_jump_is_not_touched(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands)
    ours.take("fetch", "before")
    hands.ms -= HOUR_MS
    ours.take("fetch", "after")
    ours.rewind(HOUR_MS)
    hands.ms += 999
    assert ours.peek().used == 2


def test_claims_of_the_future_keep_nobody_away(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands, RateLimit(1, 1000))
    ours.settle(str(ours.take("watch", "w1")))
    ours.take("submit", "s1")  # and is never seen again
    hands.ms -= HOUR_MS
    ours.rewind(HOUR_MS)
    hands.ms += 1000
    assert isinstance(ours.take("watch", "w2"), str)


def test_a_pause_is_neither_prolonged_nor_forgotten(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands)
    ours.settle("", pause_s=30)
    hands.ms += 10_000
    hands.ms -= HOUR_MS
    ours.rewind(HOUR_MS)
    assert ours.peek().pause_s == 20
    hands.ms -= HOUR_MS
    ours.rewind(1000)  # so much of the jump was seen
    assert ours.peek().pause_s == 30


def test_a_pause_that_began_after_the_jump_stays(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands)
    hands.ms -= HOUR_MS
    ours.settle("", pause_s=30)
    ours.rewind(HOUR_MS)
    assert ours.peek().pause_s == 30


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    limit=st.builds(RateLimit, st.integers(1, 6), st.sampled_from([200, 1000, 5000])),
    pauses=st.lists(st.integers(0, 400), min_size=5, max_size=40),
    jumps=st.dictionaries(st.integers(0, 40), st.integers(1, 20_000), max_size=3),
    data=st.data(),
)
def test_what_arrives_never_exceeds_the_window(
    redis: Redis, limit: RateLimit, pauses: list[int], jumps: dict[int, int], data: st.DataObject
) -> None:
    """Requests travel for different times; however they overtake each other, Swiftia's own count stays in the limit.

    Nor does it matter that Redis's clock goes back, and that this is seen a little later.
    """
    redis.flushall()
    hands = Hands()
    ours = budget(redis, hands, limit)
    arrivals: list[int] = []
    under_way: list[tuple[int, str]] = []
    for n, pause in enumerate(pauses):
        hands.ahead -= jumps.get(n, 0)
        hands.ms += pause
        if (jump := jumps.get(n - 1)) is not None:
            ours.rewind(max(0, jump - pause))
        for answered, slot in [pair for pair in under_way if pair[0] <= hands.ms]:
            ours.settle(slot)
            under_way.remove((answered, slot))
        taken = ours.take("fetch", "x")
        if isinstance(taken, str):
            travel = data.draw(st.integers(0, TRANSIT_MS), label="travel")
            arrivals.append(hands.ms + travel)
            # The answer cannot come before the request arrived.
            under_way.append((hands.ms + travel + data.draw(st.integers(0, 50), label="answer"), taken))
    for arrival in arrivals:
        inside = [other for other in arrivals if arrival - limit.window_ms < other <= arrival]
        assert len(inside) <= limit.requests
    if len(pauses) - 1 in jumps:
        ours.rewind(1)
    hands.ms += limit.window_ms + TRANSIT_MS
    assert ours.peek().free == limit.requests
