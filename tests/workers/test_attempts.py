"""One attempt of a step, against a real ledger: whatever the step says or raises is written as it should be."""

import os
import signal
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from redis import Redis

from workers.attempts import STEPS, Attempts, Patience, StepTimeout
from workers.budget import NoSlot
from workers.destinations import Destinations
from workers.downloads import Downloads
from workers.errors import (
    Conflict,
    CredentialsRefused,
    DownloadFailed,
    InvalidInput,
    LedgerUnavailable,
    NotFound,
    RateLimited,
    StoreFull,
    StoreUnavailable,
    TargetRefused,
    TooLarge,
    UnreadableAnswer,
    UpstreamRefused,
    UpstreamUnavailable,
)
from workers.guarded import guarded_client
from workers.identifiers import JobSubject, RefSubject, Subject
from workers.leases import Leases
from workers.ledger import Ledger
from workers.memory import Memory
from workers.outcomes import Done, Failed, Outcome, Retry, Wait
from workers.records import Record
from workers.steps import Tools
from workers.window import CREDENTIALS_PAUSE_S
from workers.work import CRASH_PAUSE_S, DEADLY_CRASHES, FULL_PAUSE_S, LEASE_S

JOB = JobSubject("job_1")
Step = Callable[[Any, Record], Outcome]


class Bench:
    """A job whose fetch is whatever a test says, tried three times at most; waits are 4, 8, 16 s without their luck."""

    def __init__(self, redis: Redis, tools: Tools) -> None:
        self.redis = redis
        self.ledger = tools.ledger
        self._tools = tools
        self._patience = Patience(max_attempts=3, base_s=4.0, cap_s=60.0, chance=lambda: 0.5)

    def run(self, step: Step) -> None:
        """Make the job due, and let its next attempt run ``step``."""
        if not self.ledger.exists(JOB):
            self.ledger.accept(ref="", job_id=str(JOB), receipt="rc", digest="d", meta={}, body=b"{}")
        else:
            self.redis.zadd("sr:due:fetch", {str(JOB): 0})
            self.ledger.dispatch("upstream", most=1)
        self.redis.delete("rq:queue:upstream")  # else the clock waits for the nudge that waits there
        self.attempts(step).run("fetch", JOB, int(self.field("attempt")))

    def attempts(self, step: Step) -> Attempts:
        return Attempts(self._tools, self._patience, now=lambda: 0.0, steps={**STEPS, "fetch": step})

    def field(self, name: str) -> str:
        return (self.redis.hget(f"sr:job:{JOB}", name) or b"").decode()

    def due_in(self) -> float:
        """Tell in how many seconds the job is due; -1 if it never is."""
        at = self.redis.zscore("sr:due:fetch", str(JOB))
        seconds, micros = self.redis.time()
        return -1 if at is None else at / 1000 - seconds - micros / 1e6


@pytest.fixture
def bench(station: Any, redis: Redis) -> Bench:
    services = station.services
    tools = Tools(
        ledger=services.ledger,
        upstreams=services.upstreams,
        artifacts=services.artifacts,
        memory=Memory(redis),
        downloads=Downloads(guarded_client(trusted=()), max_bytes=1, deadline_s=1.0),
        destinations=Destinations(
            guarded_client(trusted=()), urls={}, secrets={}, handler=None, timeout_s=1.0, now=float, clock=float
        ),
        delivery_first_s=5.0,
        delivery_patience_s=60.0,
        chance=lambda: 0.5,
        keep_videos=True,
        retry_when_unsure=True,
        reconcile_after_s=600.0,
        give_up_after_s=86_400.0,
        webhook_url=str,
    )
    return Bench(redis, tools)


def raising(error: BaseException) -> Step:
    def step(_tools: Any, _record: Record) -> Outcome:
        raise error

    return step


def saying(outcome: Outcome) -> Step:
    return lambda _tools, _record: outcome


TEMPORARY = [
    UpstreamUnavailable("no answer", sent=True),
    UnreadableAnswer("no answer"),
    DownloadFailed("no answer"),
    StoreUnavailable("no answer"),
]
PERMANENT = [
    UpstreamRefused("no way", status=404, kind="not-found"),
    InvalidInput("no way"),
    TooLarge("no way"),
    TargetRefused("no way"),
    NotFound("no way"),
    Conflict("no way"),
]


