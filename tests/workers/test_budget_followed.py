"""A request after which its caller writes to the ledger in any case: of a success the books hear with that."""

import contextlib
from collections.abc import Iterator, Mapping

import pytest
from redis import Redis

from tests.workers.hands import Hands, budget
from workers.budget import Budget
from workers.connections import worker_redis
from workers.errors import RateLimited, ServiceError, UnreadableAnswer, UpstreamRefused, UpstreamUnavailable
from workers.exchanges import Answer
from workers.limits import RateLimit
from workers.window import FAULTS

ONE, PLENTY = RateLimit(1, 1000), RateLimit(100, 1000)
STATED = {"x-ratelimit-limit": "3", "x-ratelimit-remaining": "2"}
COUNTED = "requests|GET /api/jobs/{id}|200"


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def client(redis: Redis, redis_url: str) -> Iterator[Redis]:
    assert redis.dbsize() == 0
    with contextlib.closing(worker_redis(redis_url)) as made:
        yield made


def counted(redis: Redis) -> int:
    return int(redis.hget("sr:budget:measures", COUNTED) or 0)


def write(client: Redis) -> None:
    client.register_script("return redis.call('INCR', 'written')")()


def send(
    ours: Budget, error: ServiceError | None = None, status: int | None = 200, stated: Mapping[str, str] | None = None
) -> None:
    with contextlib.suppress(ServiceError), ours.slot("fetch", "a", followed=True):
        ours.observe(Answer("GET /api/jobs/{id}", status, stated or {}, 0.01))
        if error:
            raise error


def test_a_success_is_told_with_what_the_caller_writes(redis: Redis, client: Redis, hands: Hands) -> None:
    ours, others = budget(client, hands), budget(redis, hands)
    send(ours, stated=STATED)
    assert (counted(redis), others.state().allowed, others.state().used) == (0, 5, 1)
    write(client)
    assert (counted(redis), others.state().allowed, others.state().used) == (1, 3, 1)
    hands.ms += 1000
    assert others.state().used == 0
    write(client)
    assert counted(redis) == 1


def test_it_comes_free_a_window_after_its_answer_whenever_that_is_told(
    redis: Redis, client: Redis, hands: Hands
) -> None:
    ours, others = budget(client, hands, ONE), budget(redis, hands, ONE)
    send(ours)
    hands.ms += 300
    assert others.peek().free == 0
    write(client)
    hands.ms += 699
    assert others.peek().free == 0
    hands.ms += 1
    assert others.peek().free == 1


def test_one_that_is_told_too_late_is_counted_as_if_it_had_taken_so_long(
    redis: Redis, client: Redis, hands: Hands
) -> None:
    ours, others = budget(client, hands, ONE), budget(redis, hands, ONE)
    send(ours)
    hands.ms += 60_000
    assert others.peek().free == 1
    write(client)
    assert (others.peek().free, counted(redis)) == (1, 1)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RateLimited("too many", retry_after=7), 429),
        (UpstreamRefused("no", status=404, kind="not-found"), 404),
        (UpstreamUnavailable("cut off", sent=True), None),
    ],
)
def test_everything_else_is_told_at_once(
    redis: Redis, client: Redis, hands: Hands, error: ServiceError, status: int | None
) -> None:
    send(budget(client, hands), error, status)
    assert (budget(redis, hands).peek().pause_s > 0) is (status == 429)
    name = f"requests|GET /api/jobs/{{id}}|{status or 'none'}"
    assert redis.hget("sr:budget:measures", name) == b"1"
    write(client)
    assert redis.hget("sr:budget:measures", name) == b"1"


def test_a_success_that_cannot_be_read_is_a_fault_at_once(redis: Redis, client: Redis, hands: Hands) -> None:
    ours, others = budget(client, hands, PLENTY), budget(redis, hands, PLENTY)
    for _ in range(FAULTS):
        send(ours, UnreadableAnswer("a page"))
    assert others.state().breaker == "open"
    assert counted(redis) == FAULTS
    write(client)
    assert counted(redis) == FAULTS


def test_the_probe_that_succeeds_closes_the_breaker(redis: Redis, client: Redis, hands: Hands) -> None:
    ours, others = budget(client, hands, PLENTY), budget(redis, hands, PLENTY)
    for _ in range(FAULTS):
        send(others, UnreadableAnswer("a page"))
    hands.ms += round(others.peek().pause_s * 1000)
    send(ours)
    assert others.state().breaker == "half-open"
    write(client)
    assert others.state().breaker == "closed"


def test_a_client_that_takes_nothing_along_tells_at_once(redis: Redis, hands: Hands) -> None:
    send(budget(redis, hands))
    assert counted(redis) == 1


def test_what_went_along_in_vain_is_told_by_itself(redis: Redis, client: Redis, hands: Hands) -> None:
    ours = budget(client, hands)
    send(ours)
    redis.script_flush()
    write(client)
    assert counted(redis) == 1
