"""A work-horse that goes on with the next nudges: what RQ sees of them, and what becomes of the one it dies of."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from workers.ledger import Ledger
from workers.nudges import template
from workers.slate import InHand, Slate
from workers.work import UPSTREAM

ROOT = Path(__file__).parents[2]
QUEUE = f"rq:queue:{UPSTREAM}"
# A worker whose one step does what the name of its job says, and notes in which process, and what RQ has noted then.
PROGRAM = """
import ctypes, json, os, sys, time
import structlog
from workers import jobs
from workers.attempts import Attempts, Patience
from workers.connections import web_redis, worker_redis
from workers.crew import read_crew
from workers.ledger import Ledger
from workers.outcomes import Wait
from workers.shift import Length
from workers.steps import Tools
from workers.work import UPSTREAM
from workers.worker import step_worker, work

url, given = sys.argv[1], json.loads(sys.argv[2])
structlog.configure(processors=[structlog.processors.JSONRenderer()])
redis = worker_redis(url)
ledger = Ledger(redis)

def noted():
    found = {}
    for key in redis.keys("rq:*"):
        kind = redis.type(key)
        read = {b"hash": redis.hkeys, b"set": redis.smembers, b"list": lambda k: redis.lrange(k, 0, -1),
                b"zset": lambda k: redis.zrange(k, 0, -1)}.get(kind, lambda k: [])
        found[key.decode()] = [kind.decode(), redis.ttl(key) > 0, sorted(name.decode() for name in read(key))]
    return found

def notes():
    redis.rpush("noted", json.dumps(noted()))
    (hand,) = read_crew(redis).hands
    redis.rpush("crew", json.dumps([hand.task.step, hand.task.subject, hand.task.since]))

def raise_it(error):
    raise error

DEEDS = {
    "ok": lambda: None,
    "notes": notes,
    "segfault": lambda: ctypes.string_at(0),
    "memory": lambda: raise_it(MemoryError()),
    "long": lambda: time.sleep(600),
    "short": lambda: time.sleep(1.5),
}

def step(tools, record):
    redis.rpush("began", f"{record.subject} {os.getpid()}")
    DEEDS[str(record.subject).split("-")[0]]()
    redis.rpush("ended", str(record.subject))
    return Wait(3600)

if given.pop("lost_answers", 0):
    # As if it were killed right when Redis had done what it asked for.
    class Ends(Ledger):
        def take_nudge(self, *asked):
            if super().take_nudge(*asked):
                os._exit(9)
    ledger = Ends(redis)

others = dict.fromkeys(Tools.__dataclass_fields__)
jobs.bind(Attempts(Tools(**{**others, "ledger": ledger}), Patience(9, 1, 1, lambda: 0.5), now=time.monotonic,
                   steps={"fetch": step}))
