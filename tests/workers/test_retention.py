"""Retention on a real ledger whose clock is moved by hand."""

import threading
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from workers.artifacts import Artifacts
from workers.erasure import Erasure
from workers.identifiers import DeliverySubject, JobSubject, RefSubject
from workers.ledger import Ledger
from workers.outbox import Outbox
from workers.paths import result_path
from workers.retention import DAY_S, Retention
from workers.spool import Spool
from workers.work import FILES

DAY_MS = round(DAY_S * 1000)
REF = "r" * 22


class Shelf:
    """A ledger with what lies beside it, and jobs to put on it."""

    def __init__(self, redis: Redis, folder: Path) -> None:
        self.redis = redis
        self.at = 1_800_000_000_000
        self.outbox = Outbox({"": "t0"}, frozenset({"job.failed"}))
        self.ledger = Ledger(redis, now_ms=lambda: self.at, outbox=self.outbox)
        self.artifacts = Artifacts.open(f"file://{folder}/artifacts")
        self.erasure = Erasure(self.ledger, self.artifacts, Spool(folder / "spool.sqlite", max_bytes=1 << 20))

    def retention(self, days: int = 90, **how: Any) -> Retention:
        return Retention(self.ledger, self.erasure, days=days, **{"now": lambda: 0.0, **how})

    def end(self, name: str, state: str = "finished") -> JobSubject:
        """Bring a job to a state, with a file that is kept of it."""
        job = JobSubject(name)
        self.ledger.link("", name, first_ms=0, by="watch", fields={"target": ""})
        if state != "waiting":
            record = self.ledger.claim(job, "fetch")
            assert record is not None
            self.artifacts.put(result_path(name), b"{}")
            self.ledger.move(record, state, reason="a test says so")
        return job

    def left(self) -> set[str]:
        return {name.decode() for index in self.redis.keys("sr:jobs:*") for name in self.redis.zrange(index, 0, -1)}


@pytest.fixture
def shelf(redis: Redis, tmp_path: Path) -> Shelf:
    return Shelf(redis, tmp_path)


def test_what_ended_is_erased_after_its_days_and_not_before(shelf: Shelf) -> None:
    shelf.end("job_1", "finished")
    shelf.at += DAY_MS
    shelf.end("job_2", "failed")
    retention = shelf.retention()
    shelf.at += 89 * DAY_MS - 1
    assert retention.turn() == 0
    shelf.at += 1
    assert retention.turn() == 1
    assert shelf.left() == {"job_2"}
    assert shelf.artifacts.list_job("job_1") == []
    assert shelf.artifacts.list_job("job_2") != []
    shelf.at += DAY_MS
    assert retention.turn() == 1
    assert shelf.left() == set()


@pytest.mark.parametrize("state", ["waiting", "parked"])
def test_what_has_not_ended_stays(shelf: Shelf, state: str) -> None:
    shelf.end("job_1", state)
    shelf.at += 1000 * DAY_MS
    assert shelf.retention().turn() == 0
    assert shelf.left() == {"job_1"}


def test_nothing_is_erased_where_retention_is_off(shelf: Shelf) -> None:
    shelf.end("job_1")
    shelf.at += 1000 * DAY_MS
    assert shelf.retention(days=0).turn() == 0
    assert shelf.left() == {"job_1"}


def test_a_job_that_went_on_counts_from_its_last_end(shelf: Shelf) -> None:
    job = shelf.end("job_1", "failed")
    shelf.at += 89 * DAY_MS
    assert shelf.ledger.retry(job) == 1
    shelf.at += DAY_MS
    assert shelf.retention().turn() == 0
    record = shelf.ledger.claim(job, "fetch")
    assert record is not None
    shelf.ledger.move(record, "finished")
    shelf.at += 90 * DAY_MS - 1
    assert shelf.retention().turn() == 0
    shelf.at += 1
    assert shelf.retention().turn() == 1


def test_a_refused_submission_is_erased_too(shelf: Shelf) -> None:
    shelf.ledger.open_ref(REF, state="queued", fields={"request": {}, "target": ""}, due_ms=0)
    record = shelf.ledger.claim(RefSubject(REF), "submit")
    assert record is not None
    assert shelf.ledger.move(record, "submitting", hold=True)
    assert shelf.ledger.move(record, "failed", fields={"reason": "refused"})
    shelf.at += 90 * DAY_MS
    assert shelf.retention().turn() == 1
    assert shelf.redis.keys("sr:ref:*") == []