def name_of(error: Exception) -> str:
    return type(error).__name__


@pytest.mark.parametrize("error", TEMPORARY, ids=name_of)
def test_what_may_pass_is_tried_again_and_parked_in_the_end(bench: Bench, error: Exception) -> None:
    for tries, wait in ((1, 2.0), (2, 4.0)):
        bench.run(raising(error))
        assert (bench.field("state"), bench.field("tries")) == ("fetching", str(tries))
        assert wait - 1 < bench.due_in() <= wait
    bench.run(raising(error))
    assert bench.field("state") == "parked"
    assert bench.field("reason") == "fetch failed 3 times, last because: no answer"
    assert bench.due_in() == -1


def test_a_full_disk_costs_no_try(bench: Bench) -> None:
    for _ in range(4):
        bench.run(raising(StoreFull("no room")))
        assert (bench.field("state"), bench.field("tries") or "0") == ("fetching", "0")
        assert FULL_PAUSE_S - 1 < bench.due_in() <= FULL_PAUSE_S


def test_a_retry_remembers_what_it_is_told_to(bench: Bench) -> None:
    bench.run(saying(Retry("not yet", fields={"seen": 7})))
    assert (bench.field("seen"), bench.field("tries")) == ("7", "1")


@pytest.mark.parametrize("error", PERMANENT, ids=name_of)
def test_what_ends_the_same_way_each_time_is_parked_at_once(bench: Bench, error: Exception) -> None:
    bench.run(raising(error))
    assert (bench.field("state"), bench.field("reason")) == ("parked", "no way")
    assert bench.due_in() == -1


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        (CredentialsRefused("mend the key"), CREDENTIALS_PAUSE_S),
        (RateLimited("slow down", retry_after=9.0), 9.0),
        (RateLimited("slow down"), 1.0),
        (RateLimited("slow down", retry_after=0.1), 1.0),
    ],
)
def test_what_is_nobodys_fault_spends_no_attempt(bench: Bench, error: Exception, wait: float) -> None:
    for _ in range(5):
        bench.run(raising(error))
        assert (bench.field("state"), bench.field("tries")) == ("fetching", "0")
        assert wait - 1 < bench.due_in() <= wait


def test_who_gets_no_slot_keeps_its_place_in_the_line(bench: Bench) -> None:
    for _ in range(5):
        bench.run(raising(NoSlot(7.0)))
        assert (bench.field("state"), bench.field("tries")) == ("fetching", "0")
        before = bench.due_in()
        assert before <= 0  # since it is due, whatever was tried
    bench.run(raising(CredentialsRefused("mend the key")))
    assert bench.due_in() > 0


def test_a_refused_key_is_said_loudly(bench: Bench) -> None:
    def step(tools: Any, _record: Record) -> Outcome:
        with tools.upstreams.of("").budget.slot("fetch", str(JOB)):
            raise CredentialsRefused("mend the key")

    with structlog.testing.capture_logs() as logs:
        bench.run(step)
    assert [entry["log_level"] for entry in logs if entry["event"] == "swiftia.credentials"] == ["error"]


def test_the_time_the_other_side_asked_for_comes_on_top(bench: Bench) -> None:
    bench.run(raising(UpstreamUnavailable("busy", sent=False, retry_after=100.0)))
    assert 101 < bench.due_in() <= 102


@pytest.mark.parametrize(
    "error",
    [ValueError("secret body"), KeyError("x"), RecursionError(), UnicodeDecodeError("u", b"", 0, 1, "")],
)
def test_a_fault_of_ours_is_tried_again_logged_and_parked(bench: Bench, error: Exception) -> None:
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            bench.run(raising(error))
    assert bench.field("state") == "parked"
    assert type(error).__name__ in bench.field("reason")
    assert "fault of the receiver" in bench.field("reason")
    assert "secret body" not in bench.field("reason")
    assert [entry["exc_info"] for entry in logs if entry["event"] == "step.crashed"] == [error] * 3


@pytest.mark.parametrize(
    ("error", "reason"), [(StepTimeout(180), "ran for more than 180 s"), (MemoryError(), "ran out of memory")]
)
def test_what_would_take_a_worker_down_counts_as_a_crash(bench: Bench, error: BaseException, reason: str) -> None:
    for crashes in range(1, DEADLY_CRASHES):
        bench.run(raising(error))
        assert (bench.field("crashes"), bench.field("tries"), bench.field("begun")) == (str(crashes), "0", "")
        assert CRASH_PAUSE_S * crashes - 1 < bench.due_in() <= CRASH_PAUSE_S * crashes
    bench.run(raising(error))
    assert bench.field("state") == "parked"
    assert bench.field("reason").endswith(f"last because: {reason}")


