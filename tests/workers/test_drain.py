"""The way of a callback past a Redis that is away, and back into the ledger: all of them, once, and in order."""

import contextlib
import fcntl
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from tests.refusing import full, read_only
from workers import keys
from workers.connections import web_redis
from workers.drain import Drain
from workers.errors import SpoolUnavailable
from workers.identifiers import JobSubject
from workers.intake import Intake
from workers.ledger import Ledger
from workers.records import Accepted, Callback
from workers.spool import Spool
from workers.valkey import EmbeddedValkey

JOB = JobSubject("job_1")
MANY = 1 << 24


@dataclass
class Desk:
    """One web process's way in. ``at``: its clock."""

    redis: Redis
    spool: Spool
    at: float = 100.0
    count: int = 0
    intake: Intake = field(init=False)
    drain: Drain = field(init=False)

    def __post_init__(self) -> None:
        self.intake = Intake(Ledger(self.redis), self.spool, now=self.tell)
        self.drain = Drain(self.intake)

    def tell(self) -> float:
        self.at += 0.001
        return self.at

    def callback(self, *, job: str = "job_1", body: bytes | None = None) -> Callback:
        self.count += 1
        given = b"%d" % self.count if body is None else body
        return Callback(receipt=f"rc-{self.count}", ref="", job_id=job, meta={"size": 1}, body=given)

    def take(self, **given: object) -> Accepted:
        return self.intake.take(self.callback(**given))

    def turn(self, seconds: float = 1.0) -> int:
        self.at += seconds
        return self.drain.turn()

    def listed(self, job: JobSubject = JOB) -> list[str]:
        return [entry["receipt"] for entry in Ledger(self.redis).callbacks(job)]


@pytest.fixture
def make_desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    with contextlib.ExitStack() as open_spools:

        def make(redis: Redis, max_bytes: int = MANY) -> Desk:
            spool = Spool(tmp_path / "spool" / "callbacks.sqlite", max_bytes=max_bytes)
            open_spools.enter_context(contextlib.closing(spool))
            return Desk(redis, spool)

        yield make


@pytest.fixture
def desk(make_desk, redis: Redis) -> Desk:
    return make_desk(redis)


def names(count: int, first: int = 1) -> list[str]:
    return [f"rc-{n}" for n in range(first, first + count)]


def test_while_redis_is_there_nothing_touches_the_spool(desk):
    assert desk.take().outcome == "new"
    assert desk.turn() == 0
    assert desk.spool.depth().count == 0


@pytest.mark.parametrize("away", [full, read_only])
def test_what_came_while_redis_refused_writes_is_handed_on_in_order(desk, redis, away):
    desk.take()
    with away(redis):
        answers = [desk.take() for _ in range(5)]
        assert desk.turn() == 0
    assert {(answer.outcome, answer.owner) for answer in answers} == {("spooled", "job_1")}
    # Redis is back, but nobody has noticed: what comes now goes behind the others.
    assert desk.take().outcome == "spooled"
    assert desk.turn() == 6
    assert desk.listed() == names(7)
    assert desk.take().outcome == "new"
    assert desk.spool.depth().count == 0
    assert len(Ledger(redis).take_bodies(JOB)) == 8


def test_a_process_that_noticed_nothing_keeps_the_order_too(make_desk, redis):
    one, other = make_desk(redis), make_desk(redis)
    with full(redis):
        one.take()
    other.count = 10
    assert other.take().outcome == "spooled"
    assert other.turn() == 2
    assert other.listed() == ["rc-1", "rc-11"]


def test_what_an_earlier_process_left_is_handed_on(make_desk, redis):
    before = make_desk(redis)
    with full(redis):
        before.take()
    assert make_desk(redis).turn() == 1
    assert before.listed() == ["rc-1"]


def test_a_crash_between_handing_on_and_removing_is_harmless(desk, redis):
    with full(redis):
        for body in (b"a", b"b", b"a"):
            desk.take(body=body)
        desk.take(job="", body=b"whose?")
    for callback in desk.spool.oldest(10):
        desk.intake.hand_on(callback)
    before = [redis.lrange(name, 0, -1) for name in (keys.callbacks(JOB), keys.timeline(JOB), keys.UNIDENTIFIED)]
    assert desk.turn() == 4
    assert before == [
        redis.lrange(name, 0, -1) for name in (keys.callbacks(JOB), keys.timeline(JOB), keys.UNIDENTIFIED)
    ]
    assert [entry["duplicate"] for entry in Ledger(redis).callbacks(JOB)] == [False, False, True]
    assert Ledger(redis).take_bodies(JOB) == {"rc-1": b"a", "rc-2": b"b"}


def test_only_one_drains(desk, redis):
    with full(redis):
        desk.take()
    with (desk.spool.path.parent / "draining.lock").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert desk.turn() == 0
    assert desk.turn() == 1


