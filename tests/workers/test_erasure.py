"""Erasing leaves nothing: after a whole flow every key, value, file and row is walked, and the log from then on."""

import io
import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import structlog
from redis import Redis

from tests.targets import target
from workers import logs
from workers.artifacts import Artifacts
from workers.drain import Drain
from workers.erasure import Erasure
from workers.errors import SpoolUnavailable, StoreUnavailable
from workers.identifiers import DeliverySubject, JobSubject, RefSubject
from workers.ledger import Ledger
from workers.records import Callback, Record
from workers.settings import Settings
from workers.spool import Spool

MakeStation = Callable[..., Any]


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What goes to the log, as it would stand there."""
    out = io.StringIO()
    own = structlog.get_config()
    logs.configure(Settings(log_format="json", log_level="info"), stream=out)
    yield out
    structlog.configure(**own)


def values(redis: Redis, key: bytes) -> list[bytes]:
    match redis.type(key):
        case b"hash":
            return [part for pair in redis.hgetall(key).items() for part in pair]
        case b"list":
            return redis.lrange(key, 0, -1)
        case b"zset":
            return redis.zrange(key, 0, -1)
        case b"set":
            return list(redis.smembers(key))
        case b"stream":
            return [part for _, entry in redis.xrange(key) for pair in entry.items() for part in pair]
        case b"string":
            return [redis.get(key) or b""]
    raise AssertionError(key)


def traces(redis: Redis, folder: Path, *names: str) -> list[str]:
    """Where any of the names stands: in a key or a value of Redis, in the name of a file or in what is in it."""
    wanted = [name.encode() for name in names]

    def tells(data: bytes) -> bool:
        return any(name in data for name in wanted)

    keys = [f"redis {key!r}" for key in redis.scan_iter() if tells(key) or any(map(tells, values(redis, key)))]
    paths = [
        path for path in folder.rglob("*") if tells(str(path).encode()) or (path.is_file() and tells(path.read_bytes()))
    ]
    return keys + [str(path) for path in paths]


def kept(where: list[str]) -> set[str]:
    """Without the files of the spool, which writes its log into its database when it likes."""
    return {one for one in where if "callbacks.sqlite" not in one}


def deliver_all(station: Any) -> None:
    while isinstance(record := station.services.ledger.take_delivery([]), Record):
        station.services.attempts.carry_out(record)


def spooled(spool: Spool) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(spool.path)) as database:
        return list(database.execute("SELECT ref, job_id FROM callbacks ORDER BY seq"))


def put_by(spool: Spool, receipt: str, *, ref: str = "", job_id: str = "") -> None:
    body = json.dumps({"id": job_id or "of a ref", "ref": ref}).encode()
    spool.keep(Callback(receipt=receipt, ref=ref, job_id=job_id, meta={"hint": job_id}, body=body))


def whole_flow(station: Any, *, key: str) -> tuple[str, str]:
    """Carry a job through everything; answer its id and its ref."""
    job_id = station.submit(idempotency_key=key, metadata={"episode": 12})
    ref = station.view(job_id).summary.ref
    station.call(job_id, json.dumps({"id": job_id}).encode())
    station.until(lambda: station.settled(job_id))
    station.services.ledger.accept(  # and one that no fetch comes for
        ref="", job_id=job_id, receipt="rc-late", digest="late", meta={"hint": job_id}, body=job_id.encode()
    )
    station.clock.housekeep()
    deliver_all(station)
    spool = station.services.intake.spool
    put_by(spool, "rc-drained", ref=ref, job_id=job_id)
    assert Drain(station.services.intake).turn()
    put_by(spool, "rc-spooled-1", ref=ref)
    put_by(spool, "rc-spooled-2", job_id=job_id)
    put_by(spool, "rc-spooled-3", ref="n" * 22)
    return job_id, ref


def test_erasing_leaves_no_trace_but_one_line(make_station: MakeStation, redis: Redis, logged: io.StringIO) -> None:
    with target() as app:
        station = make_station({"shorts": 2}, DELIVERY_URL=app.url)
        job_id, ref = whole_flow(station, key="order-1")
        assert len(app.taken) == 4
        neighbour, _ = whole_flow(station, key="order-2")
        before = traces(redis, station.data_dir, job_id, ref)
        families = {found[1] for where in before if (found := re.match("redis b'sr:([a-z]+)", where))}
        assert {
            "job",
            "render",
            "ref",
            "delivery",
            "timeline",
            "callbacks",
            "idempotency",
            "jobs",
            "ended",
            "events",
        } <= families
        assert {"result.json", "1.mp4", "rc-late", "callbacks.sqlite-wal"} <= {Path(where).name for where in before}
        others = kept(traces(redis, station.data_dir, neighbour))
        logged.seek(0)
        logged.truncate()

        assert station.services.erasure.erase(JobSubject(job_id), why="asked")
        assert traces(redis, station.data_dir, job_id, ref) == []
        assert kept(traces(redis, station.data_dir, neighbour)) == others
        waiting = spooled(station.services.intake.spool)
        assert ("n" * 22, "") in waiting
        assert ("", neighbour) in waiting

        # What still comes of it leaves nothing either.
        for where in ({"ref": ref, "job_id": ""}, {"ref": "", "job_id": job_id}):
            late = Callback(receipt="rc-too-late", meta={"hint": job_id}, body=job_id.encode(), **where)
            assert station.services.intake.hand_on(late).outcome == "erased"
        station.run(("fetch", job_id, 1))
        assert not station.services.erasure.erase(JobSubject(job_id), why="asked")
        assert traces(redis, station.data_dir, job_id, ref) == []
        lines = [json.loads(line) for line in logged.getvalue().splitlines() if job_id in line or ref in line]
    assert [(line["event"], line["job"], line["why"]) for line in lines] == [("job.erased", job_id, "asked")]


def test_a_job_that_is_under_way_leaves_no_nudge_behind(make_station: MakeStation, redis: Redis) -> None:
    station = make_station()
    job_id = station.submit()
    station.call(job_id)
    assert traces(redis, station.data_dir, f"fetch-{job_id}")
    assert station.services.erasure.erase(JobSubject(job_id), why="asked")
    assert traces(redis, station.data_dir, job_id) == []
    station.turn()
    assert traces(redis, station.data_dir, job_id) == []


def test_a_submission_goes_with_its_key_and_its_line_does_not_tell_the_ref(
    make_station: MakeStation, redis: Redis, logged: io.StringIO
) -> None:
    station = make_station()
    ref = station.services.submissions.submit({"functionName": "F"}, wait=False, idempotency_key="k").ref
    put_by(station.services.intake.spool, "rc-1", ref=ref)
    assert station.services.erasure.erase(RefSubject(ref), why="asked")
    assert traces(redis, station.data_dir, ref) == []
    line = json.loads(logged.getvalue().splitlines()[-1])
    assert (line["event"], line["ref"]) == ("job.erased", ref[:6])
    assert ref not in logged.getvalue()


def test_a_key_that_was_taken_again_since_stays(make_station: MakeStation, redis: Redis) -> None:
    station = make_station()
    first = station.submit(idempotency_key="k")
    (name,) = redis.keys("sr:idempotency:*")
    redis.delete(name)  # as its day was over
    second = station.services.submissions.submit(
        {"functionName": "VideoShorts", "youtubeVideoId": "abcdefghijk"}, idempotency_key="k"
    )
    assert station.services.erasure.erase(JobSubject(first), why="asked")
    assert json.loads(redis.get(name))["ref"] == second.ref


class Stuck:
    def delete_job(self, _job_id: str) -> None:
        raise StoreUnavailable("the store is away")


class Broken:
    def forget(self, **_: object) -> None:
        raise SpoolUnavailable("the disk is away")


def known(redis: Redis) -> Ledger:
    ledger = Ledger(redis)
    ledger.accept(ref="", job_id="job_1", receipt="rc-1", digest="d", meta={}, body=b"{}")
    return ledger


@pytest.mark.parametrize("age_s", [None, 0.0])
def test_what_stopped_halfway_is_finished_later(redis: Redis, tmp_path: Path, age_s: float | None) -> None:
    ledger, spool = known(redis), Spool(tmp_path / "spool.sqlite", max_bytes=1 << 20)
    record = ledger.claim(JobSubject("job_1"), "fetch")
    assert record is not None
    ledger.move(record, "failed", fields={"reason": "a test says so"})
    with pytest.raises(StoreUnavailable):
        Erasure(ledger, Stuck(), spool).erase(JobSubject("job_1"), why="asked")  # type: ignore[arg-type]
    assert ledger.exists(JobSubject("job_1"))
    artifacts = Artifacts.open(f"file://{tmp_path}/artifacts")
    assert Erasure(ledger, artifacts, spool).erase(JobSubject("job_1"), why="asked", age_s=age_s)
    assert not ledger.exists(JobSubject("job_1"))


def test_a_broken_spool_does_not_keep_a_job(redis: Redis, tmp_path: Path) -> None:
    artifacts = Artifacts.open(f"file://{tmp_path}/artifacts")
    assert Erasure(known(redis), artifacts, Broken()).erase(JobSubject("job_1"), why="asked")  # type: ignore[arg-type]


def test_a_delivery_of_an_erased_job_is_not_sent(make_station: MakeStation) -> None:
    with target() as app:
        station = make_station(DELIVERY_URL=app.url)
        job_id = station.done().summary.id
        assert station.view(job_id).deliveries
        assert station.services.erasure.erase(JobSubject(job_id), why="asked")
        deliver_all(station)
        assert app.received == []
        assert not station.services.ledger.exists(DeliverySubject(JobSubject(job_id), 1))