def test_a_step_cannot_take_its_end_for_a_fault_of_its_own(bench: Bench) -> None:
    def step(tools: Any, record: Record) -> Outcome:
        try:
            return raising(StepTimeout(180))(tools, record)
        except Exception:  # noqa: BLE001 - what this is about
            return Failed("a fault of its own")

    bench.run(step)
    assert bench.field("crashes") == "1"


def test_memory_is_free_again_when_its_lack_is_written(bench: Bench) -> None:
    held: list[weakref.ref[Any]] = []

    class Much:
        pass

    def step(_tools: Any, _record: Record) -> Outcome:
        much = Much()
        held.append(weakref.ref(much))
        raise MemoryError

    seen: list[object] = []

    def look(_logger: object, _name: str, event: Any) -> Any:
        seen.append(held[0]())
        return event

    with structlog.testing.capture_logs(processors=[look]) as logs:
        bench.run(step)
    assert [entry["event"] for entry in logs] == ["step.lost"]
    assert seen == [None]


def test_an_unreachable_ledger_leaves_the_lease_to_run_out(bench: Bench) -> None:
    with pytest.raises(LedgerUnavailable):
        bench.run(raising(LedgerUnavailable("gone")))
    assert bench.field("state") == "fetching"
    assert bench.field("begun") == bench.field("attempt")
    assert LEASE_S - 1 < bench.due_in() <= LEASE_S
    bench.run(saying(Failed("seen")))
    assert bench.field("state") == "parked"


@pytest.mark.parametrize("stop", [SystemExit, KeyboardInterrupt])
def test_a_stopped_process_leaves_the_lease_too(bench: Bench, stop: type[BaseException]) -> None:
    def step(_tools: Any, _record: Record) -> Outcome:
        raise stop

    with pytest.raises(stop):
        bench.run(step)
    assert bench.field("begun") == bench.field("attempt")
    assert LEASE_S - 1 < bench.due_in() <= LEASE_S


def test_each_outcome_is_written(bench: Bench) -> None:
    bench.run(saying(Wait(5.0, fields={"title": "A film", "cost": None})))
    assert (bench.field("title"), bench.field("cost"), bench.field("tries")) == ("A film", "", "0")
    assert 4 < bench.due_in() <= 5
    bench.run(saying(Retry("later", at_least=10.0)))
    assert 11 < bench.due_in() <= 12
    bench.run(saying(Failed("look at it")))
    assert (bench.field("state"), bench.field("reason")) == ("parked", "look at it")


def test_done_writes_nothing_more(bench: Bench) -> None:
    def step(tools: Any, record: Record) -> Outcome:
        tools.ledger.move(record, "failed", fields={"reason": "it says so"})
        return Done()

    bench.run(step)
    assert (bench.field("state"), bench.field("reason")) == ("failed", "it says so")


def test_a_nudge_that_is_stale_or_made_up_does_nothing(bench: Bench) -> None:
    ran: list[int] = []

    def step(_tools: Any, record: Record) -> Outcome:
        ran.append(record.attempt)
        return Wait(60.0)

    bench.run(step)
    attempts = bench.attempts(step)
    for name, subject, attempt in (
        ("fetch", JOB, 0),
        ("fetch", JOB, 2),
        ("render", JOB, 1),
        ("nonsense", JOB, 1),
        ("fetch", JobSubject("nobodys"), 1),
        ("submit", RefSubject("r" * 22), 1),
    ):
        attempts.run(name, subject, attempt)
    assert ran == [1]