def test_a_spool_that_fails_does_not_keep_a_callback_from_redis(make_desk, redis):
    desk = make_desk(redis, max_bytes=1000)
    with full(redis):
        desk.take()
        with pytest.raises(SpoolUnavailable):
            desk.take(body=b"x" * 1000)
        assert desk.spool.depth().count == 1
    # Full, and Redis not yet known to be back: refused at once. Known to be back: out of order rather than refused.
    with pytest.raises(SpoolUnavailable):
        desk.take(body=b"x" * 1000)
    desk.intake.try_redis()
    assert desk.take(body=b"x" * 1000).outcome == "new"
    assert desk.turn() == 1


def test_redis_is_found_again_though_the_spool_is_broken(desk, redis, tmp_path):
    (tmp_path / "spool").write_text("a file where a folder must be")
    with full(redis), pytest.raises(SpoolUnavailable):
        desk.take()
    with pytest.raises(SpoolUnavailable):
        desk.turn()
    assert desk.take().outcome == "new"


def test_a_callback_that_the_ledger_never_takes_does_not_hold_up_the_rest(desk, redis):
    redis.set("sr:callbacks:job_bad", "a wrong type")
    assert desk.take(job="job_bad").outcome == "spooled"
    desk.turn()
    assert desk.take().outcome == "spooled"
    turns = 0
    while not desk.turn():
        turns += 1
        assert turns < 100
    assert desk.listed() == ["rc-2"]
    assert (desk.spool.depth().count, desk.spool.depth().aside) == (1, 1)
    assert desk.take().outcome == "new"
    redis.delete("sr:callbacks:job_bad")
    desk.spool.take_back()
    assert desk.turn() == 1
    assert desk.listed(JobSubject("job_bad")) == ["rc-1"]


def test_the_thread_drains_and_stops(desk, redis, eventually):
    with full(redis):
        desk.take()
    drain = Drain(Intake(Ledger(redis), desk.spool, now=time.monotonic))
    drain.start()
    eventually(lambda: desk.listed() == ["rc-1"], timeout=5)
    began = time.monotonic()
    drain.stop()
    assert time.monotonic() - began < 1
    assert not [thread for thread in threading.enumerate() if thread.name == "drain"]


EVENTS = st.lists(
    st.sampled_from(["callback", "callback", "callback elsewhere", "away", "back", "turn", "turn elsewhere", "probe"]),
    min_size=4,
    max_size=25,
)


@given(EVENTS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_all_arrive_once_and_in_order(redis, tmp_path_factory, events):
    redis.flushall()
    redis.config_set("maxmemory", "0")
    path = tmp_path_factory.mktemp("any") / "spool" / "callbacks.sqlite"
    here, elsewhere = (Desk(redis, Spool(path, max_bytes=MANY)) for _ in range(2))
    taken: list[str] = []
    for event in [*events, "back", "turn", "turn elsewhere"]:
        match event:
            case "callback" | "callback elsewhere":
                desk = here if event == "callback" else elsewhere
                desk.count = len(taken)
                taken.append(desk.take().receipt)
            case "away" | "back":
                redis.config_set("maxmemory", "1" if event == "away" else "0")
            case "turn":
                here.turn()
            case "turn elsewhere":
                elsewhere.turn()
            case "probe":
                with contextlib.suppress(Exception):
                    here.intake.try_redis()
    assert here.listed() == taken
    assert len(Ledger(redis).take_bodies(JOB)) == len(taken)
    assert here.spool.depth().count == 0
    for desk in (here, elsewhere):
        desk.spool.close()


# A server of our own, that hangs or dies


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    server = EmbeddedValkey(tmp_path / "valkey")
    server.start()
    yield server
    with contextlib.suppress(ProcessLookupError):
        os.kill(server.pid or 0, signal.SIGCONT)
    server.stop()


def test_a_server_that_hangs_holds_one_callback_and_no_more(make_desk, valkey):
    with contextlib.closing(web_redis(valkey.url)) as redis:
        desk = make_desk(redis)
        desk.take()
        os.kill(valkey.pid, signal.SIGSTOP)
        began = time.monotonic()
        assert desk.take().outcome == "spooled"
        assert time.monotonic() - began < 3
        slowest = 0.0
        for _ in range(50):
            began = time.monotonic()
            assert desk.take().outcome == "spooled"
            slowest = max(slowest, time.monotonic() - began)
        assert slowest < 0.5
        os.kill(valkey.pid, signal.SIGCONT)
        # The one whose answer was late has arrived already, and is handed on again.
        assert desk.turn() == 51
        assert desk.listed() == names(52)


def test_a_server_that_is_killed_and_comes_back(make_desk, valkey, tmp_path):
    with contextlib.closing(web_redis(valkey.url)) as redis:
        desk = make_desk(redis)
        outcomes = [desk.take().outcome]
        os.kill(valkey.pid, signal.SIGKILL)
        outcomes += [desk.take().outcome for _ in range(20)]
        assert desk.turn() == 0
        again = EmbeddedValkey(tmp_path / "valkey")
        again.start()
        try:
            assert desk.turn() == 20
            assert Counter(outcomes) == {"new": 1, "spooled": 20}
            assert desk.listed() == names(21)
        finally:
            again.stop()
