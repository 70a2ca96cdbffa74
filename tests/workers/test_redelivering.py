"""Sending a settled delivery once more: it waits for the one of its job that is due already, and then has its turn."""

import pytest
from redis import Redis

from workers import keys
from workers.identifiers import DeliverySubject, JobSubject
from workers.ledger import Ledger
from workers.outbox import Outbox
from workers.records import Record
from workers.work import UPSTREAM

JOB = JobSubject("job_1")
FIRST, SECOND, THIRD = (DeliverySubject(JOB, n) for n in (1, 2, 3))


class Outgoing:
    """A job that fails again and again, and each time tells so."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.ledger = Ledger(redis, outbox=Outbox({"": "t0"}, frozenset({"job.failed"})))
        self.ledger.link("", str(JOB), first_ms=0, by="watch")

    def announce(self, times: int) -> None:
        for _ in range(times):
            self.ledger.retry(JOB)
            self.ledger.dispatch(UPSTREAM, most=1)
            attempt = int(self.redis.hget(keys.record(JOB), "attempt") or 0)
            record = self.ledger.begin(JOB, "fetch", attempt)
            assert record is not None
            assert self.ledger.move(record, "failed")

    def take(self) -> Record:
        taken = self.ledger.take_delivery([])
        assert isinstance(taken, Record)
        return taken

    def settle(self, state: str = "delivered") -> DeliverySubject:
        taken = self.take()
        assert self.ledger.move(taken, state, reason="the target answered 410" if state == "parked" else "")
        assert isinstance(taken.subject, DeliverySubject)
        return taken.subject

    def due(self) -> list[str]:
        return [name.decode() for name in self.redis.zrange("sr:due:deliver@t0", 0, -1)]


@pytest.fixture
def outgoing(redis: Redis) -> Outgoing:
    made = Outgoing(redis)
    made.announce(3)
    assert made.due() == [str(FIRST)]
    return made


def test_one_behind_another_that_is_due_waits_for_it(outgoing: Outgoing) -> None:
    assert [outgoing.settle("parked"), outgoing.settle()] == [FIRST, SECOND]
    assert outgoing.settle() == THIRD
    assert outgoing.ledger.redeliver(FIRST)
    assert outgoing.ledger.redeliver(SECOND)
    assert outgoing.due() == [str(FIRST)]
    assert [outgoing.settle(), outgoing.settle()] == [FIRST, SECOND]
    assert outgoing.due() == []


def test_one_before_another_that_is_due_comes_right_after_it(outgoing: Outgoing) -> None:
    assert outgoing.settle() == FIRST
    assert outgoing.ledger.redeliver(FIRST)
    assert outgoing.due() == [str(SECOND)]
    assert [outgoing.settle() for _ in range(3)] == [SECOND, FIRST, THIRD]
    assert outgoing.due() == []


def test_one_that_is_under_way_is_left_alone(outgoing: Outgoing) -> None:
    outgoing.settle()
    under_way = outgoing.take()
    assert outgoing.ledger.redeliver(FIRST)
    outgoing.announce(1)
    assert outgoing.due() == [str(SECOND)]
    assert outgoing.ledger.move(under_way, "delivered")
    assert [str(outgoing.settle()) for _ in range(3)] == ["job_1!1", "job_1!3", "job_1!4"]