shift = Length(given.pop("seconds", 60.0), given.pop("steps", 1000))
grace_s = given.pop("grace_s", 30)
work(step_worker(redis, UPSTREAM, last_words=Ledger(web_redis(url)), shift=shift, monitoring_s=1, **given), grace_s)
"""


class Yard:
    def __init__(self, redis: Redis, url: str, folder: Path) -> None:
        self.redis, self.url, self.folder = redis, url, folder
        self.ledger = Ledger(redis)
        self.process: subprocess.Popen[bytes] | None = None

    def due(self, *jobs: str) -> None:
        for job in jobs:
            self.ledger.link("", job, first_ms=0, by="watch")
            assert self.ledger.dispatch(UPSTREAM, most=1).nudged == 1

    def start(self, **given: object) -> None:
        command = [sys.executable, "-c", PROGRAM, self.url, json.dumps(given)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, process_group=0)  # noqa: S603

    def end(self) -> None:
        if self.process is not None:
            for pid in [self.process.pid, *self.horses()]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()

    def texts(self, key: str) -> list[str]:
        return [entry.decode() for entry in self.redis.lrange(key, 0, -1)]

    def began(self) -> list[str]:
        return [entry.split()[0] for entry in self.texts("began")]

    def horses(self) -> list[int]:
        return [int(entry.split()[1]) for entry in self.texts("began")]

    def events(self, job: str, name: str) -> list[dict[str, Any]]:
        entries = map(json.loads, self.redis.lrange(f"sr:timeline:{job}", 0, -1))
        return [entry for entry in entries if entry["event"] == name]

    def left(self) -> set[str]:
        """What RQ still has noted of runs."""
        found = {
            key.decode()
            for kind in ("job", "wip", "execution", "executions")
            for key in self.redis.keys(f"rq:{kind}:*")
        }
        return (
            found
            | {key.decode() for key in self.redis.keys("rq:*:executions")}
            | set(self.texts(f"{QUEUE}:intermediate"))
        )


@pytest.fixture
def yard(redis: Redis, redis_url: str, tmp_path: Path) -> Iterator[Yard]:
    made = Yard(redis, redis_url, tmp_path)
    yield made
    made.end()


def test_rq_knows_of_the_first_nudge_and_the_ledger_of_all(yard: Yard, eventually: Callable[..., Any]) -> None:
    yard.due("notes-1", "ok-2", "notes-3")
    yard.redis.rpush(QUEUE, "is-there-no-more")
    yard.due("ok-4")
    yard.start()
    eventually(lambda: yard.texts("ended") == ["notes-1", "ok-2", "notes-3", "ok-4"], timeout=40)
    assert len(set(yard.horses())) == 1
    first, third = map(json.loads, yard.texts("noted"))
    waiting = {"rq:job:fetch-notes-1-1", "rq:job:fetch-ok-2-1", "rq:job:fetch-notes-3-1", "rq:job:fetch-ok-4-1"}
    assert waiting <= set(first)
    assert [key.split(":")[2] for key in first if key.startswith("rq:execution:")] == ["fetch-notes-1-1"]
    assert {key for key in third if key.startswith(("rq:job:", "rq:exec"))} == {"rq:job:fetch-ok-4-1"}
    crew = [json.loads(text) for text in yard.texts("crew")]
    assert [task[:2] for task in crew] == [["fetch", "notes-1"], ["fetch", "notes-3"]]
    eventually(lambda: not yard.left())
    eventually(lambda: not yard.redis.keys("sr:given:*"))


def test_a_crash_is_that_of_the_step_in_hand(yard: Yard, eventually: Callable[..., Any]) -> None:
    yard.due("ok-1", "segfault-2", "ok-3", "memory-4", "ok-5")
    yard.start()
    eventually(lambda: len(yard.texts("ended")) == 3, timeout=40)
    eventually(lambda: yard.events("memory-4", "crashed"))
    assert yard.began() == ["ok-1", "segfault-2", "ok-3", "memory-4", "ok-5"]
    first, second, third, fourth, fifth = yard.horses()
    assert first == second != third == fourth != fifth
    assert [entry["reason"] for entry in yard.events("segfault-2", "crashed")] == ["killed by SIGSEGV"]
    assert [entry["reason"] for entry in yard.events("memory-4", "crashed")] == ["ran out of memory"]
    assert [yard.events(job, "crashed") for job in ("ok-1", "ok-3", "ok-5")] == [[], [], []]
    eventually(lambda: not yard.left())
    assert not yard.redis.keys("sr:given:*")
    assert yard.process is not None
    assert yard.process.poll() is None


def test_each_step_has_its_own_time(yard: Yard, eventually: Callable[..., Any]) -> None:
    yard.due("short-1", "short-2", "long-3", "ok-4")
    for job in ("short-1", "short-2", "long-3"):
        yard.redis.hset(f"rq:job:fetch-{job}-1", "timeout", 2)
    yard.start()
    eventually(lambda: "ok-4" in yard.texts("ended"), timeout=40)
    assert yard.texts("ended") == ["short-1", "short-2", "ok-4"]
    assert [entry["reason"] for entry in yard.events("long-3", "crashed")] == ["ran for more than 2 s"]
    first, second, third, fourth = yard.horses()
    assert first == second == third != fourth


def test_a_stop_ends_the_shift_and_what_the_grace_cuts_off_is_put_back(
    yard: Yard, eventually: Callable[..., Any]
) -> None:
    yard.due("ok-1", "short-2", "ok-3", "long-4")
    yard.start()
    eventually(lambda: yard.began() == ["ok-1", "short-2"], timeout=40)
    assert yard.process is not None
    yard.process.send_signal(signal.SIGTERM)
    assert yard.process.wait(20) == 0
    assert yard.texts("ended") == ["ok-1", "short-2"]
    assert yard.texts(QUEUE) == ["fetch-ok-3-1", "fetch-long-4-1"]
    yard.start(grace_s=1)
    eventually(lambda: "long-4" in yard.began(), timeout=40)
    yard.process.send_signal(signal.SIGTERM)
    assert yard.process.wait(20) == 0
    assert [entry["attempt"] for entry in yard.events("long-4", "put_back")] == [1]
    assert yard.events("long-4", "crashed") == []
    assert yard.texts(QUEUE) == ["fetch-long-4-2"]


def test_a_shift_is_so_long_and_passes_over_to_rq_what_is_no_nudge(yard: Yard, eventually: Callable[..., Any]) -> None:
    yard.due("ok-1", "ok-2", "ok-3")
    forged = {**template(yard.redis, UPSTREAM).fields, "data": '["os.getpid", null, [], {}]'}
    yard.redis.hset("rq:job:forged", mapping=forged)
    yard.redis.rpush(QUEUE, "forged")
    yard.due("ok-4", "ok-5")
    yard.start(steps=2)
    eventually(lambda: len(yard.texts("ended")) == 5, timeout=40)
    first, second, third, fourth, fifth = yard.horses()
    assert first == second != third != fourth == fifth
    assert yard.redis.zrange(f"rq:failed:{UPSTREAM}", 0, -1) == [b"forged"]


def test_a_horse_that_dies_before_it_has_read_what_it_was_given_is_told_of(
    yard: Yard, eventually: Callable[..., Any]
) -> None:
    yard.due("ok-1", "ok-2")
    yard.start(lost_answers=1)
    eventually(lambda: yard.events("ok-2", "crashed"), timeout=40)
    assert [entry["reason"] for entry in yard.events("ok-2", "crashed")] == ["ended with exit code 9"]
    assert yard.began() == ["ok-1"]
    assert yard.events("ok-1", "crashed") == []


# The slate


def test_a_slate_is_read_as_it_was_written() -> None:
    slate = Slate()
    for n in range(3):
        in_hand = InHand(n, 180.0, time.monotonic())
        slate.write(in_hand)
        assert slate.read() == in_hand
    assert not slate.called_off


def test_a_horse_hears_that_it_is_called_off() -> None:
    slate = Slate()
    child = os.fork()
    if child == 0:
        deadline = time.monotonic() + 20
        while not slate.called_off and time.monotonic() < deadline:
            time.sleep(0.01)
        os._exit(0 if slate.called_off else 1)
    slate.call_off()
    assert os.waitpid(child, 0)[1] == 0
