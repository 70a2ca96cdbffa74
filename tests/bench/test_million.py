"""The copies of the benchmark are what the real scripts leave behind."""

import random

import pytest

from tests.bench.copies import Copy, Names
from workers.bundle import unpack
from workers.identifiers import JobSubject, RenderSubject
from workers.ledger import Ledger
from workers.outbox import EVENTS, Outbox
from workers.work import PACK_AFTER_S

HEX = ("a1" * 32, "b2" * 32)
START = 1_800_000_000_000


def real(redis, job: str, ref: str, *, title: str, digest: str, at: int) -> JobSubject:
    """Take one job through the ledger's own scripts until it has come to rest."""
    now = at
    ledger = Ledger(redis, now_ms=lambda: now, outbox=Outbox({"": "t1"}, frozenset(EVENTS)))
    subject = JobSubject(job)
    ledger.open_ref(ref, state="open", fields={"metadata": {"order": 7}}, due_ms=None)
    ledger.link(ref, job, first_ms=0, by="watch", fields={"title": title})
    receipt = digest[:32]
    ledger.accept(ref=ref, job_id="", receipt=receipt, digest=digest, meta={"hint": job}, body=b"{}")
    record = ledger.claim(subject, "fetch")
    ledger.plan(record, [{"short": {"id": 1, "title": title}, "request": {}}], {"shorts": 1, "result_sha256": digest})
    for state in ("starting", "queued", "keeping", "kept"):
        now += 1000
        record = ledger.claim(RenderSubject(job, 1), "")
        ledger.move(record, state, fields={"render_id": f"rnd_{job[4:]}", "sha256": digest}, drop=("request",))
    while not isinstance(taken := ledger.take_delivery([]), float | None):
        ledger.move(taken, "delivered", fields={"sent": 1})
    ledger.drop_bodies(subject, [receipt])
    return subject


def without_news(copy: Copy) -> Copy:
    """The id of its last change has the time of the server, and in it nothing of the job."""
    for fields in copy.hashes.values():
        fields.pop(b"news", None)
    return copy


def pair(redis, *, packed: bool) -> list[Copy]:
    jobs = [
        real(redis, "job_aaaaaaaaaaaa", "r" * 22, title="The first of two titles", digest=HEX[0], at=START),
        real(redis, "job_bbbbbbbbbbbb", "s" * 22, title="Another title of theirs", digest=HEX[1], at=START + 5000),
    ]
    for key in redis.keys("sr:job:*"):
        redis.hdel(key, "news")
    if packed:
        ledger = Ledger(redis, now_ms=lambda: START + round(PACK_AFTER_S * 2000))
        while ledger.pack_one():
            pass
    return [without_news(Copy.read(redis, job)) for job in jobs]


@pytest.mark.parametrize("packed", [False, True])
def test_the_copy_of_one_job_under_the_names_of_another_is_that_other(redis, packed):
    first, second = pair(redis, packed=packed)
    assert any(b"packed" in fields for fields in second.hashes.values()) is packed
    names = {
        first.job.encode(): second.job.encode(),
        first.refs[0].encode(): second.refs[0].encode(),
        first.titles[0]: second.titles[0],
        b"rnd_aaaaaaaaaaaa": b"rnd_bbbbbbbbbbbb",
        HEX[0].encode(): HEX[1].encode(),
        HEX[0][:32].encode(): HEX[1][:32].encode(),
    }
    seen: dict[bytes, bytes] = {}

    def rename(word: bytes) -> bytes:
        if word in names:
            return names[word]
        if word.startswith(b"msg_"):  # made of the job's name: it is taken from the other one, in order
            return seen.setdefault(word, events_of(second)[len(seen)])
        return b"%d" % (int(word) + 5000)

    assert first.renamed(rename) == second
    assert len(events_of(second)) == 3


def events_of(copy: Copy) -> list[bytes]:
    packed = [fields[b"packed"] for fields in copy.hashes.values() if b"packed" in fields]
    if packed:
        return [delivery[b"id"] for delivery in unpack(packed[0], JobSubject(copy.job)).deliveries]
    return [fields[b"id"] for name, fields in sorted(copy.hashes.items()) if b"!" in name]


@pytest.mark.parametrize("packed", [False, True])
def test_a_copy_takes_the_memory_of_a_real_one_and_reads_like_it(redis, packed):
    first, _ = pair(redis, packed=packed)
    made = first.renamed(Names(first, random.Random(1), later_ms=86_400_000))  # noqa: S311 - a test that can be repeated
    made.write(redis)
    for one, other in zip(first.hashes, made.hashes, strict=True):
        assert redis.object("encoding", one) == redis.object("encoding", other)
        sizes = [redis.memory_usage(key, samples=0) for key in (one, other)]
        assert abs(sizes[0] - sizes[1]) <= max(sizes) // 4, (one, sizes)
    for one, other in zip(first.lists, made.lists, strict=True):
        assert redis.llen(one) == redis.llen(other)
    assert made.job != first.job
    assert Copy.read(redis, JobSubject(made.job)) == made
