"""What Swiftia's answers say of the limit, on real Valkey: others who spend, a plan that changed, why a 429 came."""

import contextlib
from collections.abc import Mapping

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from tests.workers.hands import FIVE_A_SECOND, ONE_A_SECOND, TRANSIT_MS, Hands, budget
from workers.budget import Budget
from workers.errors import RateLimited
from workers.exchanges import Answer
from workers.limits import RateLimit, most_requests, read_stated

HOUR_MS = 3_600_000


@pytest.fixture
def hands() -> Hands:
    return Hands()


def stated(limit: object, left: object) -> dict[str, str]:
    return {"x-ratelimit-limit": str(limit), "x-ratelimit-remaining": str(left), "x-ratelimit-reset": "1800000000000"}


def send(ours: Budget, hands: Hands, headers: Mapping[str, str], status: int = 200, claim: str = "a") -> None:
    """Send one request; its answer comes 10 ms later."""
    with contextlib.suppress(RateLimited), ours.slot("watch", claim):
        hands.ms += 10
        ours.observe(Answer("GET /api/render/{id}", status, headers, 0.01))
        if status == 429:
            raise RateLimited("too many", retry_after=1)


# Somebody else


def test_what_swiftia_counts_of_ours_is_no_stranger(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands)
    for n in range(5):
        send(ours, hands, stated(5, 4 - n))
    assert (ours.peek().used, ours.peek().free) == (5, 0)


def test_a_stranger_takes_its_slots_for_one_window(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands)
    send(ours, hands, stated(5, 1))
    assert (ours.peek().used, ours.peek().free) == (4, 1)
    send(ours, hands, stated(5, 0))
    assert ours.peek().used == 5
    hands.ms += 990
    assert ours.peek().used == 1
    hands.ms += 10
    assert ours.peek().used == 0


def test_requests_under_way_may_be_counted_already(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands)
    for n in range(3):
        ours.take("fetch", f"under way {n}")
    send(ours, hands, stated(5, 1))
    assert ours.peek().used == 4
    send(ours, hands, stated(5, 0))
    assert ours.peek().used == 5


def test_one_that_has_just_left_our_window_may_be_in_swiftias(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands, ONE_A_SECOND)
    send(ours, hands, stated(1, 0))
    hands.ms += 1000
    send(ours, hands, stated(1, 0))
    hands.ms += 1000
    assert ours.peek().used == 0


def test_what_left_our_window_while_a_request_was_under_way_was_still_in_swiftias(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands)
    send(ours, hands, stated(5, 4))
    send(ours, hands, stated(5, 3))
    hands.ms += 990
    with ours.slot("watch", "a"):
        hands.ms += 15
        ours.observe(Answer("GET /api/render/{id}", 200, stated(5, 3), 0.015))
    assert ours.peek().used == 1


def test_an_answer_that_took_long_tells_nothing_of_others(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands)
    with ours.slot("watch", "a"):
        hands.ms += TRANSIT_MS + 500
        ours.observe(Answer("GET /api/render/{id}", 200, stated(5, 0), 1.5))
    assert ours.peek().used == 1


# The limit


def test_a_lower_limit_is_followed(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands)
    with structlog.testing.capture_logs() as logs:
        send(ours, hands, stated(2, 1))
        send(ours, hands, stated(2, 0))
    assert (ours.state().allowed, budget(redis, hands).peek().free) == (2, 0)
    assert logs == [{"event": "swiftia.limit", "log_level": "warning", "allowed": 2, "configured": 5}]


@pytest.mark.parametrize(
    ("limit", "said", "allowed"),
    [
        (ONE_A_SECOND, 3, 3),
        (ONE_A_SECOND, 5, 4),
        (FIVE_A_SECOND, 100, 10),
        (RateLimit(1, 5000), 9, 4),
        (RateLimit(50, 1000), 60, 50),
        (FIVE_A_SECOND, 0, 1),
    ],
)
def test_a_higher_limit_is_followed_within_bounds(
    redis: Redis, hands: Hands, limit: RateLimit, said: int, allowed: int
) -> None:
    ours = budget(redis, hands, limit)
    send(ours, hands, stated(said, max(0, said - 1)))
    assert ours.state().allowed == allowed
    assert most_requests(limit) >= limit.requests


def test_a_limit_that_is_said_no_more_is_forgotten(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands)
    send(ours, hands, stated(2, 1))
    hands.ms += HOUR_MS // 2
    send(ours, hands, stated(2, 1))
    hands.ms += HOUR_MS - 20
    assert ours.state().allowed == 2
    hands.ms += 20
    assert ours.state().allowed == 5


def test_our_own_limit_ends_another_one(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands)
    send(ours, hands, stated(2, 1))
    send(ours, hands, stated(5, 3))
    assert ours.state().allowed == 5


def test_a_higher_limit_that_was_followed_and_refused_is_not_believed_again_soon(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands)
    send(ours, hands, stated(10, 9))
    assert ours.state().allowed == 10
    send(ours, hands, stated(10, 0), 429)
    assert (ours.state().allowed, ours.state().refused["shrunk"]) == (5, 1)
    hands.ms += 1000
    send(ours, hands, stated(10, 9))
    assert ours.state().allowed == 5
    hands.ms += HOUR_MS
    send(ours, hands, stated(10, 9))
    assert ours.state().allowed == 10


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(headers=st.dictionaries(st.sampled_from(["x-ratelimit-limit", "x-ratelimit-remaining"]), st.text(max_size=12)))
def test_whatever_stands_in_the_headers_work_goes_on(redis: Redis, headers: dict[str, str]) -> None:
    redis.flushall()
    hands = Hands()
    ours = budget(redis, hands)
    send(ours, hands, headers)
    assert 1 <= ours.state().allowed <= 10
    hands.ms += 1000
    assert ours.peek().free >= 1


