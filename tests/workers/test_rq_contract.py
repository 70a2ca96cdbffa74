"""What we lean on in RQ, pinned with its real workers in processes of their own. It holds for the version in use."""

import inspect
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import rq
from redis import Redis
from rq.exceptions import NoSuchJobError
from rq.serializers import JSONSerializer
from rq.suspension import is_suspended
from rq.worker import Worker
from rq.worker.base import BaseWorker

from workers.identifiers import JobSubject
from workers.ledger import Ledger
from workers.nudges import ENTRY_POINT, StepJob, queue, template
from workers.work import LANES, STEP_TIMEOUT_S, UPSTREAM

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
QUEUE = f"rq:queue:{UPSTREAM}"
INTERMEDIATE = f"{QUEUE}:intermediate"
# Notes in Redis which nudges ran and which of them were claimed. The job "hang" hangs in its first attempt, and the
# attempts of "open-..." are never ended.
PROGRAM = """
import os, random, signal, sys, time
from redis import Redis
from workers import jobs
from workers.ledger import Ledger
from workers.work import UPSTREAM
from workers.worker import step_worker

url, mode, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
redis = Redis.from_url(url)
ledger = Ledger(redis)

class Recorder:
    def run(self, step, subject, attempt):
        redis.rpush("ran", f"{subject}#{attempt}")
        record = ledger.begin(subject, step, attempt)
        if record is None:
            return
        redis.rpush("claimed", f"{subject}#{attempt}")
        if str(subject) == "hang" and attempt == 1:
            redis.set("horse", os.getpid())
            time.sleep(60)
        if not str(subject).startswith("open"):
            ledger.move(record, wait_s=3600)

def work(**options):
    jobs.bind(Recorder())
    step_worker(redis, UPSTREAM).work(logging_level="CRITICAL", **options)

if mode == "work":
    work()
for turn in range(count):
    child = os.fork()
    if child == 0:
        work(burst=mode == "burst")
        sys.stdout.flush()
        os._exit(0)
    if mode == "restart":
        time.sleep(random.uniform(0.03, 0.15))
        # Every other time at the worst moment: a job has just been taken.
        limit = time.monotonic() + turn % 2 * 2
        while time.monotonic() < limit and not redis.llen(f"rq:queue:{UPSTREAM}:intermediate"):
            pass
        os.kill(child, signal.SIGTERM)
    os.waitpid(child, 0)
"""


def command(redis_url: str, mode: str, count: int) -> list[str]:
    return [sys.executable, "-c", PROGRAM, redis_url, mode, str(count)]


def run(redis_url: str, mode: str, count: int = 1) -> str:
    """Let workers work, one after the other: until the queue is empty, or stopped at random. Return what they print."""
    done = subprocess.run(  # noqa: S603 - our own program
        command(redis_url, mode, count), cwd=ROOT, capture_output=True, text=True, timeout=90, check=True
    )
    return done.stdout + done.stderr


@contextmanager
def worker(redis_url: str) -> Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen(command(redis_url, "work", 0), cwd=ROOT)  # noqa: S603 - our own program
    try:
        yield started
    finally:
        started.kill()
        started.wait()


def texts(redis: Redis, key: str) -> list[str]:
    return [entry.decode() for entry in redis.lrange(key, 0, -1)]


@pytest.fixture
def ledger(redis: Redis) -> Ledger:
    return Ledger(redis)


def due(ledger: Ledger, *jobs: str) -> None:
    """Make jobs known and nudge them."""
    for job in jobs:
        ledger.link("", job, first_ms=0, by="watch")
    assert ledger.dispatch(UPSTREAM, most=100).nudged == len(jobs)


def forge(redis: Redis, name: str, data: object, **fields: str | bytes) -> None:
    """Put a job into the queue as somebody would who can write to Redis."""
    redis.hset(f"rq:job:{name}", mapping={**template(redis, UPSTREAM).fields, "data": data, **fields})
    redis.rpush(QUEUE, name)


def call(function: str, *args: object, instance: object = None) -> str:
    return json.dumps([function, instance, args, {}])


# The nudge


def test_the_version_is_the_one_that_was_looked_into() -> None:
    assert rq.VERSION == "3.0.0"


