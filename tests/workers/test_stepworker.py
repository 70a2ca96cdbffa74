"""Steps that take their work-horse down, hang, or are cut off by a stop: real workers, a real Valkey."""

import contextlib
import doctest
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis import Redis

from workers import horse
from workers.identifiers import JobSubject
from workers.ledger import Ledger
from workers.notify import Listener
from workers.valkey import EmbeddedValkey
from workers.work import CRASH_PAUSE_S, UPSTREAM

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
JOB = JobSubject("job_1")
KEY = f"sr:job:{JOB}"
# A worker whose one step does what its name says. It notes each begin, with its process id.
PROGRAM = """
import ctypes, json, os, signal, sys, threading, time
from pathlib import Path
import structlog
from workers import jobs
from workers.attempts import Attempts, Patience
from workers.connections import web_redis, worker_redis
from workers.ledger import Ledger
from workers.notify import Notifier
from workers.outcomes import Wait
from workers.pulse import Laps, keep_telling
from workers.steps import Tools
from workers.work import UPSTREAM
from workers.worker import step_worker, work

url, deed, given = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
grace_s, cgroup = given.pop("grace_s", 30), given.pop("cgroup", "")
laps = Laps()
keep_telling(Notifier(given.pop("notify", None)), laps.any_new, patience_s=given.pop("loop_patience_s", 150))
structlog.configure(processors=[structlog.processors.JSONRenderer()])
redis = web_redis(url) if given.pop("impatient", False) else worker_redis(url)
ledger = Ledger(redis)

def no_memory():
    raise MemoryError

def eat_memory():
    Path(cgroup, "cgroup.procs").write_text(str(os.getpid()))
    eaten = []
    while True:
        eaten.append(bytearray(os.urandom(1 << 20)))

def deaf():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    time.sleep(600)

def stubborn():
    for _ in range(600):
        try:
            time.sleep(1)
        except Exception:
            pass

DEEDS = {
    "segfault": lambda: ctypes.string_at(0),
    "abort": os.abort,
    "sigkill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda: os._exit(7),
    "no memory": no_memory,
    "eats memory": eat_memory,
    "stopped": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "holds the interpreter": lambda: ctypes.PyDLL(None).sleep(600),
    "deaf": deaf,
    "stubborn": stubborn,
    "long": lambda: time.sleep(600),
    "short": lambda: time.sleep(1.5),
    "waits": lambda: time.sleep(6),
}

def step(tools, record):
    redis.rpush("began", f"{record.attempt} {os.getpid()}")
    DEEDS[deed]()
    redis.rpush("ended", record.attempt)
    return Wait(3600)

others = dict.fromkeys(Tools.__dataclass_fields__)
attempts = Attempts(Tools(**{**others, "ledger": ledger}), Patience(9, 1, 1, lambda: 0.5), now=time.monotonic,
                    steps={"fetch": step})
class LastWords:
    how = given.pop("last_words", "")
    ledger = Ledger(web_redis(url))

    def lost(self, *args, **words):
        if self.how == "hang in the main thread" and threading.current_thread() is threading.main_thread():
            time.sleep(600)
        if self.how == "fail at first":
            self.how = ""
            raise OSError("at first")
        return self.ledger.lost(*args, **words)

    def given(self, *args):
        return self.ledger.given(*args)

    def put_down(self, *args):
        self.ledger.put_down(*args)

jobs.bind(attempts)
last_words = LastWords()
work(step_worker(redis, UPSTREAM, last_words=last_words, laps=laps, **given), grace_s)
"""


