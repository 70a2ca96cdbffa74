"""The plan's window and lines against the scripts that they stand for, on real Valkey: same calls, same answers."""

import random

import pytest
from redis import Redis

from tests.workers.desk import Desk
from tests.workers.hands import Hands, budget
from workers.identifiers import JobSubject, parse_subject
from workers.limits import TURN_EVERY, RateLimit
from workers.planning.lines import Lines
from workers.planning.window import Window
from workers.work import UPSTREAM

LIMITS = [RateLimit(1, 5000), RateLimit(1, 1000), RateLimit(5, 1000), RateLimit(3, 700)]


@pytest.mark.parametrize("limit", LIMITS, ids=str)
def test_the_window_counts_as_the_budget_does(redis: Redis, limit: RateLimit) -> None:
    chance = random.Random(str(limit))  # noqa: S311 - the same calls every time
    hands, window = Hands(), Window(limit)
    ours = budget(redis, hands, limit)
    under_way: list[tuple[str, int]] = []
    taken = 0
    for number in range(300):
        hands.ms += chance.choice([0, 1, 40, 300, limit.window_ms // 2, limit.window_ms])
        if under_way and chance.random() < 0.5:
            slot, booked = under_way.pop(chance.randrange(len(under_way)))
            ours.settle(slot)
            window.settle(booked, hands.ms)
        assert ours.peek().used == window.used(hands.ms)
        answer = ours.take("watch", "the one who asks")
        if isinstance(answer, float):
            assert window.wait_ms(hands.ms) == round(answer * 1000), number
        else:
            assert window.wait_ms(hands.ms) == 0, number
            under_way.append((answer, window.take(hands.ms)))
            taken += 1
    assert 30 < taken < 300


@pytest.fixture
def desk(redis: Redis) -> Desk:
    return Desk(redis)


@pytest.mark.parametrize("seed", range(3))
def test_who_is_next_is_whom_the_clock_nudges(desk: Desk, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same lines every time
    lines: Lines[str] = Lines()
    for subject, (name, due) in filled(desk, chance).items():
        lines.add(name, round(due), subject, planned_ms=planned(desk, subject))
    desk.at += 40_000
    chosen, turns = [], 0
    while (turn := lines.turn, picked := lines.pick(desk.at))[1] is not None:
        turns += turn
        desk.ledger.dispatch(UPSTREAM, most=1, turn=turn)
        ((_, subject, attempt),) = desk.nudges()
        assert subject == picked[1]
        assert (begun := desk.ledger.begin(parse_subject(subject), _step(picked[0]), attempt)) is not None
        assert desk.ledger.waiting(begun) == lines.waiting(desk.at)
        chosen.append(picked[0])
    assert len(chosen) == 60
    assert turns >= 3
    assert chosen[TURN_EVERY - 1] != chosen[0]
    starts = [number for number, name in enumerate(chosen) if name == "render"]
    assert chosen[starts[0] : starts[-1]].count("watch") > 5  # what was begun first ends first
    assert desk.ledger.dispatch(UPSTREAM, most=9).nudged == 0


def filled(desk: Desk, chance: random.Random) -> dict[str, tuple[str, float]]:
    """Fifteen in each of four classes, due at times of their own."""
    times = iter(chance.sample(range(100, 30_000), 60))
    for number in range(15):
        desk.ledger.link("", f"silent_{number}", first_ms=next(times), by="watch")
        job = JobSubject(f"heard_{number}")
        desk.accept(job=str(job))
        assert desk.ledger.move(desk.begin(), wait_s=next(times) / 1000)
    for result in range(3):
        desk.fetched(renders=10, job=JobSubject(f"result_{result}"))
        desk.at += 30
    for number in range(30):
        desk.tick(most=1)
        record = desk.begin()
        assert desk.ledger.move(record, "starting", hold=True)
        if number < 15:
            assert desk.ledger.move(record, "queued", wait_s=next(times) / 1000)
        else:
            assert desk.ledger.move(record, "planned", wait_s=next(times) / 1000)
    return desk.due()


def planned(desk: Desk, subject: str) -> int:
    return int(desk.redis.hget(f"sr:render:{subject}", "created") or 0)


def _step(name: str) -> str:
    return "fetch" if name == "reconcile" else name
