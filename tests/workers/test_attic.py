"""Jobs that have come to rest are packed, read as they are, and unpacked by whatever writes about them."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from redis import Redis

from tests.workers.ledgers import dumps
from workers import keys
from workers.attic import keep_packing
from workers.bundle import KEPT, PACKED, Bundle, pack, unpack
from workers.catalog import Catalog
from workers.errors import LedgerUnavailable
from workers.filters import Wanted
from workers.identifiers import DeliverySubject, JobSubject, RenderSubject
from workers.ledger import Ledger
from workers.outbox import EVENTS, Outbox
from workers.views import JobView
from workers.work import PACK_AFTER_S

JOB, REF = JobSubject("job_1"), "r" * 22
CALL = {"ref": REF, "job_id": "", "meta": {"from": "192.0.2.1"}}
AFTER_MS = round(PACK_AFTER_S * 1000)


@dataclass
class Shelf:
    redis: Redis
    ledger: Ledger
    at: int = 1_800_000_000_000

    @property
    def catalog(self) -> Catalog:
        return Catalog(self.redis)

    def view(self) -> JobView:
        found = self.catalog.job(str(JOB))
        assert found is not None
        return found

    def pack(self) -> None:
        self.at += AFTER_MS
        assert self.ledger.pack_one()
        assert self.is_packed

    @property
    def is_packed(self) -> bool:
        return self.redis.hexists(keys.record(JOB), PACKED)

    def keys_of_it(self) -> set[str]:
        return {key.decode() for key in self.redis.keys("sr:*") if b"job_1" in key or REF.encode() in key}

    def everything(self) -> list[dumps.Command]:
        """All that is in Redis, but for when a job may be packed, and how far earlier ones were looked at."""
        return [one for one in dumps.dump(self.redis) if one[1] not in (keys.UNPACKED, keys.CLOCK)]


@pytest.fixture
def shelf(redis: Redis) -> Shelf:
    """One finished job, with two renders, all of it told and nothing of it on its way."""
    made = Shelf(redis, Ledger(redis, now_ms=lambda: made.at, outbox=Outbox({"": "t1"}, frozenset(EVENTS))))
    ledger = made.ledger
    order = {"metadata": {"order": 7}, "function": "VideoShorts", "claim": "c" * 64}
    ledger.open_ref(REF, state="open", fields=order, due_ms=None)
    ledger.link(REF, str(JOB), first_ms=0, by="watch", fields={"title": "Ein “Titel” ⚡"})
    ledger.accept(**CALL, receipt="rc1", digest="d1", body=b"{}")
    record = ledger.claim(JOB, "fetch")
    assert record is not None
    ledger.plan(record, [{"short": {"id": n}, "request": {}} for n in (1, 2)], {"shorts": 2, "cost": 0.5})
    for n in (1, 2):
        for state in ("starting", "queued", "done" if n == 1 else "failed"):
            record = ledger.claim(RenderSubject(str(JOB), n), "")
            assert record is not None
            ledger.move(record, state, fields={"reason": "dark", "render_id": f"rnd_{n}"})
    while not isinstance(taken := ledger.take_delivery([]), float | None):
        made.at += 1
        ledger.move(taken, "delivered", fields={"sent": 1, "status": 200})
    ledger.drop_bodies(JOB, ["rc1"])
    return made


def test_a_packed_job_reads_as_before(shelf: Shelf) -> None:
    before, page = shelf.view(), shelf.catalog.jobs(Wanted(metadata=(("order", "7"),)), None, 10)
    assert (before.summary.state, len(before.renders), len(before.deliveries)) == ("finished", 2, 4)
    shelf.pack()
    assert shelf.view() == before
    assert shelf.catalog.find(REF) == before
    assert shelf.catalog.jobs(Wanted(metadata=(("order", "7"),)), None, 10) == page
    assert shelf.catalog.search("titel") == page


def test_what_is_left_of_it_is_its_record_and_its_ref(shelf: Shelf) -> None:
    assert len(shelf.keys_of_it()) > 10
    shelf.pack()
    assert shelf.keys_of_it() == {"sr:job:job_1", f"sr:ref:{REF}"}
    assert {name.decode() for name in shelf.redis.hkeys("sr:job:job_1")} <= {*KEPT, PACKED}
    assert shelf.redis.hgetall(f"sr:ref:{REF}") == {b"state": b"linked", b"job_id": b"job_1"}
    assert not shelf.redis.zcard(keys.UNPACKED)


def test_unpacked_it_is_what_it_was_to_the_byte(shelf: Shelf) -> None:
    before = shelf.everything()
    shelf.pack()
    assert not shelf.ledger.renew(JOB, 1)
    assert not shelf.is_packed
    assert shelf.everything() == before


def test_it_is_packed_again_after_a_while(shelf: Shelf) -> None:
    shelf.pack()
    shelf.ledger.renew(JOB, 1)
    assert not shelf.ledger.pack_one()
    shelf.pack()


WRITES: dict[str, Callable[[Ledger], Any]] = {
    "a late callback": lambda ledger: ledger.accept(**CALL, receipt="rc2", digest="d2", body=b"late").outcome == "new",
    "one by the job's id": lambda ledger: (
        ledger.accept(ref="", job_id="job_1", receipt="rc2", digest="d2", meta={}, body=b"late").outcome == "new"
    ),
    "the first one again": lambda ledger: (
        ledger.accept(**CALL, receipt="rc2", digest="d1", body=b"{}").receipt == "rc1"
    ),
    "a retry": lambda ledger: ledger.retry(JOB) == 1,
    "a delivery once more": lambda ledger: ledger.redeliver(DeliverySubject(JOB, 2)),
    "another ref": lambda ledger: ledger.link("s" * 22, "job_1", first_ms=0, by="watch") == "known",
    "an erasure": lambda ledger: ledger.fence(JOB) and ledger.refs(JOB) == [REF] and ledger.erase(JOB),
    "the end of its time": lambda ledger: ledger.fence(JOB, age_s=PACK_AFTER_S / 2) and ledger.erase(JOB),
}


@pytest.mark.parametrize("what", WRITES)
def test_whatever_writes_about_it_unpacks_it_first(shelf: Shelf, what: str) -> None:
    """It does the same as to a job that was never packed."""
    shelf.at += AFTER_MS
    commands = dumps.dump(shelf.redis)
    assert WRITES[what](shelf.ledger)
    expected = told(shelf.everything())
    shelf.redis.flushall()
    restore(shelf.redis, commands)
    assert shelf.ledger.pack_one()
    assert shelf.is_packed
    assert WRITES[what](shelf.ledger)
    assert told(shelf.everything()) == expected


def told(commands: list[dumps.Command]) -> list[list[str]]:
    """Without the ids of the stream of changes, which have the time of the server."""
    stream = [one[3:] for one in commands if one[0] == "XADD"]
    rest = [one for one in commands if one[1] != keys.EVENTS]
    return [*stream, *([word for word in one if not word.startswith("17")] for one in rest)]


def restore(redis: Redis, commands: list[dumps.Command]) -> None:
    for command, *words in commands:
        redis.execute_command(command, *(word.encode("latin-1") for word in words))


def test_nothing_that_is_under_way_is_packed(shelf: Shelf) -> None:
    shelf.ledger.redeliver(DeliverySubject(JOB, 1))
    shelf.at += AFTER_MS
    assert shelf.ledger.pack_one()  # it is looked at, and put off
    assert not shelf.ledger.pack_one()
    assert not shelf.is_packed


def test_a_body_that_is_no_file_yet_is_waited_for(shelf: Shelf) -> None:
    shelf.ledger.accept(**CALL, receipt="rc2", digest="d2", body=b"late")
    shelf.at += AFTER_MS
    shelf.ledger.pack_one()
    assert not shelf.is_packed
    assert shelf.ledger.unarchived(9) == [JOB]


def test_what_changed_since_it_was_read_is_not_packed(shelf: Shelf) -> None:
    """Two read the same job; one of them is slow."""
    shelf.at += AFTER_MS
    scripts = shelf.ledger._scripts  # noqa: SLF001 - to stand between reading and packing
    job, proof, parts = scripts.run("ripe", {"now": str(shelf.at)})
    shelf.ledger.accept(**CALL, receipt="rc2", digest="d1", body=b"{}")
    before = shelf.everything()
    arguments = {"now": str(shelf.at), "of": job.decode(), "proof": proof.decode()}
    assert scripts.run("pack", arguments, pack(Bundle.of(parts), JOB)) == 0
    assert shelf.everything() == before


def test_two_who_unpack_at_once_do_it_once(shelf: Shelf) -> None:
    shelf.pack()
    packed = shelf.redis.hget(keys.record(JOB), PACKED)
    writes = list(unpack(packed, JOB).writes(JOB))
    arguments = {"now": "", "of": "job_1", "writes": [[command, key, len(words)] for command, key, words in writes]}
    words = [word for _, _, some in writes for word in some]
    shelf.ledger.renew(JOB, 1)
    before = shelf.everything()
    assert shelf.ledger._scripts.run("unpack", {**arguments, "proof": "0" * 40}, *words) == 0  # noqa: SLF001
    assert shelf.everything() == before


def test_a_full_server_lets_jobs_be_packed_and_erased(shelf: Shelf) -> None:
    shelf.redis.config_set("maxmemory", 1)
    try:
        shelf.pack()
        assert shelf.ledger.fence(JOB)
        assert shelf.ledger.erase(JOB)
    finally:
        shelf.redis.config_set("maxmemory", 0)
    assert shelf.keys_of_it() == set()


def test_what_a_later_version_has_packed_is_left_alone(shelf: Shelf) -> None:
    shelf.pack()
    shelf.redis.hset(keys.record(JOB), PACKED, b"\xff of the future")
    with pytest.raises(LedgerUnavailable, match="a newer version has written it"):
        shelf.ledger.retry(JOB)
    with pytest.raises(LedgerUnavailable, match="a newer version has written it"):
        shelf.view()
    assert shelf.redis.hget(keys.record(JOB), PACKED) == b"\xff of the future"
    (listed,) = shelf.catalog.jobs(Wanted(), None, 10).items
    assert (listed.id, listed.state, listed.title) == ("job_1", "finished", "Ein “Titel” ⚡")


def test_a_job_that_is_packed_while_it_is_read_is_read_whole(shelf: Shelf) -> None:
    """Between the question for its record and that for its parts."""
    before = shelf.view()
    shelf.at += AFTER_MS

    class Slow(Redis):
        def pipeline(self, *args: Any, **options: Any) -> Any:
            if not options.get("transaction", True) and not shelf.is_packed:
                shelf.ledger.pack_one()
            return super().pipeline(*args, **options)

    with Slow(connection_pool=shelf.redis.connection_pool) as slow:
        assert Catalog(slow).job(str(JOB)) == before
    assert shelf.is_packed


def test_the_thread_packs_until_it_is_stopped_and_goes_on_after_a_fault() -> None:
    stop, answers = threading.Event(), iter([True, LedgerUnavailable("away"), ValueError("a fault"), True, False])

    def pack_one() -> bool:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        if not answer:
            stop.set()
        return answer

    class Quick(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            return stop.wait(timeout and 0)

        def is_set(self) -> bool:
            return stop.is_set()

    keep_packing(pack_one, Quick())
    assert next(answers, "all") == "all"


# What was there before jobs were packed


@pytest.fixture
def earlier(redis: Redis) -> Iterator[Redis]:
    for n in range(250):
        job = f"job_{n}"
        redis.hset(f"sr:job:{job}", mapping={"state": "finished", "created": n, "attempt": 1, "updated": n})
        redis.zadd("sr:jobs", {job: n})
        redis.zadd("sr:jobs:finished", {job: n})
        redis.zadd("sr:ended", {job: 1_700_000_000_000 + n // 3})
    redis.hset("sr:ref:" + REF, mapping={"state": "failed", "created": 1})
    redis.zadd("sr:ended", {f"ref:{REF}": 1_700_000_000_000})
    return redis


def test_what_ended_before_there_was_packing_is_packed_too(earlier: Redis) -> None:
    at = 1_800_000_000_000
    ledger = Ledger(earlier, now_ms=lambda: at)
    for _ in range(20):
        while ledger.pack_one():
            pass
    packed = [key for key in earlier.keys("sr:job:*") if earlier.hexists(key, PACKED)]
    assert len(packed) == 250
    assert not earlier.exists("sr:jobs")
    assert earlier.zcard(keys.UNPACKED) == 0
    assert Catalog(earlier).counts()["finished"] == 250
