"""What the ledger's scripts tell, as listeners hear it."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from tests.workers.desk import JOB, LEASE_MS, REF, Desk
from workers.changes import Change, digest, read_change
from workers.feed import Feed
from workers.frames import BEGINNING, StreamId
from workers.identifiers import JobSubject
from workers.tail import Tail
from workers.work import EVENTS_CAP


@pytest.fixture
def desk(redis: Redis) -> Desk:
    return Desk(redis)


@pytest.fixture
def feed(redis: Redis) -> Feed:
    return Feed(redis)


def told(feed: Feed, after: StreamId = BEGINNING) -> list[tuple[str, str, str]]:
    changes, _ = feed.after(after, most=2 * EVENTS_CAP, wait_ms=None)
    return [(change.subject, change.event, change.state) for change in changes]


def test_a_job_is_told_from_its_callback_to_its_end(desk, feed):
    desk.fetched(1)
    desk.render_step("starting")
    assert told(feed)[:2] == [("job_1", "known", "fetching"), ("job_1", "callback", "fetching")]
    assert told(feed)[2:] == [
        ("job_1", "result", "rendering"),
        ("job_1/1", "state", "planned"),
        ("job_1/1", "state", "starting"),
    ]


def test_progress_alone_is_told_when_it_has_changed(desk, feed):
    desk.accept(job=str(JOB))
    after = feed.ends()[1]
    desk.ledger.move(desk.begin(), wait_s=1, fields={"progress": 0.25})
    desk.at += 1000
    desk.tick()
    desk.ledger.move(desk.begin(), wait_s=1, fields={"progress": 0.25})
    (change,), _ = feed.after(after, most=10, wait_ms=None)
    assert change.as_json() == {
        "id": "job_1",
        "ref": None,
        "render": None,
        "delivery": None,
        "event": "progress",
        "state": "fetching",
        "progress": 0.1,
        "at": "2027-01-15T08:00:00.000Z",
    }


def test_what_changed_nothing_is_not_told(desk, feed):
    desk.accept(job=str(JOB), receipt="rc")
    record = desk.begin()
    after = feed.ends()[1]
    desk.accept(job=str(JOB), receipt="rc")
    desk.ledger.renew(JOB, record.attempt)
    desk.ledger.move(record, "failed", hold=False)
    failed = feed.ends()[1]
    assert not desk.ledger.move(record, "failed")
    assert told(feed, after) == [("job_1", "state", "failed")]
    assert told(feed, failed) == []


def test_a_ref_is_told_to_be_its_job_before_anything_of_that_job(desk, feed):
    desk.accept(ref=REF)
    after = feed.ends()[1]
    desk.ledger.link(REF, "job_1", first_ms=0, by="callback")
    changes, _ = feed.after(after, most=10, wait_ms=None)
    assert [(change.event, change.state, change.job) for change in changes] == [
        ("linked", "linked", "job_1"),
        ("known", "fetching", ""),
    ]
    assert changes[0].as_json() | {"at": 0} == {
        "id": "job_1", "ref": REF, "render": None, "delivery": None,
        "event": "linked", "state": "waiting", "progress": 0.0, "at": 0,
    }  # fmt: skip


def test_erasing_leaves_no_trace_and_is_told_by_digests_alone(desk, feed, redis):
    desk.accept(job="job_11")
    desk.ledger.open_ref(REF, state="queued", fields={"request": {}}, due_ms=LEASE_MS)
    desk.ledger.link(REF, "job_1", first_ms=0, by="submission")
    desk.accept(ref=REF)
    desk.nudges()
    desk.accept(job="job_111")
    everything = told(feed)
    assert desk.ledger.fence(JOB)
    assert told(feed) == everything
    assert desk.ledger.erase(JOB)
    left, _ = feed.after(BEGINNING, most=100, wait_ms=None)
    assert {change.owner for change in left} == {"job_11", "job_111", ""}
    assert left[-1].digests == (digest("job_1"), digest(f"ref:{REF}"))
    raw = repr(redis.xrange("sr:events")).replace("job_111", "").replace("job_11", "")
    assert "job_1" not in raw
    assert REF not in raw


def test_erasing_finds_all_that_is_left_and_nothing_else(desk, feed, redis):
    desk.accept(job="job_1")
    desk.accept(job="job_2")
    redis.xtrim("sr:events", maxlen=3, approximate=False)
    assert desk.ledger.erase(JOB)
    assert [change.owner for change in feed.after(BEGINNING, most=9, wait_ms=None)[0]] == ["job_2", "job_2", ""]
    redis.xtrim("sr:events", maxlen=1, approximate=False)
    assert desk.ledger.erase(JobSubject("job_2"))
    assert [change.event for change in feed.after(BEGINNING, most=9, wait_ms=None)[0]] == ["erased", "erased"]


def test_the_stream_is_bounded_and_says_where_it_begins(redis, feed):
    entry = {"subject": "job_1", "event": "x", "state": "waiting", "progress": "", "at": "5"}
    assert feed.tail().holds(BEGINNING)
    first = feed.ends()[1]
    for n in range(3):
        redis.xadd("sr:events", entry, id=f"{n + 1}-0")
    assert feed.tail().holds(first)
    redis.xtrim("sr:events", maxlen=2, approximate=False)
    tail = feed.tail()
    assert [tail.holds((n, 0)) for n in (0, 1, 2, 3)] == [False, False, True, True]
    assert (tail.end, len(tail)) == ((3, 0), 2)
    redis.xtrim("sr:events", maxlen=0, approximate=False)
    assert [feed.tail().holds((n, 0)) for n in (2, 3)] == [False, True]


def test_the_scripts_keep_it_bounded(desk, redis):
    entry = {"subject": "job_9", "event": "x", "state": "waiting", "progress": "", "at": "5"}
    with redis.pipeline(transaction=False) as pipeline:
        for _ in range(2 * EVENTS_CAP):
            pipeline.xadd("sr:events", entry)
        pipeline.execute()
    desk.accept(job="job_1")
    assert EVENTS_CAP <= redis.xlen("sr:events") <= EVENTS_CAP + 200
    assert redis.memory_usage("sr:events", samples=0) < 1_000_000


@given(st.dictionaries(st.sampled_from(["subject", "event", "state", "progress", "at", "job", "digests"]), st.text()))
def test_any_entry_is_a_change_or_none(fields):
    change = read_change((1, 0), fields)
    if change is not None:
        json.dumps(change.as_json())
        assert change.settles in (True, False)


SUBJECTS = st.sampled_from(["a", "a/1", "b", "ref:" + "r" * 22])
STEPS = st.lists(st.lists(SUBJECTS, max_size=8), max_size=12)


@given(STEPS, st.integers(2, 6), st.integers(1, 5), st.sampled_from([None, frozenset({"a"}), frozenset({"b", "zzz"})]))
def test_who_goes_on_from_any_place_hears_the_rest_once_or_is_told_that_it_cannot(steps, most, piece, names):
    tail, everything = Tail(BEGINNING, BEGINNING, most), list[Change]()
    for subjects in steps:
        n = len(everything)
        new = [Change((n + i + 1, 0), subject, "x", "waiting", "", "5") for i, subject in enumerate(subjects)]
        everything += new
        tail.add(new, (len(everything), 0))
    assert len(tail) <= most + most // 4
    for place in range(len(everything) + 1):
        after, heard = (place, 0), list[Change]()
        if not tail.holds(after):
            assert place < len(everything) - most
            continue
        while after < tail.end:
            found, after = tail.after(after, names, piece)
            assert len(found) <= piece
            heard += found
        assert heard == [c for c in everything[place:] if names is None or c.owner in names]


def test_what_is_erased_is_forgotten_and_what_comes_later_is_not():
    tail = Tail(BEGINNING, BEGINNING, 10)
    subjects = ["a", "a/1", "a!2", "ab", "", "a"]
    changes = [Change((n, 0), subject, "x", "waiting", "", "5") for n, subject in enumerate(subjects, 1)]
    changes[4] = replace(changes[4], event="erased", digests=(digest("a"),))
    tail.add(changes, (6, 0))
    tail.forget(changes[4])
    assert [change.at[0] for change in tail.after(BEGINNING, None, 9)[0]] == [4, 5, 6]
    assert tail.end == (6, 0)
