"""The breaker and the key, on real Valkey: who finds out whether Swiftia is back, and that nobody pays for it."""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from redis import Redis

from tests.workers.hands import Hands, budget
from workers.budget import Budget, NoSlot
from workers.errors import (
    CredentialsRefused,
    InvalidInput,
    LedgerUnavailable,
    RateLimited,
    ServiceError,
    TooLarge,
    UnreadableAnswer,
    UpstreamRefused,
    UpstreamUnavailable,
)
from workers.exchanges import Answer
from workers.limits import RateLimit
from workers.window import CREDENTIALS_PAUSE_S, FAULTS, LONGEST_PAUSE_S

PLENTY = RateLimit(1000, 1000)
AWAY = UpstreamUnavailable("no answer", sent=True)
REFUSED = CredentialsRefused("no")


@pytest.fixture
def hands() -> Hands:
    return Hands()


def send(ours: Budget, error: BaseException | None = None) -> None:
    with contextlib.suppress(type(error) if error else ()), ours.slot("fetch", "a"):
        if error:
            raise error


def break_it(ours: Budget) -> None:
    for _ in range(FAULTS):
        send(ours, AWAY)


def probe(ours: Budget, hands: Hands, error: BaseException | None = None) -> None:
    hands.ms += round(ours.peek().pause_s * 1000)
    assert ours.state().breaker == "half-open"
    send(ours, error)


@pytest.mark.parametrize(
    "error",
    [AWAY, UpstreamUnavailable("refused", sent=False), UnreadableAnswer("a page")],
    ids=["away", "unreachable", "unreadable"],
)
def test_it_opens_when_requests_fail_in_a_row(redis: Redis, hands: Hands, error: ServiceError) -> None:
    ours = budget(redis, hands, PLENTY)
    for _ in range(FAULTS - 1):
        send(ours, error)
    assert ours.state().breaker == "closed"
    send(ours, error)
    state = budget(redis, hands, PLENTY).state()
    assert (state.breaker, state.pause_s, state.pause_reason, state.free) == ("open", 2.0, "breaker", 0)
    with pytest.raises(NoSlot) as caught:
        send(ours)
    assert caught.value.wait_s == 2.0


@pytest.mark.parametrize(
    "answer",
    [None, UpstreamRefused("no", status=404, kind="not-found"), TooLarge("large"), RateLimited("slow"), REFUSED],
    ids=["success", "refused", "large", "limited", "key"],
)
def test_an_answer_in_between_is_a_sign_of_life(redis: Redis, hands: Hands, answer: ServiceError | None) -> None:
    ours = budget(redis, hands, PLENTY)
    for _ in range(FAULTS - 1):
        send(ours, AWAY)
    send(ours, answer)
    hands.ms += round(ours.peek().pause_s * 1000)
    send(ours)
    for _ in range(FAULTS - 1):
        send(ours, AWAY)
    assert ours.state().breaker == "closed"


@pytest.mark.parametrize("error", [InvalidInput("x"), LedgerUnavailable("x"), KeyError("x"), SystemExit()])
def test_what_is_not_swiftias_says_nothing(redis: Redis, hands: Hands, error: BaseException) -> None:
    ours = budget(redis, hands, PLENTY)
    for _ in range(FAULTS - 1):
        send(ours, AWAY)
        send(ours, error)
    assert ours.state().breaker == "closed"
    send(ours, AWAY)
    assert ours.state().breaker == "open"


def test_the_pause_grows_and_has_an_end(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands, PLENTY)
    break_it(ours)
    pauses = []
    for _ in range(8):
        pauses.append(ours.peek().pause_s)
        probe(ours, hands, AWAY)
    assert pauses == [2, 4, 8, 16, 32, LONGEST_PAUSE_S, LONGEST_PAUSE_S, LONGEST_PAUSE_S]


@pytest.mark.parametrize(("luck", "pause"), [(0.0, 1.5), (0.5, 2.0), (0.999, 2.499)])
def test_installations_do_not_come_back_together(redis: Redis, hands: Hands, luck: float, pause: float) -> None:
    ours = budget(redis, hands, PLENTY, chance=lambda: luck)
    break_it(ours)
    assert ours.peek().pause_s == pytest.approx(pause, abs=0.002)