def test_a_nudge_has_every_field_that_rq_writes(redis: Redis) -> None:
    for lane in LANES:
        nudge = template(redis, lane)
        job = queue(redis, lane).create_job(ENTRY_POINT, args=("@STEP@", "@SUBJECT@", "@ATTEMPT@"))
        assert set(job.to_dict()) - {"data"} <= set(nudge.fields) | {"timeout", "result_ttl", "failure_ttl"}
        assert nudge.fields["timeout"] == str(STEP_TIMEOUT_S[lane])
        assert (nudge.fields["origin"], nudge.fields["status"], nudge.fields["result_ttl"]) == (lane, "queued", "0")


def test_rq_reads_the_nudge_that_the_ledger_pushed(redis: Redis, ledger: Ledger) -> None:
    due(ledger, "job_1")
    (job,) = queue(redis, UPSTREAM).jobs
    assert job.id == "fetch-job_1-1"
    assert (job.func_name, job.args, job.kwargs) == (ENTRY_POINT, ["fetch", "job_1", 1], {})
    assert (job.timeout, job.result_ttl, job.get_status()) == (STEP_TIMEOUT_S[UPSTREAM], 0, "queued")
    assert callable(job.func)


def test_a_nudge_is_run_once_and_leaves_nothing_in_rq(redis: Redis, redis_url: str, ledger: Ledger) -> None:
    due(ledger, "job_1", "job_2")
    run(redis_url, "burst")
    assert sorted(texts(redis, "claimed")) == ["job_1#1", "job_2#1"]
    assert redis.keys("rq:job:*") == []
    assert redis.keys("rq:results:*") == []
    for key in (QUEUE, INTERMEDIATE, f"rq:wip:{UPSTREAM}", f"rq:failed:{UPSTREAM}", f"rq:finished:{UPSTREAM}"):
        assert not redis.exists(key), key


# What somebody else wrote into Redis


@pytest.mark.parametrize(
    "data",
    [
        call("os.system", "true"),
        call("workers.jobs.bind", []),
        call("workers.jobs.run_step.__call__"),
        call(ENTRY_POINT, instance="text"),
        call("run", instance={"a": 1}),
    ],
)
def test_no_other_function_is_run(redis: Redis, data: str) -> None:
    forge(redis, "forged", data)
    job = StepJob.fetch("forged", connection=redis, serializer=JSONSerializer)
    with pytest.raises(PermissionError, match="refused"):
        _ = job.func


class Bomb:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.trace),)