@dataclass
class Case:
    """One job, due now, and a worker for it. ``process`` is the worker that was started last."""

    redis: Redis
    ledger: Ledger
    url: str
    folder: Path
    deed: str
    options: dict[str, object]
    process: subprocess.Popen[bytes] | None = None

    def dispatch(self, *, timeout_s: int = 0) -> None:
        """Start the next attempt now, whenever it is due, and as if a clock had passed all the time."""
        self.redis.delete("sr:clock")
        self.redis.zadd("sr:due:reconcile" if not self.attempt() else f"sr:due:{self.field('class')}", {str(JOB): 0})
        assert self.ledger.dispatch(UPSTREAM, most=1).nudged == 1
        if timeout_s:
            self.redis.hset(f"rq:job:{self.field('nudge')}", "timeout", timeout_s)

    def start(self) -> None:
        command = [sys.executable, "-c", PROGRAM, self.url, self.deed, json.dumps(self.options)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, process_group=0)  # noqa: S603

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            for pid in [self.process.pid, *self.horses()]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()

    def field(self, name: str) -> str:
        return (self.redis.hget(KEY, name) or b"").decode()

    def attempt(self) -> int:
        return int(self.field("attempt") or 0)

    def begun(self) -> list[int]:
        return [int(entry.split()[0]) for entry in self.redis.lrange("began", 0, -1)]

    def horses(self) -> list[int]:
        return [int(entry.split()[1]) for entry in self.redis.lrange("began", 0, -1)]

    def events(self, name: str) -> list[dict[str, object]]:
        entries = map(json.loads, self.redis.lrange(f"sr:timeline:{JOB}", 0, -1))
        return [entry for entry in entries if entry["event"] == name]

    def log(self) -> list[dict[str, object]]:
        *lines, _ = (self.folder / "log").read_text().split("\n")
        return [json.loads(line) for line in lines if line.startswith("{")]


@pytest.fixture
def case(redis: Redis, redis_url: str, tmp_path: Path) -> Iterator[Callable[..., Case]]:
    made: list[Case] = []

    def make(deed: str, *, url: str = redis_url, client: Redis = redis, **options: object) -> Case:
        ledger = Ledger(client)
        ledger.link("", str(JOB), first_ms=0, by="watch")
        made.append(Case(client, ledger, url, tmp_path, deed, {"monitoring_s": 1, **options}))
        return made[-1]

    yield make
    for one in made:
        one.end()


def alive(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def test_the_examples_of_the_module_hold():
    assert doctest.testmod(horse).failed == 0


# Taking the work-horse down

BY_KERNEL = "killed by SIGKILL, as the kernel does when memory runs out"


def parked_by_three_crashes(case: Case, eventually) -> None:
    """Let three attempts crash, each told at once and none by its lease."""
    for number in (1, 2, 3):
        case.dispatch()
        if case.process is None:
            case.start()
        eventually(lambda number=number: case.begun() == list(range(1, number + 1)), timeout=20)
        eventually(lambda number=number: len(case.events("crashed")) == number, timeout=15)
    assert case.field("state") == "parked"
    assert [entry["crashes"] for entry in case.events("crashed")] == [1, 2, 3]
    assert case.events("silent") == []
    eventually(lambda: not any(alive(pid) for pid in case.horses()))
    assert case.process is not None
    assert case.process.poll() is None, "the worker lives on"


@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        ("segfault", "killed by SIGSEGV"),
        ("abort", "killed by SIGABRT"),
        ("sigkill", BY_KERNEL),
        ("exit", "ended with exit code 7"),
        ("no memory", "ran out of memory"),
    ],
)
def test_a_step_that_takes_its_horse_down_is_told_at_once_and_parked_after_three(case, eventually, deed, reason):
    crashing = case(deed)
    parked_by_three_crashes(crashing, eventually)
    assert crashing.field("reason") == f"its worker died 3 times in a row, last because: {reason}"
    assert {entry["reason"] for entry in crashing.events("crashed")} == {reason}


@pytest.mark.parametrize("deed", ["stopped", "holds the interpreter"])
def test_a_horse_that_hangs_as_a_whole_is_ended_by_its_worker(case, eventually, deed, record_property):
    hanging = case(deed, horse_patience_s=2)
    hanging.dispatch()
    hanging.start()
    (pid,) = eventually(hanging.horses, timeout=20)
    hung = time.monotonic()
    (crash,) = eventually(lambda: hanging.events("crashed"), timeout=15)
    record_property("told", f"{time.monotonic() - hung:.2f} s after it hung; it may be silent for 2 s")
    assert crash["reason"] == "silent for 2 s"
    assert not alive(pid)
    assert hanging.process.poll() is None


