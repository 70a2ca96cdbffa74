"""A ledger that an earlier version has left behind is read, carried on from, and erased from."""

import json
from pathlib import Path

import pytest

from tests.workers.ledgers import dumps
from workers.bundle import PACKED
from workers.catalog import Catalog
from workers.filters import EVERYTHING
from workers.identifiers import DeliverySubject, JobSubject, RefSubject, RenderSubject, parse_subject
from workers.ledger import Ledger

FILES = sorted((Path(__file__).parent / "ledgers").glob("*.jsonl"))
STATES = {"waiting": 3, "fetching": 1, "rendering": 1, "finished": 8, "failed": 2, "parked": 1}


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def file(request) -> Path:
    return request.param


@pytest.fixture
def ledger_of_before(redis, file):
    dumps.restore(redis, file)
    return redis


def test_what_is_restored_is_what_was_there(ledger_of_before, file):
    assert dumps.dump(ledger_of_before) == [json.loads(line) for line in file.read_text().splitlines()]


def test_every_job_is_read(ledger_of_before):
    catalog = Catalog(ledger_of_before)
    assert catalog.counts() == STATES
    page = catalog.jobs(EVERYTHING, None, 100)
    assert len(page.items) == sum(STATES.values())
    for item in page.items:
        view = catalog.find(str(item.subject))
        assert view is not None
        assert view.summary == item
        assert len(view.renders) == item.renders.total
        assert view.timeline


NOW = 1_795_544_440_000  # a little after it was written down


def test_what_was_under_way_goes_on_and_what_ended_is_packed(ledger_of_before):
    """By the scripts alone: every step succeeds, everything ends, and all that has ended comes to rest."""
    redis, at = ledger_of_before, NOW
    ledger = Ledger(redis, now_ms=lambda: at)
    ledger.redeliver(next(iter(ledger.parked_deliveries(since_ms=0, most=1))))
    for job in ledger.unarchived(9):
        ledger.drop_bodies(job, ledger.take_bodies(job))
    for _ in range(200):
        due = {line.decode(): redis.zrange(line, 0, 0, withscores=True) for line in redis.keys("sr:due:*")}
        if not due:
            break
        at = max(at + 1, int(min(found[0][1] for found in due.values())))
        for (name, _), *_ in due.values():
            succeed(ledger, parse_subject(name.decode()))
    assert not redis.keys("sr:due:*")
    assert Catalog(redis).counts() == {
        "waiting": 0, "fetching": 0, "rendering": 0, "finished": 12, "failed": 2, "parked": 3
    }  # fmt: skip
    before = everything(redis)
    at += 3_600_000
    for _ in range(40):
        ledger.pack_one()
    finished = [name.decode() for name in redis.zrange("sr:jobs:finished", 0, -1)]
    assert [name for name in finished if not redis.hexists(f"sr:job:{name}", PACKED)] == []
    assert not redis.exists("sr:jobs")
    assert everything(redis) == before


def everything(redis):
    catalog = Catalog(redis)
    return {item.subject: catalog.find(str(item.subject)) for item in catalog.jobs(EVERYTHING, None, 100).items}


def succeed(ledger: Ledger, subject) -> None:
    record = ledger.claim(subject, "")
    if record is None:  # one that was under way, and whose worker is gone
        assert ledger.lost(subject, 1, reason="", crashed=False)
        return
    match subject:
        case JobSubject():
            ledger.drop_bodies(subject, ledger.take_bodies(subject))
            ledger.plan(record, [{"request": {}}], {"shorts": 1})
        case RenderSubject():
            after = {"planned": "starting", "starting": "queued", "queued": "keeping", "keeping": "kept"}
            ledger.move(record, after.get(record.state, "keeping"))
        case DeliverySubject():
            ledger.move(record, "delivered")
        case RefSubject():
            ledger.move(record, "parked", reason="nobody told")


def test_everything_can_be_erased(ledger_of_before):
    redis = ledger_of_before
    ledger = Ledger(redis, now_ms=lambda: NOW)
    while ledger.pack_one():
        pass
    subjects = [item.subject for item in Catalog(redis).jobs(EVERYTHING, None, 100).items]
    refs = [parse_subject(key.decode().removeprefix("sr:")) for key in redis.keys("sr:ref:*")]
    for subject in [*subjects, *(ref for ref in refs if ref not in subjects)]:
        assert ledger.erase(subject) or redis.hget(f"sr:{subject}", "state") in (None, b"linked")
    left = {key.decode().split(":")[1] for key in redis.keys("sr:*")}
    assert left == {"clock", "counts", "erased", "events", "history", "unidentified"}
