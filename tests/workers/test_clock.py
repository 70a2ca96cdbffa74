"""The clock on a real ledger: as fast as the budget, no faster; never ended by a fault; quiet when idle."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from redis import Redis
from redis.client import Monitor

from workers.artifacts import Artifacts
from workers.budget import Budget
from workers.clock import Clock, run
from workers.errors import LedgerUnavailable
from workers.identifiers import JobSubject
from workers.ledger import Ledger
from workers.limits import RateLimit
from workers.paths import callback_path
from workers.valkey import EmbeddedValkey
from workers.work import QUEUE_CAP


class Works:
    """A clock and all that it turns, without the hands that take the nudges."""

    def __init__(self, redis: Redis, folder: Path, *, limit: RateLimit) -> None:
        self.redis = redis
        self.ledger = Ledger(redis)
        self.budget = Budget(redis, limit)
        self.artifacts = Artifacts.open(f"file://{folder}/artifacts")
        self.clock = Clock(self.ledger, self.budget, self.artifacts, redis)

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


def test_upstream_work_is_nudged_by_free_slots_and_one_ahead(works: Works) -> None:
    works.jobs(20)
    works.clock.tick()
    assert works.nudges() == 4
    works.clock.tick()
    assert works.nudges() == 4


def test_what_waits_in_the_queue_already_counts(works: Works) -> None:
    works.jobs(20)
    works.clock.tick()
    works.redis.lpop("rq:queue:upstream")
    works.clock.tick()
    assert works.nudges() == 4


def test_spent_slots_are_not_given_out_twice(works: Works) -> None:
    works.jobs(20)
    for n in range(3):
        works.budget.take("fetch", f"c{n}")
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
    clocks = [Clock(Ledger(works.redis), works.budget, works.artifacts, works.redis) for _ in range(4)]
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


def test_it_stops_at_once_when_it_is_told(works: Works, eventually: Any) -> None:
    with works.running():
        eventually(lambda: works.redis.hget("sr:clock", "files"))
        began = time.monotonic()
    assert time.monotonic() - began < 1


def test_an_idle_clock_is_quiet(works: Works, eventually: Any) -> None:
    works.ledger.link("", "job_1", first_ms=3_600_000, by="watch")
    with works.running():
        eventually(lambda: works.redis.hget("sr:clock", "files"))
        with works.redis.monitor() as monitor:
            began = time.monotonic()
            time.sleep(2)
            works.redis.echo("over")
            seen = list(until(monitor, "ECHO over"))
            rate = len(seen) / (time.monotonic() - began)
    assert 1 < rate <= 10, f"{rate:.1f} commands a second: {set(seen)}"


def until(monitor: Monitor, last: str) -> Iterator[str]:
    """Tell the commands that clients sent: what their scripts call inside costs no way there and back."""
    while (seen := monitor.next_command())["command"] != last:
        if seen["client_type"] != "lua" and not seen["command"].startswith(("HELLO", "CLIENT")):
            yield seen["command"][:40]