def test_one_probe_at_a_time(redis: Redis, hands: Hands) -> None:
    ours, theirs = budget(redis, hands, PLENTY), budget(redis, hands, PLENTY)
    break_it(ours)
    hands.ms += 2000
    assert (ours.peek().free, ours.peek().soon) == (1, 1)
    with ours.slot("reconcile", "a"):
        assert theirs.peek().free == 0
        with pytest.raises(NoSlot), theirs.slot("submit", "b"):
            pytest.fail("nothing may be sent")
    state = theirs.state()
    assert (state.breaker, state.pause_s, state.free) == ("closed", 0, 1000 - state.used)
    send(theirs)


def test_the_first_pause_is_short_again_afterwards(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands, PLENTY)
    break_it(ours)
    probe(ours, hands, AWAY)
    probe(ours, hands)
    break_it(ours)
    assert ours.peek().pause_s == 2.0


def test_what_was_under_way_when_it_opened_neither_closes_it_nor_prolongs_it(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands, PLENTY)
    for late in (None, AWAY):
        with contextlib.suppress(UpstreamUnavailable), ours.slot("fetch", "late"):
            other = budget(redis, hands, PLENTY)
            break_it(other)
            if late:
                raise late
        assert (ours.state().breaker, ours.peek().pause_s) == ("open", 2.0)
        probe(ours, hands)


@pytest.mark.parametrize("error", [KeyError("x"), SystemExit()])
def test_a_probe_that_tells_nothing_makes_room_for_the_next(redis: Redis, hands: Hands, error: BaseException) -> None:
    ours = budget(redis, hands, PLENTY)
    break_it(ours)
    probe(ours, hands, error)
    assert (ours.state().breaker, ours.peek().free) == ("half-open", 1)


def test_a_probe_whose_process_died_is_given_up(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands, PLENTY)
    break_it(ours)
    hands.ms += 2000
    assert isinstance(ours.take("fetch", "dies"), str)
    hands.ms += 29_999
    assert ours.peek().free == 0
    hands.ms += 1
    probe(ours, hands)
    assert ours.state().breaker == "closed"


def test_the_breaker_of_one_account_leaves_the_others_alone(redis: Redis, hands: Hands) -> None:
    one, other = budget(redis, hands, PLENTY, account="one"), budget(redis, hands, PLENTY)
    break_it(one)
    send(other)
    assert (one.state().breaker, other.state().breaker) == ("open", "closed")
    assert (one.state().used, other.state().used) == (FAULTS, 1)


def test_it_is_said_once_when_it_opens_and_once_when_it_closes(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands, PLENTY, account="one")
    with structlog.testing.capture_logs() as logs:
        break_it(ours)
        with pytest.raises(NoSlot):
            send(ours)
        probe(ours, hands)
    assert [(entry["event"], entry["account"]) for entry in logs] == [("swiftia.away", "one"), ("swiftia.back", "one")]


# The exchange as the wire sees it


def exchanged(ours: Budget, status: int | None, error: ServiceError | None = None) -> None:
    with contextlib.suppress(ServiceError), ours.slot("watch", "a"):
        ours.observe(Answer("GET /api/render/{id}", status, {}, 0.01))
        if error:
            raise error


def test_a_failed_render_is_no_fault_whatever_its_status(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands, PLENTY)
    for _ in range(3 * FAULTS):
        exchanged(ours, 500)
    assert ours.state().breaker == "closed"


def test_the_usual_exchange_costs_two_scripts(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands, PLENTY)
    exchanged(ours, 200)

    def scripts() -> int:
        return sum(
            redis.info("commandstats").get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "eval")
        )

    before = scripts()
    exchanged(ours, 200)
    assert scripts() - before == 2


def test_a_success_after_faults_is_told(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands, PLENTY)
    for _ in range(2):
        for _ in range(FAULTS - 1):
            exchanged(ours, 502, UpstreamUnavailable("away", sent=True))
        exchanged(ours, 200)
    assert ours.state().breaker == "closed"