def test_a_step_that_takes_too_long_is_ended_and_parked_after_three(case, eventually):
    slow = case("long")
    for number in (1, 2, 3):
        slow.dispatch(timeout_s=1)
        slow.start()
        eventually(lambda number=number: len(slow.events("crashed")) == number, timeout=15)
        slow.end()
    assert slow.begun() == [1, 2, 3]
    assert slow.field("state") == "parked"
    assert slow.field("reason") == "its worker died 3 times in a row, last because: ran for more than 1 s"


@pytest.mark.parametrize("deed", ["stubborn", "deaf"])
def test_no_step_is_too_stubborn_for_its_time(case, eventually, deed):
    # The one goes on after every exception; the other does not even get one, and is ended from outside.
    slow = case(deed, overtime_s=1)
    slow.dispatch(timeout_s=1)
    slow.start()
    (crash,) = eventually(lambda: slow.events("crashed"), timeout=20)
    assert crash["reason"] == "ran for more than 1 s"
    assert slow.process.poll() is None


@pytest.fixture
def small_memory(tmp_path: Path) -> Iterator[Path]:
    """A control group for memory with 100 MB, where the kernel lets us make one."""
    v2 = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    root = Path("/sys/fs/cgroup") if v2 else Path("/sys/fs/cgroup/memory")
    group = root / f"swiftia-test-{os.getpid()}-{tmp_path.name}"
    try:
        if v2 and "memory" not in (root / "cgroup.subtree_control").read_text().split():
            pytest.skip("control groups of this machine do not share out memory")
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group for memory can be made here: {error}")
    try:
        limits = ["memory.max", "memory.swap.max"] if v2 else ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]
        try:
            (group / limits[0]).write_text("100000000")
            with contextlib.suppress(OSError):  # there is none where nothing is swapped
                (group / limits[1]).write_text("0" if v2 else "100000000")
        except OSError as error:
            pytest.skip(f"memory cannot be limited here: {error}")
        yield group
    finally:
        group.rmdir()


def test_a_step_that_the_kernel_kills_for_its_memory_is_told_at_once(case, eventually, small_memory):
    hungry = case("eats memory", cgroup=str(small_memory))
    parked_by_three_crashes(hungry, eventually)
    assert hungry.field("reason") == f"its worker died 3 times in a row, last because: {BY_KERNEL}"
    counted = small_memory / "memory.oom_control"
    if counted.exists():
        assert "oom_kill 3" in counted.read_text()


def test_the_next_attempt_comes_after_a_pause_and_not_after_the_lease(case, eventually, record_property):
    crashing = case("sigkill")
    crashing.dispatch()
    crashing.start()
    eventually(lambda: crashing.begun() == [1], timeout=20)
    died = time.monotonic()
    eventually(lambda: crashing.events("crashed"))
    record_property("told", f"{time.monotonic() - died:.2f} s after the crash")

    def clock_passes() -> bool:
        crashing.ledger.dispatch(UPSTREAM, most=1)
        return crashing.begun() == [1, 2]

    eventually(clock_passes, timeout=CRASH_PAUSE_S * 2)
    seconds = time.monotonic() - died
    record_property("next attempt", f"{seconds:.2f} s after the crash")
    assert CRASH_PAUSE_S - 0.1 <= seconds < CRASH_PAUSE_S + 3


def test_a_crash_that_cannot_be_told_does_not_end_the_worker(case, eventually):
    crashing = case("sigkill")
    crashing.dispatch()
    # Of another kind than it must be: the script fails, as it does while Redis is away.
    crashing.redis.set(f"sr:timeline:{JOB}", "no list")
    crashing.start()
    eventually(lambda: [entry for entry in crashing.log() if "untold" in entry], timeout=20)
    crashing.redis.delete(f"sr:timeline:{JOB}")
    assert crashing.field("begun") == "1"
    crashing.dispatch()
    eventually(lambda: crashing.begun() == [1, 2])
    eventually(lambda: crashing.events("crashed"))
    assert crashing.process.poll() is None


# Living on


def test_a_horse_that_goes_on_is_left_alone(case, eventually):
    patient = case("waits", horse_patience_s=3)
    patient.dispatch()
    patient.start()
    eventually(lambda: patient.redis.llen("ended"), timeout=30)
    eventually(lambda: not patient.field("begun"))
    assert patient.events("crashed") == []
    assert patient.begun() == [1]