def test_one_attempt_in_many_threads_runs_once(bench: Bench) -> None:
    bench.ledger.accept(ref="", job_id=str(JOB), receipt="rc", digest="d", meta={}, body=b"{}")
    ran: list[int] = []
    ready = threading.Barrier(8)

    def step(_tools: Any, record: Record) -> Outcome:
        ran.append(record.attempt)
        return Failed("seen")

    def worker() -> None:
        ready.wait()
        bench.attempts(step).run("fetch", JOB, 1)

    threads = [threading.Thread(target=worker) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ran == [1]


# The lease


def claimed(bench: Bench) -> Record:
    bench.ledger.accept(ref="", job_id=str(JOB), receipt="rc", digest="d", meta={}, body=b"{}")
    record = bench.ledger.begin(JOB, "fetch", 1)
    assert record is not None
    return record


class Renewing:
    """``count``: how often a lease was asked for."""

    def __init__(self, ledger: Ledger) -> None:
        self.count = 0
        self._ledger = ledger
        self.leases = Leases(self._renew, every_s=0.01)

    def _renew(self, subject: Subject, attempt: int) -> bool:
        self.count += 1
        return self._ledger.renew(subject, attempt)

    def is_over(self) -> bool:
        """Whether nobody asks any more."""
        before = self.count
        time.sleep(0.1)  # ten times as long as from one to the next
        return self.count == before

    @staticmethod
    def threads() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name == "leases"]


@pytest.fixture
def renewing(bench: Bench) -> Renewing:
    return Renewing(bench.ledger)


def test_a_running_step_renews_its_lease(bench: Bench, renewing: Renewing, eventually: Any) -> None:
    record = claimed(bench)
    with renewing.leases.kept(record.subject, record.attempt):
        for _ in range(3):
            bench.redis.zadd("sr:due:fetch", {str(JOB): 0})
            eventually(lambda: bench.due_in() > LEASE_S - 1)


def test_several_steps_are_renewed_by_one_thread(bench: Bench, renewing: Renewing, eventually: Any) -> None:
    record = claimed(bench)
    before = renewing.threads()
    with renewing.leases.kept(record.subject, record.attempt):
        with renewing.leases.kept(JobSubject("job_other"), 1):
            assert len(set(renewing.threads()) - set(before)) == 1
        bench.redis.zadd("sr:due:fetch", {str(JOB): 0})
        eventually(lambda: bench.due_in() > LEASE_S - 1)


def test_a_lease_that_another_attempt_took_over_is_let_go(bench: Bench, renewing: Renewing, eventually: Any) -> None:
    record = claimed(bench)
    with renewing.leases.kept(record.subject, record.attempt):
        bench.redis.hincrby(f"sr:job:{JOB}", "attempt", 1)
        eventually(renewing.is_over)


@pytest.mark.parametrize("error", [ZeroDivisionError(), StepTimeout(180)])
def test_it_is_let_go_when_the_step_ends_badly(
    bench: Bench, renewing: Renewing, eventually: Any, error: BaseException
) -> None:
    record = claimed(bench)
    with pytest.raises(type(error)), renewing.leases.kept(record.subject, record.attempt):
        raise error
    eventually(renewing.is_over)


def test_another_step_can_be_kept_after_the_thread_has_ended(bench: Bench, renewing: Renewing, eventually: Any) -> None:
    record = claimed(bench)
    for _ in range(2):
        with renewing.leases.kept(record.subject, record.attempt):
            bench.redis.zadd("sr:due:fetch", {str(JOB): 0})
            eventually(lambda: bench.due_in() > LEASE_S - 1)
        eventually(renewing.is_over)


def test_a_fork_renews_what_it_has_in_hand(bench: Bench, renewing: Renewing, eventually: Any) -> None:
    record = claimed(bench)
    with renewing.leases.kept(JobSubject("job_other"), 1):
        if (child := os.fork()) == 0:
            with renewing.leases.kept(record.subject, record.attempt):
                time.sleep(60)  # until it is killed
            os._exit(0)
    try:
        bench.redis.zadd("sr:due:fetch", {str(JOB): 0})
        eventually(lambda: bench.due_in() > LEASE_S - 1)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_it_outlives_a_ledger_that_is_away(bench: Bench, renewing: Renewing, eventually: Any) -> None:
    record = claimed(bench)
    with renewing.leases.kept(record.subject, record.attempt):
        # A key of another kind makes the script fail, as an outage does.
        bench.redis.rename("sr:due:fetch", "aside")
        bench.redis.set("sr:due:fetch", "no sorted set")
        tried = renewing.count
        eventually(lambda: renewing.count > tried + 2)
        bench.redis.rename("aside", "sr:due:fetch")
        bench.redis.zadd("sr:due:fetch", {str(JOB): 0})
        eventually(lambda: bench.due_in() > LEASE_S - 1)
