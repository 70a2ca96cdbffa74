"""The clock on a real ledger: as fast as the budget, no faster; never ended by a fault; quiet when idle."""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import structlog
from redis import Redis
from redis.client import Monitor

from tests.workers.hands import Hands
from workers.artifacts import Artifacts
from workers.budget import Budget
from workers.clock import Clock, run
from workers.errors import LedgerUnavailable, UpstreamUnavailable
from workers.exchanges import Answer
from workers.identifiers import JobSubject
from workers.ledger import Ledger
from workers.limits import AHEAD_S, TURN_EVERY, RateLimit
from workers.paths import callback_path
from workers.valkey import EmbeddedValkey
from workers.window import FAULTS
from workers.work import QUEUE_CAP


class Works:
    """A clock and all that it turns, without the hands that take the nudges. ``now_ms`` stands in for Redis's own."""

    def __init__(
        self, redis: Redis, folder: Path, *, limit: RateLimit, now_ms: Callable[[], int] | None = None
    ) -> None:
        self.redis = redis
        self.ledger = Ledger(redis, now_ms=now_ms)
        self.budget = Budget(redis, limit, now_ms=now_ms)
        self.artifacts = Artifacts.open(f"file://{folder}/artifacts")
        self.clock = Clock(self.ledger, {"": self.budget}, self.artifacts, redis)

    def nudges(self, lane: str = "upstream") -> int:
        return self.redis.llen(f"rq:queue:{lane}")

    def jobs(self, count: int) -> None:
        """Make so many jobs known and due, and nudge none of them."""
        for n in range(count):
            self.ledger.link("", f"job_{n}", first_ms=0, by="watch")

    def keeping(self, count: int) -> None:
        """Make so many downloads due."""
        for n in range(count):
            subject = f"kept_{n}/1"
            self.redis.hset(f"sr:render:{subject}", mapping={"state": "keeping", "attempt": 0, "class": "keep"})
            self.redis.zadd("sr:due:keep", {subject: 0})

    def hear(self, job: str, body: bytes) -> None:
        self.ledger.accept(ref="", job_id=job, receipt=body.decode(), digest=body.hex(), meta={}, body=body)

    @contextmanager
    def running(self) -> Iterator[threading.Thread]:
        stop = threading.Event()
        thread = threading.Thread(target=run, args=(self.clock, stop), kwargs={"now": time.monotonic})
        thread.start()
        try:
            yield thread
        finally:
            stop.set()
            thread.join()


@pytest.fixture
def works(redis: Redis, tmp_path: Path) -> Works:
    return Works(redis, tmp_path, limit=RateLimit(3, 60_000))


# The pace


def test_upstream_work_is_nudged_by_free_slots(works: Works) -> None:
    works.jobs(20)
    works.clock.tick()
    assert works.nudges() == 3
    works.clock.tick()
    assert works.nudges() == 3


def test_what_waits_in_the_queue_already_counts(works: Works) -> None:
    works.jobs(20)
    works.clock.tick()
    works.redis.lpop("rq:queue:upstream")
    works.clock.tick()
    assert works.nudges() == 3


def test_spent_slots_are_not_given_out_twice(works: Works) -> None:
    works.jobs(20)
    for n in range(3):
        works.budget.take("fetch", f"c{n}")
    works.clock.tick()
    assert works.nudges() == 0


