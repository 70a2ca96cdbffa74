"""What the attic and the spool of an earlier version have left behind is read, carried on from, and erased."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from tests.workers.ledgers import dumps
from tests.workers.ledgers.left_behind import RESTED_MS, SAMPLES, SPOOLED
from workers import keys
from workers.bundle import PACKED
from workers.catalog import Catalog
from workers.drain import Drain
from workers.filters import EVERYTHING
from workers.identifiers import DeliverySubject, JobSubject
from workers.intake import Intake
from workers.ledger import Ledger
from workers.records import Callback
from workers.spool import Depth, Spool

FOLDERS = sorted(SAMPLES.glob("earlier_*"))
LEDGERS = Path(dumps.__file__).parent


@pytest.fixture(params=FOLDERS, ids=lambda path: path.name)
def folder(request) -> Path:
    return request.param


@pytest.fixture
def packed(redis, folder) -> Redis:
    dumps.restore(redis, folder / "packed.jsonl")
    return redis


@pytest.fixture
def before(redis_url, folder) -> Iterator[Redis]:
    """The same ledger, with nothing packed."""
    with contextlib.closing(Redis.from_url(redis_url, db=1)) as redis:
        dumps.restore(redis, LEDGERS / f"{folder.name.removeprefix('earlier_')}.jsonl")
        yield redis


@pytest.fixture
def spool(folder, tmp_path) -> Iterator[Spool]:
    path = tmp_path / "spool" / "callbacks.sqlite"
    path.parent.mkdir()
    shutil.copyfile(folder / "spool.sqlite", path)
    with contextlib.closing(Spool(path, max_bytes=1 << 20)) as found:
        yield found


def packed_jobs(redis: Redis) -> list[JobSubject]:
    names = (key.decode().rpartition(":")[2] for key in redis.scan_iter("sr:job:*"))
    return sorted((JobSubject(name) for name in names if is_packed(redis, JobSubject(name))), key=str)


def is_packed(redis: Redis, job: JobSubject) -> bool:
    return bool(redis.hexists(keys.record(job), PACKED))


def ledger_of(redis: Redis) -> Ledger:
    return Ledger(redis, now_ms=lambda: RESTED_MS)


def test_every_job_reads_as_it_did_unpacked(packed, before):
    jobs = packed_jobs(packed)
    assert len(jobs) >= 6
    assert packed_jobs(before) == []
    catalog, other = Catalog(packed), Catalog(before)
    assert catalog.counts() == other.counts()
    assert catalog.jobs(EVERYTHING, None, 100) == other.jobs(EVERYTHING, None, 100)
    for item in catalog.jobs(EVERYTHING, None, 100).items:
        assert catalog.find(str(item.subject)) == other.find(str(item.subject))


def test_a_late_callback_wakes_a_packed_job(packed):
    catalog, ledger = Catalog(packed), ledger_of(packed)
    for n, job in enumerate(packed_jobs(packed)):
        sleeping = catalog.job(str(job))
        call = {"ref": "", "job_id": str(job), "meta": {}, "body": b"late"}
        assert ledger.accept(receipt=f"late-{n}", digest=f"late-{n}", **call).outcome == "new"
        awake = catalog.job(str(job))
        assert not is_packed(packed, job)
        assert len(awake.callbacks) == len(sleeping.callbacks) + 1
        # One that Swiftia says has failed is asked about again.
        assert awake.summary.state == {"failed": "fetching"}.get(sleeping.summary.state, sleeping.summary.state)
        assert (awake.renders, awake.deliveries) == (sleeping.renders, sleeping.deliveries)
        assert awake.timeline[: len(sleeping.timeline)] == sleeping.timeline


def test_a_packed_job_is_told_of_and_tried_once_more(packed):
    catalog, ledger = Catalog(packed), ledger_of(packed)
    told = [job for job in packed_jobs(packed) if catalog.job(str(job)).deliveries]
    assert told
    for job in told:
        delivery = DeliverySubject(job, 1)
        assert ledger.redeliver(delivery)
        assert packed.hget(keys.record(delivery), "state") == b"pending"
    failed = [job for job in packed_jobs(packed) if catalog.job(str(job)).summary.renders.failed]
    assert [job for job in failed if not ledger.retry(job)] == []


def test_what_was_woken_is_packed_again_and_reads_the_same(packed):
    catalog, at = Catalog(packed), RESTED_MS
    ledger = Ledger(packed, now_ms=lambda: at)
    views = {job: catalog.job(str(job)) for job in packed_jobs(packed)}
    for job, view in views.items():
        ledger.renew(job, 1)
        assert not is_packed(packed, job)
        assert catalog.job(str(job)) == view
    at += 3_600_000
    for _ in range(100):
        ledger.pack_one()
    assert packed_jobs(packed) == list(views)
    assert {job: catalog.job(str(job)) for job in views} == views


def test_a_packed_job_is_erased_with_every_trace(packed):
    ledger = ledger_of(packed)
    for job in packed_jobs(packed):
        refs = ledger.refs(job)
        assert ledger.erase(job)
        assert Catalog(packed).find(str(job)) is None
        words = [str(job).encode(), *(ref.encode() for ref in refs)]
        assert [key for key in packed.keys("*") if any(word in key for word in words)] == []
        assert [one for one in dumps.dump(packed) if one[1] != keys.EVENTS and str(job) in " ".join(one)] == []


def test_what_is_in_the_spool_is_read(spool):
    assert spool.oldest(9) == list(SPOOLED[:-1])
    assert [callback for _, callback in spool.after(0, 9)] == list(SPOOLED)
    depth = spool.depth()
    assert (depth.count, depth.aside) == (len(SPOOLED), 1)
    assert depth.bytes > sum(len(callback.body) for callback in SPOOLED)


def test_what_is_in_the_spool_is_handed_on(spool, packed):
    """In order, once, and with what was set aside; one that comes meanwhile stands behind."""
    ledger, at = Ledger(packed), iter(range(100, 1000))
    job = packed_jobs(packed)[0]
    spool.take_back()
    spool.keep(Callback(receipt="e" * 32, ref="", job_id=str(job), meta={}, body=b"later"))
    drain = Drain(Intake(ledger, spool, now=lambda: next(at)))
    assert sum(drain.turn() for _ in range(3)) == len(SPOOLED) + 1
    assert spool.depth() == Depth(0, 0)
    assert [one["receipt"] for one in ledger.callbacks(JobSubject("job_spooled"))] == ["a" * 32, "b" * 32]
    bodies = ledger.take_bodies(JobSubject("job_spooled"))
    assert bodies == {callback.receipt: callback.body for callback in SPOOLED[:2]}
    assert [one["receipt"] for one in ledger.callbacks(JobSubject("job_aside"))] == ["d" * 32]
    assert not is_packed(packed, job)
    assert [one["receipt"] for one in ledger.callbacks(job)][-1] == "e" * 32
