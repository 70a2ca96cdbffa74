"""Taking the next nudge and claiming its attempt in one go: what is given, what is passed over, what is left to RQ."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from tests.workers.desk import JOB, Desk
from workers.errors import LedgerUnavailable
from workers.identifiers import JobSubject
from workers.nudges import Nudge
from workers.work import FILES, STEP_TIMEOUT_S, UPSTREAM

QUEUE = f"rq:queue:{UPSTREAM}"


@pytest.fixture
def desk(redis: Redis) -> Desk:
    return Desk(redis)


def test_the_next_nudge_is_taken_and_its_attempt_claimed(desk: Desk) -> None:
    desk.accept(job=str(JOB), body=b'{"n":1}', receipt="rc1")
    desk.accept(job=str(JOB), body=b"\xff", receipt="rc2")
    assert desk.redis.llen(QUEUE) == 1
    taken = desk.ledger.take_nudge(UPSTREAM, "w", "a-1")
    assert taken is not None
    record, timeout_s = taken
    assert (record.subject, record.step, record.attempt) == (JOB, "fetch", 1)
    assert (record.state, record.now_ms, timeout_s) == ("fetching", desk.at, STEP_TIMEOUT_S[UPSTREAM])
    assert record.bodies == {"rc1": b'{"n":1}', "rc2": b"\xff"}
    assert desk.fields(JOB)["begun"] == "1"
    assert desk.redis.keys("rq:job:*") == []
    assert desk.redis.llen(QUEUE) == 0
    assert desk.ledger.begin(JOB, "fetch", 1) is None
    assert desk.ledger.take_nudge(UPSTREAM, "w", "a-2") is None


def test_a_render_is_given_with_its_job_and_without_bodies(desk: Desk) -> None:
    desk.fetched(renders=1)
    desk.tick()
    taken = desk.ledger.take_nudge(UPSTREAM, "w", "a-1")
    assert taken is not None
    assert (str(taken[0].subject), taken[0].job["state"], taken[0].bodies) == (f"{JOB}/1", "rendering", {})
    for state in ("starting", "queued", "keeping"):
        assert desk.ledger.move(taken[0], state, hold=True)
    assert desk.ledger.move(taken[0], "keeping")
    desk.tick(FILES)
    kept = desk.ledger.take_nudge(FILES, "w", "a-2")
    assert kept is not None
    assert (kept[0].step, kept[1]) == ("keep", STEP_TIMEOUT_S[FILES])


def test_who_asks_again_is_answered_the_same(desk: Desk) -> None:
    for n in range(2):
        desk.accept(job=f"job_{n}", receipt=f"rc{n}")
    first = desk.ledger.take_nudge(UPSTREAM, "w", "a-1")
    again = desk.ledger.take_nudge(UPSTREAM, "w", "a-1")
    assert first is not None
    assert again == first
    assert desk.redis.llen(QUEUE) == 1
    assert desk.ledger.move(first[0], wait_s=60)
    # What he was answered is over by now: he gets the next one.
    other = desk.ledger.take_nudge(UPSTREAM, "w", "a-1")
    assert other is not None
    assert (first[0].subject, other[0].subject) == (JobSubject("job_0"), JobSubject("job_1"))


def test_what_a_worker_has_in_hand_is_known_until_it_puts_it_down(desk: Desk) -> None:
    assert desk.ledger.given("w", "") is None
    desk.accept(job=str(JOB))
    desk.ledger.take_nudge(UPSTREAM, "w", "a-1")
    assert desk.ledger.given("w", "a") == Nudge("fetch", JOB, 1)
    assert desk.ledger.given("w", "b") is None
    assert desk.ledger.given("v", "a") is None
    assert desk.redis.ttl("sr:given:w") > STEP_TIMEOUT_S[UPSTREAM]
    desk.ledger.put_down("w")
    assert desk.ledger.given("w", "a") is None
    assert desk.redis.keys("sr:given:*") == []


def test_stale_nudges_and_those_that_are_gone_are_passed_over(desk: Desk) -> None:
    for n in range(4):
        desk.accept(job=f"job_{n}", receipt=f"rc{n}")
    desk.redis.delete("rq:job:fetch-job_0-1")
    assert desk.ledger.begin(JobSubject("job_1"), "fetch", 1) is not None
    desk.redis.delete("sr:job:job_2")
    taken = desk.ledger.take_nudge(UPSTREAM, "w", "a-1")
    assert taken is not None
    assert taken[0].subject == JobSubject("job_3")
    assert desk.redis.keys("rq:job:*") == []
    assert desk.redis.exists("sr:job:job_2") == 0


def test_a_worker_that_found_stale_ones_alone_has_nothing_in_hand(desk: Desk) -> None:
    desk.accept(job=str(JOB))
    assert desk.ledger.begin(JOB, "fetch", 1) is not None
    assert desk.ledger.take_nudge(UPSTREAM, "w", "a-1") is None
    assert desk.redis.keys("rq:job:*") == desk.redis.keys("sr:given:*") == []


DATA = '["workers.jobs.run_step", null, ["fetch", "job_1", 1], {}]'


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("forged", {"data": DATA.replace("workers.jobs.run_step", "os.system"), "timeout": "180"}),
        ("forged", {"data": "no JSON", "timeout": "180"}),
        ("forged", {"data": DATA.replace('["fetch", "job_1", 1]', '"fetch"'), "timeout": "180"}),
        ("forged", {"data": DATA.replace('"job_1"', "{}"), "timeout": "180"}),
        ("forged", {"data": DATA}),
        ("forged", {"data": DATA, "timeout": "-1"}),
        ("forged", {"data": DATA, "timeout": "99999999"}),
        ("forged", {"timeout": "180"}),
        ("../forged", {"data": DATA, "timeout": "180"}),
    ],
)
def test_what_is_no_nudge_of_ours_is_left_to_rq(desk: Desk, name: str, fields: dict[str, str]) -> None:
    desk.redis.hset(f"rq:job:{name}", mapping=fields)
    desk.redis.rpush(QUEUE, name)
    desk.accept(job=str(JOB))
    assert desk.ledger.take_nudge(UPSTREAM, "w", "a-1") is None
    assert desk.redis.lrange(QUEUE, 0, -1) == [name.encode(), b"fetch-job_1-1"]
    assert desk.redis.hlen(f"rq:job:{name}") == len(fields)
    assert "begun" not in desk.fields(JOB)


def test_a_job_of_another_kind_is_left_to_rq_too(desk: Desk) -> None:
    desk.redis.set("rq:job:text", "it")
    desk.redis.rpush(QUEUE, "text")
    assert desk.ledger.take_nudge(UPSTREAM, "w", "a-1") is None
    assert desk.redis.llen(QUEUE) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    data=st.binary(max_size=60) | st.recursive(st.none() | st.text() | st.floats(), st.lists).map(json.dumps),
    timeout=st.binary(max_size=5) | st.integers().map(str),
)
def test_whatever_stands_there_a_nudge_behind_it_is_not_lost(redis: Redis, data: bytes, timeout: bytes) -> None:
    redis.flushdb()
    desk = Desk(redis)
    redis.hset("rq:job:some", mapping={"data": data, "timeout": timeout})
    redis.rpush(QUEUE, "some")
    desk.accept(job=str(JOB))
    assert desk.ledger.take_nudge(UPSTREAM, "w", "a-1") is None
    assert redis.lrange(QUEUE, 0, -1) == [b"some", b"fetch-job_1-1"]


def test_while_work_is_suspended_nothing_is_taken(desk: Desk) -> None:
    desk.accept(job=str(JOB))
    desk.redis.set("rq:suspended", 1)
    assert desk.ledger.take_nudge(UPSTREAM, "w", "a-1") is None
    desk.redis.delete("rq:suspended")
    assert desk.ledger.take_nudge(UPSTREAM, "w", "a-1") is not None


def test_a_server_that_is_full_gives_nothing_half(desk: Desk) -> None:
    desk.accept(job=str(JOB))
    limit = desk.redis.config_get("maxmemory")["maxmemory"]
    desk.redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(LedgerUnavailable):
            desk.ledger.take_nudge(UPSTREAM, "w", "a-1")
    finally:
        desk.redis.config_set("maxmemory", limit)
    assert desk.redis.llen(QUEUE) == 1
    assert desk.redis.exists("rq:job:fetch-job_1-1") == 1
    assert "begun" not in desk.fields(JOB)
    assert desk.ledger.take_nudge(UPSTREAM, "w", "a-1") is not None