def test_a_job_waits_for_its_deliveries(shelf: Shelf) -> None:
    job = JobSubject("job_1")
    shelf.ledger.link("", "job_1", first_ms=0, by="watch")
    record = shelf.ledger.claim(job, "fetch")
    assert record is not None
    shelf.ledger.move(record, "failed", fields={"reason": "a test says so"})
    shelf.at += 90 * DAY_MS
    assert shelf.retention().turn() == 0
    sent = shelf.ledger.claim(DeliverySubject(job, 1), "deliver")
    assert sent is not None
    shelf.ledger.move(sent, "delivered")
    shelf.at += 3_600_000
    assert shelf.retention().turn() == 1
    assert shelf.left() == set()


def test_one_that_waits_does_not_hold_up_those_behind_it(shelf: Shelf) -> None:
    for n in range(150):
        shelf.ledger.link("", f"job_{n}", first_ms=0, by="watch")
        record = shelf.ledger.claim(JobSubject(f"job_{n}"), "fetch")
        assert record is not None
        shelf.ledger.move(record, "failed", fields={"reason": "a test says so"})
    shelf.at += 1
    shelf.end("job_last")
    shelf.at += 90 * DAY_MS
    assert [shelf.retention().turn() for _ in range(3)] == [0, 1, 0]
    assert "job_last" not in shelf.left()


def test_a_turn_is_bounded_by_number_and_by_time(shelf: Shelf) -> None:
    for n in range(110):
        shelf.end(f"job_{n}")
    shelf.at += 90 * DAY_MS
    seconds = iter(range(1000))
    assert shelf.retention(now=lambda: float(next(seconds))).turn() == 1
    assert shelf.retention().turn() == 100
    assert shelf.retention().turn() == 9


def test_a_turn_tells_that_it_lives(shelf: Shelf) -> None:
    passed: list[int] = []
    for n in range(3):
        shelf.end(f"job_{n}")
    shelf.at += 90 * DAY_MS
    shelf.retention().turn(lambda: passed.append(1))
    assert len(passed) == 3


def test_several_clocks_erase_each_job_once(shelf: Shelf) -> None:
    for n in range(60):
        shelf.end(f"job_{n}")
    shelf.at += 90 * DAY_MS
    counts: list[int] = []
    threads = [threading.Thread(target=lambda: counts.append(shelf.retention().turn())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 60
    assert shelf.left() == set()


def test_a_clock_that_died_halfway_is_followed_by_another(shelf: Shelf) -> None:
    job = shelf.end("job_1")
    shelf.at += 90 * DAY_MS
    assert shelf.ledger.fence(job, age_s=90 * DAY_S)
    assert shelf.retention().turn() == 0, "somebody is at it"
    shelf.at += 600_000
    assert shelf.retention().turn() == 1


def test_looking_for_what_is_old_reads_one_end_of_one_index(shelf: Shelf) -> None:
    """However many there are: no scan, no look at any job."""
    shelf.end("job_1")
    shelf.redis.zadd("sr:ended", {f"job_{n}": shelf.at + n for n in range(100_000)})
    shelf.at += 90 * DAY_MS - 1
    shelf.redis.config_resetstat()
    assert shelf.retention().turn() == 0
    calls = {name: found["calls"] for name, found in shelf.redis.info("commandstats").items()}
    assert calls.pop("cmdstat_zrange") == 1
    assert set(calls) <= {
        "cmdstat_hmget",
        "cmdstat_evalsha",
        "cmdstat_eval",
        "cmdstat_script|load",
        "cmdstat_config|resetstat",
    }


def passes(shelf: Shelf, ms: int) -> None:
    """Let time go by under the eyes of a clock."""
    end = shelf.at + ms
    while shelf.at < end:
        shelf.at = min(end, shelf.at + 5000)
        shelf.ledger.dispatch(FILES, most=0)


@pytest.mark.parametrize("back", [0, 60_000])
def test_a_clock_that_jumps_erases_nothing_at_once(shelf: Shelf, back: int) -> None:
    """A machine that wakes with a wrong date puts it right within minutes."""
    shelf.end("job_1")
    passes(shelf, 5000)
    shelf.at += 100 * DAY_MS
    assert shelf.retention().turn() == 0, "nobody has passed since"
    passes(shelf, 1000)
    shelf.at -= back
    passes(shelf, 3_590_000)
    assert shelf.retention().turn() == 0
    passes(shelf, 70_000)
    assert shelf.retention().turn() == 1