@pytest.mark.parametrize("gone", [False, True])
def test_a_horse_outlives_a_redis_that_is_away_for_longer_than_a_horse_may(tmp_path, case, eventually, gone):
    server = EmbeddedValkey(tmp_path / "valkey")
    server.start()
    try:
        with contextlib.closing(Redis.from_url(server.url)) as client:
            # Where it is gone, the client of the worker gives up at once, as the patient one does after a minute.
            patient = case("waits", url=server.url, client=client, horse_patience_s=3, impatient=gone)
            patient.dispatch()
            patient.start()
            eventually(lambda: patient.begun() == [1], timeout=20)
            took_away = server.stop if gone else lambda: os.kill(server.pid, signal.SIGSTOP)
            took_away()
            began = time.monotonic()
            eventually(lambda: time.monotonic() - began > 4)
            if gone:
                server.start()
            else:
                os.kill(server.pid, signal.SIGCONT)
            eventually(lambda: client.llen("ended"), timeout=30)
            eventually(lambda: not patient.field("begun"), timeout=30)
            assert patient.events("crashed") == []
            assert patient.process.poll() is None
            patient.end()
    finally:
        server.kill()
        server.stop()


def test_a_worker_that_was_stopped_itself_does_not_take_its_absence_for_that_of_the_horse(case, eventually):
    patient = case("waits", horse_patience_s=5)
    patient.dispatch()
    patient.start()
    (pid,) = eventually(patient.horses, timeout=20)
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    eventually(lambda: time.monotonic() - began > 1.2)  # the worker has seen how far it had counted
    os.kill(patient.process.pid, signal.SIGSTOP)
    eventually(lambda: time.monotonic() - began > 8)
    os.kill(patient.process.pid, signal.SIGCONT)
    eventually(lambda: time.monotonic() - began > 8.3)
    os.kill(pid, signal.SIGCONT)
    eventually(lambda: patient.redis.llen("ended"), timeout=30)
    assert patient.events("crashed") == []


def silent_for(listener: Listener, seconds: float) -> bool:
    listener.heard()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.05)
        if listener.heard():
            return False
    return True


@pytest.fixture
def listener() -> Iterator[Listener]:
    with contextlib.closing(Listener()) as made:
        yield made


def test_a_worker_tells_that_it_goes_on_whatever_it_does(case, eventually, listener):
    # An idle one passes every 3 s, one whose horse works with every look at it.
    busy = case("waits", notify=listener.address, loop_patience_s=4)
    busy.start()
    eventually(lambda: busy.redis.scard("rq:workers"), timeout=20)
    assert not any(silent_for(listener, 2) for _ in range(8)), "idle"
    busy.dispatch()
    eventually(lambda: busy.begun() == [1])
    busy.redis.set("rq:suspended", 1)
    while not busy.redis.llen("ended"):
        assert not silent_for(listener, 2), "with a horse"
    eventually(lambda: any(busy.redis.hget(key, "state") == b"suspended" for key in busy.redis.smembers("rq:workers")))
    assert not any(silent_for(listener, 2) for _ in range(8)), "suspended"


def test_a_worker_whose_loop_hangs_falls_silent(case, eventually, listener):
    hanging = case("sigkill", notify=listener.address, loop_patience_s=4, last_words="hang in the main thread")
    hanging.dispatch()
    hanging.start()
    eventually(lambda: hanging.begun() == [1], timeout=20)
    assert not silent_for(listener, 2)
    eventually(lambda: silent_for(listener, 2), timeout=15)
    assert hanging.process.poll() is None


# Stopping


def test_a_stop_waits_for_the_step_within_the_grace(case, eventually):
    short = case("short", grace_s=20)
    short.dispatch()
    short.start()
    eventually(lambda: short.begun() == [1], timeout=20)
    short.process.send_signal(signal.SIGTERM)
    assert short.process.wait(10) == 0
    assert short.redis.lrange("ended", 0, -1) == [b"1"]
    assert short.events("put_back") == []