@pytest.mark.parametrize(
    "text", ["", "-1", "1.5", "5, 5;w=1", "\u0665", "1" * 10, "0x5", "five", "1e3", "5\u00a0", "+5", "1_0"]
)
def test_what_is_no_count_says_nothing(text: str) -> None:
    said = read_stated({"x-ratelimit-limit": text, "x-ratelimit-remaining": text})
    assert (said.limit, said.left) in ((None, None), (5, 5))


# Why a 429 came


def saturated(ours: Budget, hands: Hands) -> None:
    """Use every slot the moment it comes free."""
    for n in range(5):
        send(ours, hands, {}, claim=f"c{n}")
    hands.ms += 960


def test_one_that_a_wider_margin_would_have_spared_is_ours(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands)
    saturated(ours, hands)
    with structlog.testing.capture_logs() as logs:
        send(ours, hands, {}, 429)
    assert logs == [{"event": "swiftia.limited", "log_level": "warning", "cause": "ours"}]
    state = ours.state()
    assert (state.refused, state.margin_ms) == ({"ours": 1, "stranger": 0, "shrunk": 0}, 20)
    assert (state.pause_s, state.pause_reason) == (1.0, "limit")


def test_the_margin_grows_to_a_share_of_the_window_and_shrinks_while_all_is_well(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands)
    for _ in range(14):
        saturated(ours, hands)
        hands.ms += ours.state().margin_ms
        send(ours, hands, {}, 429)
        hands.ms += 3000
    assert ours.state().margin_ms == 200
    halves = []
    for _ in range(9):
        hands.ms += 600_000
        halves.append(ours.state().margin_ms)
    assert halves == [100, 50, 25, 12, 6, 3, 1, 0, 0]


def test_a_slot_counts_so_much_longer(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands)
    saturated(ours, hands)
    send(ours, hands, {}, 429)
    hands.ms += 1000
    slot = ours.take("watch", "a")
    ours.settle(str(slot))
    hands.ms += 1019
    assert ours.peek().used == 1
    hands.ms += 1
    assert ours.peek().used == 0


def test_several_of_one_moment_widen_the_margin_once(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands)
    saturated(ours, hands)
    first, second = ours.slot("watch", "a"), budget(redis, hands).slot("watch", "b")
    hands.ms += 40
    with pytest.raises(RateLimited), second, first:
        raise RateLimited("too many")  # both say so
    assert (ours.state().refused["ours"], ours.state().margin_ms) == (2, 20)


def test_one_that_no_margin_would_have_spared_is_a_strangers(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands)
    send(ours, hands, {})
    send(ours, hands, {}, 429)
    assert (ours.state().refused["stranger"], ours.state().margin_ms) == (1, 0)


def test_while_a_stranger_was_seen_it_is_a_strangers(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands)
    send(ours, hands, stated(5, 2))
    hands.ms += 2000
    saturated(ours, hands)
    send(ours, hands, stated(5, 0), 429)
    assert (ours.state().refused["stranger"], ours.state().margin_ms) == (1, 0)


def test_a_429_of_ours_makes_no_stranger(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands)
    for _ in range(2):
        saturated(ours, hands)
        hands.ms += 40
        send(ours, hands, stated(5, 0), 429)
        hands.ms += 3000
    assert ours.state().refused == {"ours": 2, "stranger": 0, "shrunk": 0}


def test_a_limit_that_shrank_is_the_cause(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands)
    send(ours, hands, {})
    send(ours, hands, stated(1, 0), 429)
    state = ours.state()
    assert (state.refused["shrunk"], state.allowed, state.margin_ms) == (1, 1, 0)


def test_everybody_waits_from_the_moment_of_the_answer(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands)
    with contextlib.suppress(RateLimited), ours.slot("watch", "a"):
        ours.observe(Answer("GET /api/render/{id}", 429, {}, 0.01))
        assert budget(redis, hands).take("submit", "b") == 1.0
        raise RateLimited("too many", retry_after=7)
    assert ours.peek().pause_s == 7
    assert sum(ours.state().refused.values()) == 1


# The exchange


def test_an_exchange_whose_end_was_seen_is_over(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands, ONE_A_SECOND)
    with ours.slot("watch", "a"):
        hands.ms += 10
        ours.observe(Answer("GET /api/render/{id}", None, {}, 0.01))
    hands.ms += 1000
    assert ours.peek().free == 1


def test_an_answer_outside_of_any_slot_is_heeded_too(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands)
    ours.observe(Answer("GET /api/uploads", 200, stated(2, 0), 0.01))
    assert (ours.state().allowed, ours.state().used) == (2, 0)


# When Redis's clock goes back


def test_what_was_noted_before_does_not_outlast_its_time(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands)
    saturated(ours, hands)
    send(ours, hands, {}, 429)
    hands.ms += 1000
    send(ours, hands, stated(3, 1))
    assert (ours.state().allowed, ours.state().margin_ms) == (3, 20)
    hands.ms -= HOUR_MS
    ours.rewind(HOUR_MS)
    once = redis.dump("sr:budget:state")
    ours.rewind(HOUR_MS)
    assert redis.dump("sr:budget:state") == once
    hands.ms += HOUR_MS
    assert (ours.state().allowed, ours.state().margin_ms, ours.peek().pause_s) == (5, 0, 0)