def test_nothing_forged_is_run_called_or_unpickled(
    redis: Redis, redis_url: str, ledger: Ledger, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    good = call(ENTRY_POINT, "fetch", "job_9", 1)
    forge(redis, "function", call("os.mkdir", str(trace)))
    forge(redis, "instance", call("mkdir", instance=str(trace)))
    forge(redis, "pickle", pickle.dumps((ENTRY_POINT, None, (Bomb(trace),), {})))
    forge(redis, "squeezed", zlib.compress(pickle.dumps((ENTRY_POINT, None, (Bomb(trace),), {}))))
    forge(redis, "meta", good, meta=pickle.dumps(Bomb(trace)), result=pickle.dumps(Bomb(trace)))
    forge(redis, "success", good, success_callback_name="builtins.print")
    forge(redis, "failure", call("os.mkdir"), failure_callback_name="builtins.print")
    forge(redis, "again", call("os.mkdir"), retries_left="5")
    due(ledger, "job_1")
    printed = run(redis_url, "burst")
    assert not trace.exists()
    assert "StepJob" not in printed
    assert texts(redis, "claimed") == ["job_1#1"]
    assert texts(redis, "ran") == ["job_9#1", "job_9#1", "job_1#1"]
    assert redis.llen(QUEUE) == redis.llen(INTERMEDIATE) == 0
    assert redis.zcard(f"rq:failed:{UPSTREAM}") == 6


MALFORMED = [
    {"timeout": "soon"},
    {"timeout": ""},
    {"timeout": "-1"},
    {"timeout": "9" * 30},
    {"status": "bogus"},
    {"created_at": "yesterday"},
    {"started_at": b"\xff\xfe"},
    {"origin": b"\xff\xfe"},
    {"description": b"\xff\xfe"},
    {"result_ttl": "x"},
    {"worker_name": b"\xff"},
    {"data": ""},
    {"data": "[1, 2]"},
    {"data": b"\x80\x04\xff"},
    {"data": "[" * 50_000},
    {"data": call(ENTRY_POINT)},
    {"data": call(ENTRY_POINT, 1, None, "x")},
    {"data": call(ENTRY_POINT, "fetch", "../..", 1)},
]


def test_a_job_that_cannot_be_read_counts_as_gone(redis: Redis) -> None:
    for fields in MALFORMED[:11]:
        forge(redis, "spoilt", call(ENTRY_POINT), **fields)
        with pytest.raises(NoSuchJobError):
            StepJob.fetch("spoilt", connection=redis, serializer=JSONSerializer)
    redis.set("rq:job:text", "no hash")
    with pytest.raises(NoSuchJobError):
        StepJob.fetch("text", connection=redis, serializer=JSONSerializer)


def test_no_malformed_job_ends_a_worker_or_the_next_one(redis: Redis, redis_url: str, ledger: Ledger) -> None:
    for n, fields in enumerate(MALFORMED):
        forge(redis, f"spoilt-{n}", **{"data": call(ENTRY_POINT, "fetch", "job_9", 1), **fields})
    redis.rpush(QUEUE, "nowhere", "a:b", "no good id", "")
    redis.hset("rq:job:half", "status", "queued")
    redis.set("rq:job:text", "no hash")
    redis.rpush(QUEUE, "half", "text")
    # What a dead worker left: the cleaning at the start of the next one meets it.
    for key in (INTERMEDIATE, f"rq:queue:{UPSTREAM}:intermediate"):
        redis.rpush(key, "spoilt-0", "half", "text", b"\xff\xfe")
    redis.zadd(f"rq:wip:{UPSTREAM}", {"spoilt-1:x": 1, "half:y": 1, "nonsense": 1, b"\xff": 1})
    due(ledger, "job_1")
    run(redis_url, "burst")
    assert texts(redis, "claimed") == ["job_1#1"]
    # The lock of the cleaning is held for a quarter of an hour by a worker that did not get to its end.
    redis.delete(*redis.keys("rq:clean_registries:*") or ["none"])
    due(ledger, "job_2")
    run(redis_url, "burst")
    assert texts(redis, "claimed") == ["job_1#1", "job_2#1"]


def test_an_id_that_is_no_text_costs_one_worker_at_most(redis: Redis, redis_url: str, ledger: Ledger) -> None:
    redis.rpush(QUEUE, b"\xff\xfe")
    due(ledger, "job_1")
    run(redis_url, "burst", 2)
    assert texts(redis, "claimed") == ["job_1#1"]


# Stopping


def test_the_place_where_a_stop_is_honoured_lies_between_two_jobs() -> None:
    turn = inspect.getsource(BaseWorker.dequeue_job_and_maintain_ttl)
    assert turn.count("self.should_run_maintenance_tasks") == 1
    assert turn.index("self.should_run_maintenance_tasks") < turn.index("dequeue_any(")
    loop = inspect.getsource(BaseWorker.work)
    places = [
        loop.index(text) for text in ("self.should_run_maintenance_tasks", "self.dequeue_job", "self.execute_job")
    ]
    assert places == sorted(places)
    assert "except StopRequested:\n                    break" in loop
    others = inspect.getsource(BaseWorker).replace(turn, "").replace(loop, "")
    assert others.count("should_run_maintenance_tasks") == 1  # its definition


def test_every_loop_of_a_worker_passes_the_heartbeat() -> None:
    turn = inspect.getsource(BaseWorker.dequeue_job_and_maintain_ttl)
    assert "while True:\n            try:\n                self.heartbeat()\n" in turn
    assert "self.heartbeat(worker_ttl, pipeline=pipeline)" in inspect.getsource(BaseWorker.maintain_heartbeats)
    assert "self.maintain_heartbeats(job, execution)" in inspect.getsource(Worker.monitor_work_horse)
    assert "is_suspended(self.connection, self)" in inspect.getsource(BaseWorker.check_for_suspension)
    assert "worker.heartbeat(pipeline=pipeline)" in inspect.getsource(is_suspended)


def test_the_end_of_a_work_horse_is_told_before_rq_writes_about_it() -> None:
    watch = inspect.getsource(Worker.monitor_work_horse)
    assert watch.index("self.handle_work_horse_killed(job, retpid, ret_val") < watch.rindex("self.handle_job_failure(")
    assert "self.main_work_horse(job, queue)" in inspect.getsource(Worker.fork_work_horse)
    assert "self.death_penalty_class(timeout, JobTimeoutException" in inspect.getsource(BaseWorker.perform_job)


def test_no_nudge_is_lost_by_stopping_workers(redis: Redis, redis_url: str, ledger: Ledger) -> None:
    for n in range(800):
        ledger.link("", f"job_{n}", first_ms=0, by="watch")
    over = threading.Event()

    def stream() -> None:
        while not over.wait(0.02):
            ledger.dispatch(UPSTREAM, most=40)

    ledger.dispatch(UPSTREAM, most=40)
    source = threading.Thread(target=stream)
    source.start()
    try:
        run(redis_url, "restart", 12)
    finally:
        over.set()
        source.join()
    ran, waiting = texts(redis, "ran"), texts(redis, QUEUE)
    pushed = {name.decode().removeprefix("rq:job:") for name in redis.keys("rq:job:*")}
    assert len(ran) >= 3  # each worker is stopped at any moment; most have done something by then
    assert len(set(ran)) == len(ran)
    assert texts(redis, INTERMEDIATE) == []
    assert pushed == set(waiting)
    run_ids = {f"fetch-{entry.replace('#', '-')}" for entry in ran}
    dispatched = {nudge.decode() for n in range(800) if (nudge := redis.hget(f"sr:job:job_{n}", "nudge")) is not None}
    assert dispatched - run_ids - set(waiting) == set()


def test_an_idle_worker_stops_soon(redis: Redis, redis_url: str, eventually) -> None:
    with worker(redis_url) as process:
        eventually(lambda: redis.scard("rq:workers"))
        eventually(lambda: any(redis.hget(key, "state") == b"idle" for key in redis.smembers("rq:workers")))
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=8) == 0
    assert redis.scard("rq:workers") == 0