# The key


def test_a_refused_key_is_tried_by_one_request_at_a_time(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands, PLENTY)
    for _ in range(3):
        send(ours, REFUSED)
        state = ours.state()
        assert (state.credentials_ok, state.pause_reason, state.pause_s) == (False, "credentials", CREDENTIALS_PAUSE_S)
        assert state.breaker == "closed"
        hands.ms += round(CREDENTIALS_PAUSE_S * 1000)
        assert ours.peek().free == 1
    send(ours)
    state = ours.state()
    assert (state.credentials_ok, state.pause_s, state.free) == (True, 0, 999)


def test_it_is_said_once_that_the_key_is_refused_and_once_that_it_works(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands, PLENTY)
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            send(ours, REFUSED)
            hands.ms += round(CREDENTIALS_PAUSE_S * 1000)
        send(ours)
        send(ours)
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [
        ("swiftia.credentials", "error"),
        ("swiftia.credentials_work", "warning"),
    ]


def test_a_key_is_not_held_to_be_mended_because_swiftia_fails(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands, PLENTY)
    send(ours, REFUSED)
    for _ in range(2):
        hands.ms += round(ours.peek().pause_s * 1000)
        send(ours, AWAY)
    assert (ours.state().credentials_ok, ours.peek().pause_s) == (False, 4.0)
    probe(ours, hands)
    assert (ours.state().credentials_ok, ours.state().breaker) == (True, "closed")


# When Redis's clock goes back

HOUR_MS = 3_600_000


@pytest.mark.parametrize(("close", "pause"), [(break_it, 2.0), (lambda ours: send(ours, REFUSED), 30.0)])
def test_a_pause_is_neither_prolonged_nor_forgotten(
    redis: Redis, hands: Hands, close: Callable[[Budget], None], pause: float
) -> None:
    ours = budget(redis, hands, PLENTY)
    close(ours)
    hands.ms += 500
    hands.ms -= HOUR_MS
    ours.rewind(HOUR_MS)
    assert ours.peek().pause_s == pause - 0.5
    once = redis.dump("sr:budget:state")
    ours.rewind(HOUR_MS)
    assert redis.dump("sr:budget:state") == once
    hands.ms -= HOUR_MS
    ours.rewind(1000)  # so much of the jump was seen
    assert ours.peek().pause_s == pause


def test_a_lost_probe_is_given_up_in_time(redis: Redis, hands: Hands) -> None:
    ours = budget(redis, hands, PLENTY)
    break_it(ours)
    hands.ms += 2000
    ours.take("fetch", "dies")
    hands.ms -= HOUR_MS
    ours.rewind(HOUR_MS)
    hands.ms += 30_000
    assert ours.peek().free == 1


# On the whole way


def test_a_step_that_meets_it_spends_no_attempt(make_station: Any) -> None:
    """The first faults count; from then on the job waits, and goes on by itself."""
    station = make_station(sandbox={"rate_headers": True}, MAX_ATTEMPTS="50")
    jobs = [station.submit(f"video-{n:05}") for n in range(FAULTS + 4)]
    station.sandbox.configure(server_errors=1.0)
    for job in jobs:
        station.call(job)
    for nudge in list(station.nudges()):
        station.run(nudge)
    assert station.services.budget.state().breaker == "open"
    tries = [station.services.redis.hget(f"sr:job:{job}", "tries") for job in jobs]
    assert [int(count or 0) for count in tries] == [1] * (FAULTS - 1) + [0] * 5
    station.sandbox.configure(server_errors=0.0)
    station.until(lambda: all(station.settled(job) for job in jobs), 30)
    assert {station.state(job) for job in jobs} == {"finished"}


def test_a_render_whose_start_got_no_answer_stays_unsure(make_station: Any) -> None:
    station = make_station(RENDER_WHEN_UNSURE="park")
    job = station.submit()
    station.call(job)
    station.sandbox.configure(resets=1.0, fault_routes="POST /api/render")
    station.until(lambda: station.settled(job))
    view = station.view(job)
    assert {render.state for render in view.renders} == {"parked"}
    assert "not known" in str(view.renders[0].reason)
