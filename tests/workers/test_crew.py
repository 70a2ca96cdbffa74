"""What RQ notes of its workers, read without RQ: held against a real worker with a step in hand."""

import os
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.workers.desk import Desk
from workers.crew import read_crew
from workers.presence import SILENT_S, WEB, Presence, Process, this_process
from workers.work import FILES, UPSTREAM
from workers.worker import step_worker


@pytest.fixture
def desk(redis):
    return Desk(redis)


def test_a_worker_is_seen_with_what_it_has_in_hand(desk, redis):
    worker = step_worker(redis, UPSTREAM)
    worker.register_birth()
    desk.accept(job="job_1")
    idle = read_crew(redis)
    (hand,) = idle.hands
    assert (hand.host, hand.pid, hand.lane) == (socket.gethostname(), str(os.getpid()), UPSTREAM)
    assert hand.task is None
    assert abs(idle.now - hand.since) < 60
    assert idle.queues == {UPSTREAM: 1, FILES: 0}

    job, _ = worker.dequeue_job_and_maintain_ttl(timeout=None)
    worker.prepare_execution(job)
    busy = read_crew(redis)
    task = busy.hands[0].task
    assert (task.step, task.subject, task.attempt) == ("fetch", "job_1", 1)
    assert abs(busy.now - task.since) < 60
    assert busy.queues[UPSTREAM] == 0
    assert (busy.on(UPSTREAM), busy.on(FILES)) == (1, 0)

    # In a shift RQ's run is over, and the ledger knows what has been taken since.
    redis.delete(*redis.keys("rq:worker:*:executions"))
    assert read_crew(redis).hands[0].task is None
    desk.accept(job="job_2")
    assert desk.ledger.take_nudge(UPSTREAM, worker.name, "a-1") is not None
    task = read_crew(redis).hands[0].task
    assert (task.step, task.subject, task.attempt, task.since) == ("fetch", "job_2", 1, desk.at / 1000)

    worker.register_death()
    assert read_crew(redis).hands == []


def test_without_anybody_there_is_nobody(redis):
    crew = read_crew(redis)
    assert (list(crew.hands), crew.count, crew.queues) == ([], 0, {UPSTREAM: 0, FILES: 0})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=st.dictionaries(st.sampled_from(["birth", "pid", "queues", "hostname"]), st.binary()), data=st.binary())
def test_whatever_stands_there_is_shown_or_left_out(redis, fields, data):
    redis.flushdb()
    redis.set("sr:given:w", data)
    redis.sadd("rq:workers", "rq:worker:w")
    redis.hset("rq:worker:w", mapping={"birth": "2026-11-24T18:00:00Z", **fields})
    redis.sadd("rq:worker:w:executions", b"fetch-job-1:" + data)
    redis.hset("rq:job:fetch-job-1", "data", data)
    assert len(read_crew(redis).hands) == (fields.get("birth") != b"")


# Those that RQ does not know


def test_who_says_so_is_there_until_it_has_been_silent(redis):
    presence = Presence(redis)
    me = this_process(WEB)
    presence.tell(me)
    presence.tell(me)
    other = Process("clock", "far", 7, 1)
    presence.tell(other)
    assert presence.all() == [other, me]
    redis.zadd("sr:present", {other.name: redis.time()[0] * 1000 - SILENT_S * 1000 - 1})
    assert presence.all() == [me]
    presence.tell(me)
    assert redis.zcard("sr:present") == 1
    assert redis.pttl("sr:present") > 0


def test_what_is_none_of_ours_is_left_out(redis):
    redis.zadd("sr:present", {b"\xff": 9e15, "web a/b 1 2": 9e15, "web a 1": 9e15, "web ok 1 2": 9e15})
    assert Presence(redis).all() == [Process("web", "ok", 1, 2)]