# Dying


def test_a_killed_work_horse_does_not_take_its_worker_along(
    redis: Redis, redis_url: str, ledger: Ledger, eventually
) -> None:
    due(ledger, "hang")
    with worker(redis_url) as process:
        horse = int(eventually(lambda: redis.get("horse")))
        assert horse != process.pid
        os.kill(horse, signal.SIGKILL)
        due(ledger, "job_1")
        eventually(lambda: "job_1#1" in texts(redis, "claimed"))
        assert process.poll() is None
        # The lease of the dead attempt runs out.
        redis.zadd("sr:due:reconcile", {"hang": 0})
        found = ledger.dispatch(UPSTREAM, most=1)
        assert (found.nudged, found.silent) == (1, 1)
        eventually(lambda: "hang#2" in texts(redis, "claimed"))
        assert process.poll() is None
    assert redis.hget(f"sr:job:{JobSubject('hang')}", "crashes") is None


def test_two_workers_do_not_run_one_attempt_twice(redis: Redis, redis_url: str, ledger: Ledger, eventually) -> None:
    jobs = [f"open-{n}" for n in range(20)]
    due(ledger, *jobs)
    # Each nudge twice, as a second hash of another name and the same content.
    for n, name in enumerate(texts(redis, QUEUE)):
        redis.copy(f"rq:job:{name}", f"rq:job:twin-{n}")
        redis.linsert(QUEUE, "AFTER", name, f"twin-{n}")
    with worker(redis_url), worker(redis_url):
        eventually(lambda: redis.llen("ran") == 40, timeout=30)
        eventually(lambda: redis.llen(INTERMEDIATE) == 0)
    claimed = texts(redis, "claimed")
    assert len(claimed) == len(set(claimed))
    assert {entry.split("#")[0] for entry in claimed} == set(jobs)