def test_what_the_grace_cuts_off_is_put_back_and_runs_elsewhere_at_once(case, eventually, record_property):
    long = case("long", grace_s=1)
    long.dispatch()
    long.start()
    (pid,) = eventually(long.horses, timeout=20)
    began = time.monotonic()
    long.process.send_signal(signal.SIGTERM)
    assert long.process.wait(10) == 0
    seconds = time.monotonic() - began
    record_property("stop", f"{seconds:.2f} s, of which 1 s is the grace")
    assert seconds < 9  # and not when its work would have ended by itself
    assert not alive(pid)
    assert [entry["attempt"] for entry in long.events("put_back")] == [1]
    assert long.events("crashed") == []
    assert long.field("crashes") == ""
    assert long.redis.lrange(f"rq:queue:{UPSTREAM}", 0, -1) == [long.field("nudge").encode()]
    assert long.field("nudge").endswith("-2")
    long.start()
    eventually(lambda: long.begun() == [1, 2], timeout=20)


@pytest.mark.parametrize("last_words", ["hang in the main thread", "fail at first"])
def test_whichever_thread_can_still_tell_puts_it_back(case, eventually, last_words):
    long = case("long", grace_s=0.5, last_words=last_words)
    long.dispatch()
    long.start()
    eventually(lambda: long.begun() == [1], timeout=20)
    long.process.send_signal(signal.SIGTERM)
    assert long.process.wait(10) == 0
    assert [entry["attempt"] for entry in long.events("put_back")] == [1]
    assert long.events("crashed") == []


def test_a_second_signal_ends_the_patience(case, eventually):
    long = case("long", grace_s=100)
    long.dispatch()
    long.start()
    eventually(lambda: long.begun() == [1], timeout=20)
    long.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    eventually(lambda: time.monotonic() - began > 1.2)
    assert long.process.poll() is None
    long.process.send_signal(signal.SIGTERM)
    assert long.process.wait(5) == 0
    assert len(long.events("put_back")) == 1


def test_two_signals_at_once_are_one(case, eventually):
    short = case("short", grace_s=20)
    short.dispatch()
    short.start()
    eventually(lambda: short.begun() == [1], timeout=20)
    short.process.send_signal(signal.SIGINT)
    short.process.send_signal(signal.SIGTERM)
    assert short.process.wait(10) == 0
    assert short.redis.lrange("ended", 0, -1) == [b"1"]


def test_a_stop_does_not_wait_for_a_redis_that_hangs(tmp_path, case, eventually, record_property):
    server = EmbeddedValkey(tmp_path / "valkey")
    server.start()
    try:
        with contextlib.closing(Redis.from_url(server.url)) as client:
            long = case("long", url=server.url, client=client, grace_s=1)
            long.dispatch()
            long.start()
            (pid,) = eventually(long.horses, timeout=20)
            os.kill(server.pid, signal.SIGSTOP)
            began = time.monotonic()
            long.process.send_signal(signal.SIGTERM)
            assert long.process.wait(10) == 0
            seconds = time.monotonic() - began
            record_property("stop", f"{seconds:.2f} s, of which 1 s is the grace, while Redis hangs")
            assert seconds < 9
            assert not alive(pid)
            os.kill(server.pid, signal.SIGCONT)
            # Nothing was told, unless the word was still on its way: then the server hears it now.
            assert long.field("attempt") in ("1", "2")
            assert long.field("crashes") == ""
    finally:
        server.kill()
        server.stop()


def test_an_idle_worker_whose_redis_is_gone_leaves_in_time_and_kills_nobody_else(tmp_path, case, eventually):
    server = EmbeddedValkey(tmp_path / "valkey")
    server.start()
    with contextlib.closing(Redis.from_url(server.url)) as client:
        idle = case("long", url=server.url, client=client, grace_s=1)
        idle.start()
        # In the worker's own process group, where RQ's way to kill a horse that is not there would meet it.
        sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
        bystander = subprocess.Popen(sleep, process_group=idle.process.pid)  # noqa: S603 - of this test
        try:
            eventually(lambda: client.scard("rq:workers"), timeout=20)
            server.stop()
            idle.process.send_signal(signal.SIGTERM)
            assert idle.process.wait(5) == 0
            assert bystander.poll() is None
        finally:
            bystander.kill()
            bystander.wait()