def test_a_queue_that_is_well_filled_is_not_looked_at_at_once(redis: Redis, tmp_path: Path) -> None:
    works = Works(redis, tmp_path, limit=RateLimit(10_000, 1000))
    works.jobs(3 * QUEUE_CAP)
    for left in (0, QUEUE_CAP // 2, QUEUE_CAP - 5):
        redis.ltrim("rq:queue:upstream", 0, left - 1) if left else redis.delete("rq:queue:upstream")
        assert works.clock.tick() == 0.1
        assert works.nudges() == QUEUE_CAP


def test_nor_is_one_of_downloads(works: Works) -> None:
    works.keeping(QUEUE_CAP + 20)
    assert works.clock.tick() == 0.1
    assert works.nudges("files") == QUEUE_CAP
    works.redis.delete("rq:queue:files")
    works.clock.tick()
    assert works.nudges("files") == 20


def test_a_nudge_leaves_ahead_of_the_slot_that_it_is_for(redis: Redis, tmp_path: Path) -> None:
    hands = Hands()
    works = Works(redis, tmp_path, limit=RateLimit(3, 1000), now_ms=hands.now_ms)
    for pause in (0, 10, 500):
        hands.ms += pause
        works.budget.settle(str(works.budget.take("fetch", f"c{pause}")))
    works.jobs(20)
    assert works.clock.tick() == pytest.approx(0.1), "to look again, whatever becomes of those that wait"
    assert works.nudges() == 0
    hands.ms += 490 - round(AHEAD_S * 1000) - 15
    assert works.clock.tick() == pytest.approx(0.02)
    assert works.nudges() == 0
    hands.ms += 20
    assert works.clock.tick() == pytest.approx(0.02)
    assert works.nudges() == 1
    hands.ms += 10
    works.clock.tick()
    assert works.nudges() == 2


def test_who_waits_for_a_slot_in_place_needs_no_nudge(redis: Redis, tmp_path: Path) -> None:
    hands = Hands()
    works = Works(redis, tmp_path, limit=RateLimit(1, 1000), now_ms=hands.now_ms)
    works.budget.settle(str(works.budget.take("fetch", "a")))
    hands.ms += 950
    works.budget.take("fetch", "in place", stay_s=AHEAD_S)
    works.budget.take("fetch", "gone", stay_s=0)
    works.jobs(5)
    works.clock.tick()
    assert works.nudges() == 0
    works.redis.delete("sr:budget:claims")
    works.clock.tick()
    assert works.nudges() == 1


def test_the_less_important_has_its_turn(redis: Redis, tmp_path: Path) -> None:
    """More important work never ends, and somebody waits in place for each slot."""
    hands = Hands()
    works = Works(redis, tmp_path, limit=RateLimit(1, 1000), now_ms=hands.now_ms)
    works.budget.settle(str(works.budget.take("submit", "earlier")))
    works.jobs(60)
    for n in range(60):
        works.ledger.open_ref(f"{n:022}", state="queued", fields={}, due_ms=1)
    got = []
    for _ in range(40):
        hands.ms += 950
        works.clock.tick()
        (nudge,) = works.redis.lrange("rq:queue:upstream", 0, -1)
        works.redis.delete("rq:queue:upstream")
        crowd = ["submit" if nudge.startswith(b"submit") else "reconcile", "submit"]
        for name in crowd:
            assert isinstance(works.budget.take(name, f"a {name}", stay_s=AHEAD_S), float)
        hands.ms += 50
        taken = [(name, works.budget.take(name, f"a {name}", stay_s=AHEAD_S)) for name in crowd]
        ((name, slot),) = [(name, slot) for name, slot in taken if isinstance(slot, str)]
        works.budget.settle(slot)
        works.redis.delete("sr:budget:claims")
        got.append(name)
    places = [n for n, name in enumerate(got) if name == "reconcile"]
    assert len(places) >= 3
    assert {after - before for before, after in pairwise(places)} == {TURN_EVERY}


def test_a_turn_that_nobody_took_does_not_come_at_once_again(redis: Redis, tmp_path: Path) -> None:
    hands = Hands()
    works = Works(redis, tmp_path, limit=RateLimit(1, 1000), now_ms=hands.now_ms)
    works.redis.hset("sr:budget:state", "run", TURN_EVERY - 1)
    works.jobs(60)
    for n in range(60):
        works.ledger.open_ref(f"{n:022}", state="queued", fields={}, due_ms=1)
    hands.ms += 1000
    got = []
    for _ in range(3 * TURN_EVERY):
        works.clock.tick()
        (nudge,) = works.redis.lrange("rq:queue:upstream", 0, -1)
        works.redis.delete("rq:queue:upstream")
        got.append(nudge.startswith(b"submit"))
    assert got.count(False) in (2, 3)


def test_an_open_breaker_lets_one_nudge_through_when_its_pause_is_over(redis: Redis, tmp_path: Path) -> None:
    hands = Hands()
    works = Works(redis, tmp_path, limit=RateLimit(5, 1000), now_ms=hands.now_ms)
    for n in range(FAULTS):
        with contextlib.suppress(UpstreamUnavailable), works.budget.slot("fetch", f"c{n}"):
            raise UpstreamUnavailable("away", sent=True)
    works.jobs(20)
    works.clock.tick()
    assert works.nudges() == 0
    hands.ms += 3000
    works.clock.tick()
    works.clock.tick()
    assert works.nudges() == 1


def test_a_pause_stops_upstream_work_and_files_go_on(works: Works) -> None:
    works.jobs(5)
    works.keeping(5)
    works.budget.settle("", pause_s=30)
    works.clock.tick()
    assert works.nudges() == 0
    assert works.nudges("files") == 5


def test_files_do_not_wait_for_slots_but_for_room(works: Works) -> None:
    works.keeping(QUEUE_CAP + 10)
    works.clock.tick()
    assert works.nudges("files") == QUEUE_CAP
    works.redis.delete("rq:queue:files")
    works.clock.tick()
    assert works.nudges("files") == 10


def test_the_important_goes_first(works: Works) -> None:
    works.jobs(20)
    works.ledger.open_ref("r" * 22, state="queued", fields={}, due_ms=1)
    time.sleep(0.002)
    works.clock.tick()
    assert works.redis.lindex("rq:queue:upstream", 0).startswith(b"submit-")


def test_the_next_pass_comes_when_something_is_due(works: Works) -> None:
    idle = works.clock.tick()
    works.ledger.link("", "soon", first_ms=round(idle * 500), by="watch")
    assert works.clock.tick() <= idle / 2
    works.ledger.link("", "now", first_ms=0, by="watch")
    for _ in range(3):
        assert 0 < works.clock.tick() <= idle


def test_many_clocks_nudge_each_subject_once(works: Works) -> None:
    works.keeping(60)
    clocks = [Clock(Ledger(works.redis), {"": works.budget}, works.artifacts, works.redis) for _ in range(4)]
    threads = [threading.Thread(target=clock.tick) for clock in clocks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert works.nudges("files") == 60
    assert len(set(works.redis.lrange("rq:queue:files", 0, -1))) == 60


def test_a_silent_step_is_said(works: Works) -> None:
    works.hear("job_1", b"x")
    works.redis.delete("rq:queue:upstream")
    assert works.ledger.begin(JobSubject("job_1"), "fetch", 1)
    works.redis.zadd("sr:due:fetch", {"job_1": 0})
    with structlog.testing.capture_logs() as logs:
        works.clock.tick()
    assert logs == [{"event": "clock.silent", "log_level": "warning", "lane": "upstream", "silent": 1, "parked": 0}]
    assert works.nudges() == 1


# The time of Redis


def test_when_the_time_goes_back_the_budget_goes_back_too(redis: Redis, tmp_path: Path) -> None:
    hands = Hands()
    works = Works(redis, tmp_path, limit=RateLimit(3, 1000), now_ms=hands.now_ms)
    for n in range(3):
        works.budget.take("fetch", f"c{n}")
    works.budget.settle("", pause_s=2)
    works.jobs(20)
    works.clock.tick()
    assert works.nudges() == 0
    hands.ms -= 3_600_000
    with structlog.testing.capture_logs() as logs:
        works.clock.tick()
        works.clock.tick()
    told = {"event": "clock.time_went_back", "log_level": "warning", "seconds": 3600.0}
    assert logs == [{**told, "lane": "upstream"}, {**told, "lane": "files"}]
    hands.ms += 2000
    works.clock.tick()
    assert works.nudges() == 3


def test_the_lane_that_another_clock_did_not_pass_yet_rewinds_as_well(redis: Redis, tmp_path: Path) -> None:
    hands = Hands()
    works = Works(redis, tmp_path, limit=RateLimit(1, 1000), now_ms=hands.now_ms)
    works.budget.take("fetch", "c")
    works.clock.tick()
    hands.ms -= 3_600_000
    works.ledger.dispatch("upstream", most=0)  # and that clock dies
    works.clock.tick()
    hands.ms += 2000
    assert works.budget.peek().free == 1


# Several accounts


@pytest.fixture
def shared(redis: Redis, tmp_path: Path) -> Works:
    """Two accounts with budgets of their own, a third that nobody has a key for, and three workers."""
    works = Works(redis, tmp_path, limit=RateLimit(3, 60_000))
    works.budgets = {name: Budget(redis, RateLimit(3, 60_000), account=name) for name in ("acme", "beta")}
    works.ledger = Ledger(redis, several=True)
    works.clock = Clock(works.ledger, works.budgets, works.artifacts, redis)
    redis.sadd("rq:workers:upstream", "w1", "w2", "w3")
    for account in ("acme", "beta", "gone"):
        Budget(redis, RateLimit(3, 60_000), account=account).observe(Answer("GET /", 200, {}, 0.1))
        for n in range(5):
            works.ledger.link("", f"{account}_{n}", first_ms=0, by="watch", account=account)
    return works


def whose(works: Works) -> dict[str, int]:
    queued = [name.decode().split("-")[1] for name in works.redis.lrange("rq:queue:upstream", 0, -1)]
    return dict(Counter(name.partition("_")[0] for name in queued))


def test_each_account_is_paced_by_its_own_budget(shared: Works) -> None:
    for n in range(3):
        shared.budgets["acme"].take("fetch", f"c{n}")
    shared.clock.tick()
    assert whose(shared) == {"beta": 2}
    shared.clock.tick()
    assert whose(shared) == {"beta": 2}


def test_what_one_has_in_the_queue_is_no_reason_for_another_to_wait(shared: Works) -> None:
    shared.budgets["acme"].settle("", pause_s=30)
    shared.clock.tick()
    assert whose(shared) == {"beta": 2}
    shared.redis.hdel("sr:budget@acme:state", "floor", "floor_since")
    shared.clock.tick()
    assert whose(shared) == {"acme": 2, "beta": 2}


def test_an_account_that_is_missing_is_told_now_and_then_and_its_jobs_wait(shared: Works) -> None:
    with structlog.testing.capture_logs() as logs:
        for _ in range(13):
            shared.clock.tick()
            shared.clock.housekeep()
    told = [entry for entry in logs if entry["event"] == "account.missing"]
    assert [(entry["account"], entry["waiting"]) for entry in told] == [("gone", 5)] * 2
    assert "gone" not in whose(shared)
    shared.budgets["gone"] = Budget(shared.redis, RateLimit(3, 60_000), account="gone")
    back = Clock(shared.ledger, shared.budgets, shared.artifacts, shared.redis)
    back.tick()
    assert whose(shared)["gone"] == 2


def test_the_lane_is_passed_also_where_every_job_names_its_account(shared: Works) -> None:
    shared.clock.tick()
    assert shared.redis.hmget("sr:clock", "upstream", "files", "upstream@acme", "upstream@gone")[3] is None
    assert None not in shared.redis.hmget("sr:clock", "upstream", "files", "upstream@acme")


def test_the_files_of_all_accounts_are_one_line(shared: Works) -> None:
    shared.keeping(3)
    for n in range(3):
        shared.redis.hset(f"sr:render:kept_{n}/1", "account", "gone")
    shared.clock.tick()
    assert shared.nudges("files") == 3


def test_when_the_time_goes_back_each_budget_goes_back_too(redis: Redis, tmp_path: Path) -> None:
    hands = Hands()
    budgets = {name: Budget(redis, RateLimit(1, 1000), account=name, now_ms=hands.now_ms) for name in ("acme", "beta")}
    ledger = Ledger(redis, now_ms=hands.now_ms, several=True)
    clock = Clock(ledger, budgets, Artifacts.open(f"file://{tmp_path}/artifacts"), redis)
    for budget in budgets.values():
        assert isinstance(budget.take("fetch", "c"), str)
    clock.tick()
    hands.ms -= 3_600_000
    clock.tick()
    hands.ms += 3000
    assert [budget.peek().free for budget in budgets.values()] == [1, 1]


# Housekeeping


def test_leftover_bodies_are_archived(works: Works) -> None:
    for n in range(3):
        job = f"job_{n}"
        works.hear(job, b"first")
        record = works.ledger.begin(JobSubject(job), "fetch", 1)
        assert record is not None
        works.ledger.move(record, "failed")
        works.ledger.drop_bodies(JobSubject(job), ["first"])
        works.redis.hset(f"sr:job:{job}", "renders", 0)
        works.redis.hset(f"sr:job:{job}", "state", "finished")
        works.hear(job, b"late")
    works.clock.housekeep()
    for n in range(3):
        assert works.artifacts.get(callback_path(f"job_{n}", "late")) == b"late"
        assert works.ledger.take_bodies(JobSubject(f"job_{n}")) == {}
    assert works.ledger.unarchived(10) == []
    works.clock.housekeep()


# Endurance


def test_it_outlives_redis(tmp_path: Path, eventually: Any) -> None:
    server = EmbeddedValkey(tmp_path / "valkey")
    server.start()
    with Redis.from_url(server.url) as redis:
        works = Works(redis, tmp_path, limit=RateLimit(100, 1000))
        with structlog.testing.capture_logs() as logs, works.running() as thread:
            works.jobs(1)
            eventually(lambda: works.nudges() == 1)
            server.stop()
            with pytest.raises(LedgerUnavailable):
                works.clock.tick()
            eventually(lambda: any(entry["event"] == "clock.failed" for entry in logs))
            assert thread.is_alive()
            server.start()
            works.ledger.link("", "later", first_ms=0, by="watch")
            eventually(lambda: works.nudges() == 2)
        assert not [entry for entry in logs if entry["event"] == "clock.crashed"]
    server.stop()


def test_a_fault_in_a_pass_does_not_end_it(works: Works, eventually: Any) -> None:
    # A key of another kind: every pass over the files fails.
    works.redis.set("sr:due:keep", "no sorted set")
    with structlog.testing.capture_logs() as logs, works.running() as thread:
        eventually(lambda: [entry for entry in logs if entry["event"] == "clock.failed"])
        works.redis.delete("sr:due:keep")
        works.keeping(1)
        eventually(lambda: works.nudges("files") == 1)
        assert thread.is_alive()


def test_each_pass_is_told_the_failing_ones_too(works: Works) -> None:
    works.redis.set("sr:due:keep", "no sorted set")
    stop, passes = threading.Event(), []

    def passed() -> None:
        passes.append(1)
        if len(passes) == 3:
            stop.set()

    run(works.clock, stop, now=time.monotonic, passed=passed)
    assert len(passes) == 3


def test_each_job_of_the_housekeeping_is_told(works: Works) -> None:
    for n in range(3):
        works.hear(f"job_{n}", b"x")
        works.redis.zadd("sr:unarchived", {f"job_{n}": n})
    passes: list[int] = []
    works.clock.housekeep(lambda: passes.append(1))
    assert len(passes) == 3


def test_it_stops_at_once_when_it_is_told(works: Works, eventually: Any) -> None:
    with works.running():
        eventually(lambda: works.redis.hget("sr:clock", "files"))
        began = time.monotonic()
    assert time.monotonic() - began < 1


def test_an_idle_clock_is_quiet(works: Works) -> None:
    works.ledger.link("", "job_1", first_ms=3_600_000, by="watch")
    with works.redis.monitor() as monitor, works.running():
        for command in until(monitor, "never"):
            if command.startswith("ZRANGE sr:unarchived"):
                break  # the first housekeeping is over, and the next one is seconds away
        began = time.monotonic()
        time.sleep(2)
        works.redis.echo("over")
        seen = list(until(monitor, "ECHO over"))
        rate = len(seen) / (time.monotonic() - began)
    assert 0 < rate <= 4, f"{rate:.1f} commands a second: {set(seen)}"


def until(monitor: Monitor, last: str) -> Iterator[str]:
    """Tell the commands that clients sent: what their scripts call inside costs no way there and back."""
    while (seen := monitor.next_command())["command"] != last:
        if seen["client_type"] != "lua" and not seen["command"].startswith(("HELLO", "CLIENT")):
            yield seen["command"][:40]
