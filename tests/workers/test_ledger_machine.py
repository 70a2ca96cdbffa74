"""The ledger as a state machine: anything may happen in any order, and its invariants hold after every step.

The books are read from the raw keys, so that no reading code can hide what a script left behind.
"""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine
from redis import Redis

from workers import states
from workers.errors import Conflict
from workers.identifiers import JobSubject, RefSubject, RenderSubject, Subject, parse_subject
from workers.ledger import Ledger
from workers.records import Record
from workers.valkey import EmbeddedValkey
from workers.work import (
    CLASS_OF_JOB,
    CLASS_OF_STEP,
    DEADLY_CRASHES,
    LANES,
    LEASE_S,
    QUEUE_CAP,
    STEP_OF_JOB,
    STEP_OF_REF,
    STEP_OF_RENDER,
)

STEPS: Final = 40
EXAMPLES: Final = 60
# Every subject comes to rest within so many passes of the clock, if nothing fails any more.
PASSES: Final = 30
LEASE_MS: Final = round(LEASE_S * 1000)
DAY_MS: Final = 86_400_000

JOBS: Final = ("job_1", "job_2")
REFS: Final = ("a" * 22, "b" * 22)
OWNED: Final = ("timeline", "callbacks", "bodies", "seen")
ONE_OF_A_KIND: Final = {"sr:jobs", "sr:unarchived", "sr:erased", "sr:clock", "sr:probe"}

jobs = st.sampled_from(JOBS)
refs = st.sampled_from(REFS)
maybe_refs = st.sampled_from(["", *REFS])
names = st.tuples(maybe_refs, st.sampled_from(["", *JOBS])).filter(any)
bodies = st.sampled_from([b"", b"{}", b"news"])
waits = st.sampled_from([0.0, 0.001, 1.0, 600.0])
Nudge = tuple[str, str, int]


def _text(value: object) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def _kind(key: str) -> str:
    if key.startswith(("sr:job:", "sr:render:", "sr:ref:", "sr:bodies:", "sr:seen:", "sr:clock")):
        return "hash"
    return "list" if key.startswith(("sr:timeline:", "sr:callbacks:", "sr:unidentified")) else "zset"


def class_of(subject: Subject, state: str) -> str | None:
    """The class in which an unfinished subject waits, said once more without the ledger's help."""
    match subject:
        case JobSubject():
            return CLASS_OF_JOB.get(state) if state in STEP_OF_JOB else None
        case RenderSubject():
            return CLASS_OF_STEP.get(STEP_OF_RENDER.get(state, ""))
        case RefSubject():
            return CLASS_OF_STEP.get(STEP_OF_REF.get(state, ""))


@dataclass
class Books:
    """Everything that stands in Redis under our prefix, read in two round trips."""

    keys: dict[str, Any]
    records: dict[Subject, dict[str, str]] = field(default_factory=dict)
    due: dict[str, list[tuple[str, float]]] = field(default_factory=dict)
    queued: list[int] = field(default_factory=list)

    @classmethod
    def read(cls, redis: Redis) -> "Books":
        names = sorted(key.decode() for key in redis.keys("sr:*"))
        pipe = redis.pipeline(transaction=False)
        for name in names:
            match _kind(name):
                case "hash":
                    pipe.hgetall(name)
                case "list":
                    pipe.lrange(name, 0, -1)
                case "zset":
                    pipe.zrange(name, 0, -1, withscores=True)
        for lane in LANES:
            pipe.llen(f"rq:queue:{lane}")
        values = pipe.execute()
        books = cls(dict(zip(names, values[: len(names)], strict=True)), queued=values[len(names) :])
        books._sort()
        return books

    def _sort(self) -> None:
        for name, value in self.keys.items():
            if name.startswith(("sr:job:", "sr:render:", "sr:ref:")):
                subject = parse_subject(name[3:] if name.startswith("sr:ref:") else name.split(":", 2)[2])
                self.records[subject] = {_text(k): _text(v) for k, v in value.items()}
            if name.startswith("sr:due:"):
                for member, at in value:
                    self.due.setdefault(member.decode(), []).append((name.removeprefix("sr:due:"), at))

    def state(self, subject: Subject) -> str | None:
        return self.records.get(subject, {}).get("state")

    def states(self) -> dict[Subject, str]:
        return {subject: fields["state"] for subject, fields in self.records.items()}

    def members(self, name: str) -> dict[str, float]:
        return {member.decode(): at for member, at in self.keys.get(name, [])}

    def bodies(self, owner: object) -> dict[str, bytes]:
        return {_text(receipt): body for receipt, body in self.keys.get(f"sr:bodies:{owner}", {}).items()}

    def callbacks(self, owner: object) -> list[dict[str, Any]]:
        return [json.loads(entry) for entry in self.keys.get(f"sr:callbacks:{owner}", [])]

    def owned(self, family: str) -> Iterator[str]:
        start = f"sr:{family}:"
        return (name.removeprefix(start) for name in self.keys if name.startswith(start))

    def renders(self, job: str) -> dict[int, str]:
        found = ((s, fields) for s, fields in self.records.items() if isinstance(s, RenderSubject) and s.job_id == job)
        return {subject.n: fields["state"] for subject, fields in found}


def legal(subject: Subject, old: str | None, new: str) -> bool:
    """Whether one script may take a subject from one state to another."""
    if old == new:
        return True
    match subject:
        case JobSubject():
            return new in ({"waiting", "fetching"} if old is None else states.JOB_MOVES[old])
        case RenderSubject():
            return new in ({"planned"} if old is None else states.RENDER_MOVES[old])
        case RefSubject():
            if old is None:
                return new in {"open", "queued", "linked"}
            return new == "linked" or new in states.REF_MOVES.get(old, ())


def check_due(books: Books) -> None:
    """Invariants 1 and 2, and that a record knows where it stands."""
    expected = {}
    for subject, fields in books.records.items():
        name = class_of(subject, fields["state"])
        # A callback URL that was handed out waits for nothing until somebody calls it.
        if name and not (fields["state"] == "open" and not books.callbacks(subject)):
            expected[str(subject)] = [name]
    assert {subject: [name for name, _ in entries] for subject, entries in books.due.items()} == expected
    known = {str(s): [fields["class"]] for s, fields in books.records.items() if "class" in fields}
    assert known == expected


def check_jobs(books: Books) -> None:
    """Invariant 6."""
    for subject, fields in books.records.items():
        if not isinstance(subject, JobSubject):
            continue
        renders = books.renders(subject.job_id)
        assert sorted(renders) == list(range(1, int(fields.get("renders", "0")) + 1))
        unsettled = [n for n, state in renders.items() if state not in states.RENDER_SETTLED]
        assert bool(unsettled) == (fields["state"] == "rendering"), (subject, fields["state"], renders)


def check_indexes(books: Books) -> None:
    shown: dict[str, dict[str, float]] = {}
    for subject, fields in books.records.items():
        state = fields["state"]
        if isinstance(subject, RefSubject):
            state = states.SHOWN_REF.get(state, "")
        if state and not isinstance(subject, RenderSubject):
            shown.setdefault(state, {})[str(subject)] = float(fields["created"])
    found = {name.removeprefix("sr:jobs:"): books.members(name) for name in books.keys if name.startswith("sr:jobs:")}
    assert found == shown
    assert books.members("sr:jobs") == {name: at for members in shown.values() for name, at in members.items()}


def check_keys(books: Books) -> None:
    """No key is left of what is not there, and no body is forgotten in Redis."""
    for name in books.keys:
        start = (":".join(name.split(":")[:2])).removeprefix("sr:")
        assert name in ONE_OF_A_KIND or start in {"jobs", "due", "job", "render", "ref", *OWNED}, name
    for subject, fields in books.records.items():
        match subject:
            case RenderSubject():
                assert JobSubject(subject.job_id) in books.records, subject
            case RefSubject() if fields["state"] == "linked":
                assert JobSubject(fields["job_id"]) in books.records, subject
    for family in OWNED:
        for owner in books.owned(family):
            assert books.state(parse_subject(owner)) not in (None, "linked"), (family, owner)
    unarchived = books.members("sr:unarchived")
    for owner in books.owned("bodies"):
        subject = parse_subject(owner)
        fetched = books.state(subject) in STEP_OF_JOB
        assert isinstance(subject, RefSubject) or fetched or owner in unarchived, f"nobody keeps the bodies of {owner}"
    for owner in unarchived:
        assert JobSubject(owner) in books.records


@dataclass(eq=False)
class Run:
    """A worker that has claimed an attempt and may say how it ended whenever it likes, or never."""

    record: Record
    life: int
    over: bool = False


class LedgerMachine(RuleBasedStateMachine):
    redis: ClassVar[Redis]

    def __init__(self) -> None:
        super().__init__()
        self.redis.flushall()
        self.at = 1_800_000_000_000
        self.ledger = Ledger(self.redis, now_ms=lambda: self.at)
        self.hand: list[Nudge] = []  # nudges that workers took and have not begun, or begin again
        self.runs: list[Run] = []
        self.current: dict[Subject, Run] = {}
        self.claimed: set[tuple[int, Subject, int]] = set()
        self.lives: dict[str, int] = {}
        self.acknowledged: dict[str, bytes] = {}
        self.archived: set[str] = set()
        self.gone: set[str] = set()  # receipts of erased jobs
        self.taken: list[tuple[JobSubject, list[str]]] = []  # bodies on their way to the artifacts
        self.receipts = 0
        self.books = Books.read(self.redis)

    # What is always so

    def look(self) -> None:
        """Read the books after one script and check them."""
        before, self.books = self.books, Books.read(self.redis)
        for subject, state in self.books.states().items():
            old = before.state(subject)
            assert legal(subject, old, state), f"{subject} went from {old} to {state}"
        check_due(self.books)
        check_jobs(self.books)
        check_indexes(self.books)
        check_keys(self.books)
        assert max(self.books.queued) <= QUEUE_CAP
        self.check_callbacks()
        for subject, run in self.current.items():
            run.over = run.over or self.books.records.get(subject, {}).get("attempt") != str(run.record.attempt)

    def check_callbacks(self) -> None:
        bodies, listed = dict[str, bytes](), set[str]()
        for owner in self.books.owned("bodies"):
            bodies |= self.books.bodies(owner)
        for owner in self.books.owned("callbacks"):
            listed |= {entry["receipt"] for entry in self.books.callbacks(owner)}
        for receipt, body in self.acknowledged.items():
            if receipt not in self.gone:
                assert receipt in listed, f"callback {receipt} is not told of"
                assert receipt in self.archived or bodies.get(receipt) == body, f"the body of {receipt} is lost"

    def unchanged(self) -> None:
        """Nothing stands otherwise than at the last look."""
        assert Books.read(self.redis).keys == self.books.keys

    @invariant()
    def books_are_right(self) -> None:
        self.look()

    def owner(self, data: st.DataObject) -> JobSubject | RefSubject:
        return data.draw(st.sampled_from(self.owners() or [JobSubject(JOBS[0])]))

    def owners(self, *among: str) -> list[JobSubject | RefSubject]:
        """Jobs and refs that stand for themselves, in some states or in any."""
        return [
            subject
            for subject, state in self.books.states().items()
            if not isinstance(subject, RenderSubject) and state != "linked" and (not among or state in among)
        ]

    def life(self, subject: Subject) -> int:
        return self.lives.get(str(subject).split("/")[0], 0)

    # Callbacks and names

    @rule(names=names, body=bodies, again=st.booleans())
    def callback(self, names: tuple[str, str], body: bytes, again: bool) -> None:  # noqa: FBT001 - hypothesis passes it by name
        self.call(*names, body, again=again)

    @precondition(lambda self: any(not run.over and run.record.step == "fetch" for run in self.runs))
    @rule(data=st.data(), body=bodies)
    def a_callback_comes_during_its_fetch(self, data: st.DataObject, body: bytes) -> None:
        live = [str(run.record.subject) for run in self.runs if not run.over and run.record.step == "fetch"]
        self.call("", data.draw(st.sampled_from(live)), body, again=False)

    def call(self, ref: str, job: str, body: bytes, *, again: bool) -> None:
        self.receipts += 1
        call = {"ref": ref, "job_id": job, "receipt": f"rc{self.receipts}", "digest": body.hex(), "body": body}
        accepted = self.ledger.accept(**call, meta={"hint": job})
        if accepted.outcome == "new":
            self.acknowledged[accepted.receipt] = body
        self.look()
        if again and accepted.outcome == "new":
            repeated = self.ledger.accept(**call, meta={"hint": job})
            assert (repeated.owner, repeated.receipt) == (accepted.owner, accepted.receipt)
            self.unchanged()

    @rule(ref=refs, form=st.sampled_from(["open", "async", "sync"]))
    def open_ref(self, ref: str, form: str) -> None:
        state = "open" if form == "open" else "queued"
        fields = {"metadata": {"a": 1}} if form == "open" else {"request": {"functionName": "VideoShorts"}}
        due_ms = {"open": None, "async": 0, "sync": LEASE_MS}[form]
        known = RefSubject(ref) in self.books.records
        assert self.ledger.open_ref(ref, state=state, fields=fields, due_ms=due_ms) is not known
        self.look()
        assert not self.ledger.open_ref(ref, state=state, fields=fields, due_ms=due_ms)
        self.unchanged()

    @rule(ref=maybe_refs, job=jobs, first_ms=st.sampled_from([0, 600_000]))
    def link(self, ref: str, job: str, first_ms: int) -> None:
        self.link_to(ref, job, first_ms)

    def link_to(self, ref: str, job: str, first_ms: int) -> None:
        other = self.books.records.get(RefSubject(ref), {}).get("job_id", job)
        if other != job:
            with pytest.raises(Conflict):
                self.ledger.link(ref, job, first_ms=first_ms, by="watch")
            self.unchanged()
            return
        known = JobSubject(job) in self.books.records
        answer = self.ledger.link(ref, job, first_ms=first_ms, by="watch")
        assert answer == ("known" if known else "new")
        self.look()
        self.at += 1
        assert self.ledger.link(ref, job, first_ms=first_ms, by="watch") == "known"
        self.unchanged()

    # The clock, and what becomes of nudges

    @rule(ms=st.sampled_from([1, 1000, LEASE_MS // 2, LEASE_MS + 1, 600_001, DAY_MS, 8 * DAY_MS]))
    def time_passes(self, ms: int) -> None:
        self.at += ms

    @precondition(lambda self: self.books.due)
    @rule(lane=st.sampled_from(LANES), most=st.sampled_from([0, 1, 50, 50]))
    def tick(self, lane: str, most: int) -> None:
        self.pass_of(lane, most)

    def pass_of(self, lane: str, most: int) -> None:
        room = QUEUE_CAP - self.redis.llen(f"rq:queue:{lane}")
        done = self.ledger.dispatch(lane, most=most)
        assert 0 <= done.nudged <= max(0, min(most, room))
        self.look()

    @rule(lane=st.sampled_from(LANES), full=st.booleans())
    def crowd(self, lane: str, full: bool) -> None:  # noqa: FBT001 - hypothesis passes it by name
        """Fill a queue with what others left in it, or take that away."""
        queue = f"rq:queue:{lane}"
        room = QUEUE_CAP - self.redis.llen(queue)
        if full and room > 0:
            self.redis.rpush(queue, *["filler"] * room)
        elif not full:
            self.redis.lrem(queue, 0, "filler")

    def take_nudges(self, lane: str) -> None:
        while (name := self.redis.lpop(f"rq:queue:{lane}")) is not None:
            if name != b"filler":
                step, subject, attempt = json.loads(self.redis.hget(f"rq:job:{name.decode()}", "data"))[2]
                self.hand.append((step, subject, attempt))

    @precondition(lambda self: self.hand or any(self.books.queued))
    @rule(data=st.data(), kept=st.booleans())
    def a_run_begins(self, data: st.DataObject, kept: bool) -> None:  # noqa: FBT001 - hypothesis passes it by name
        """A nudge is begun now, long after it was taken, once more because it was doubled, or never."""
        for lane in LANES:
            self.take_nudges(lane)
        if self.hand:
            nudge = data.draw(st.sampled_from(self.hand))
            if not kept:
                self.hand.remove(nudge)
            self.begin(nudge)

    @precondition(lambda self: any(not run.over for run in self.runs))
    @rule(data=st.data(), times=st.integers(1, DEADLY_CRASHES))
    def a_worker_dies(self, data: st.DataObject, times: int) -> None:
        """A step takes its worker down, and the next one too."""
        subject = data.draw(st.sampled_from([run for run in self.runs if not run.over])).record.subject
        for _ in range(times):
            self.at += LEASE_MS + 1
            for lane in LANES:
                self.pass_of(lane, QUEUE_CAP)
                self.take_nudges(lane)
            for nudge in [nudge for nudge in self.hand if nudge[1] == str(subject)]:
                self.hand.remove(nudge)
                self.begin(nudge)

    def begin(self, nudge: Nudge) -> Run | None:
        subject = parse_subject(nudge[1])
        record = self.ledger.begin(subject, nudge[0], nudge[2])
        if record is None:
            self.unchanged()
            return None
        return self.started(record)

    def started(self, record: Record) -> Run:
        subject = record.subject
        claim = (self.life(subject), subject, record.attempt)
        assert claim not in self.claimed, f"{claim} was claimed twice"
        self.claimed.add(claim)
        assert self.books.state(subject) == record.state
        if subject in self.current:
            self.current[subject].over = True
        run = self.current[subject] = Run(record, self.life(subject))
        self.runs.append(run)
        self.look()
        return run

    @precondition(lambda self: self.books.due)
    @rule(data=st.data(), steps=st.integers(1, 5))
    def things_go_well(self, data: st.DataObject, steps: int) -> None:
        """The next steps of one owner succeed and one more begins: what is far from the start is reached too."""
        owner = self.owner(data)
        for left in reversed(range(steps)):
            due = [(at, parse_subject(s)) for s, [(_, at)] in self.books.due.items() if s.split("/")[0] == str(owner)]
            if not due:
                return
            at, subject = min(due, key=str)
            self.at = max(self.at, int(at))
            run = self.claim(subject)
            if run is None or not left:
                return
            self.succeed(run)

    def claim(self, subject: Subject) -> Run | None:
        step = {JobSubject: STEP_OF_JOB, RenderSubject: STEP_OF_RENDER, RefSubject: STEP_OF_REF}[type(subject)]
        record = self.ledger.claim(subject, step.get(self.books.state(subject) or "", ""))
        if record is None:
            self.unchanged()
            return None
        return self.started(record)

    # What a run says, in time or too late

    def pick(self, data: st.DataObject, *steps: str) -> Run:
        """Some run: one that still has its claim, one of a job that was erased, or any."""
        found = [run for run in self.runs if not steps or run.record.step in steps]
        live = [run for run in found if not run.over]
        former = [run for run in found if run.life != self.life(run.record.subject)]
        return data.draw(st.sampled_from(data.draw(st.sampled_from([live, former, found])) or found))

    def wrote(self, run: Run, done: bool, *, ended: bool = True) -> None:  # noqa: FBT001 - it is the answer
        if not done:
            self.unchanged()
            return
        assert not run.over, f"attempt {run.record.attempt} of {run.record.subject} wrote although it was over"
        assert run.life == self.life(run.record.subject), f"a run of an earlier life of {run.record.subject} wrote"
        run.over = ended
        self.look()

    def state_of(self, run: Run) -> str:
        return self.books.state(run.record.subject) or run.record.state

    def ways(self, run: Run) -> list[str]:
        match run.record.subject:
            case JobSubject():
                return sorted(states.JOB_MOVES[self.state_of(run)] - {"rendering"})  # that is what plan is for
            case RenderSubject():
                return sorted(states.RENDER_MOVES[self.state_of(run)])
            case RefSubject():
                return sorted(states.REF_MOVES.get(self.state_of(run), ()))

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), wait_s=waits)
    def a_run_ends(self, data: st.DataObject, wait_s: float) -> None:
        run = self.pick(data)
        state = data.draw(st.sampled_from(["", *self.ways(run)]))
        note(f"{run.record.subject} attempt {run.record.attempt} -> {state!r}")
        fields = {"tries": 1} if not state else {"reason": "a test says so"}
        subject = run.record.subject
        heard = "heard" in self.books.records.get(subject, {})
        done = self.ledger.move(run.record, state, wait_s=wait_s, reason="a test says so", fields=fields)
        self.wrote(run, done)
        if done:  # its nudge may still come twice
            assert self.ledger.begin(subject, run.record.step, run.record.attempt) is None
            self.unchanged()
        if done and str(subject) in self.books.due and wait_s and not heard:
            assert self.books.due[str(subject)][0][1] == self.at + round(wait_s * 1000)

    @precondition(lambda self: any(run.record.step in ("render", "submit") for run in self.runs))
    @rule(data=st.data())
    def a_run_notes_what_it_is_about_to_do(self, data: st.DataObject) -> None:
        run = self.pick(data, "render", "submit")
        intents = {"planned", "starting", "queued", "submitting"} & {"", *self.ways(run)}
        if intents:
            state = data.draw(st.sampled_from(sorted(intents)))
            if state == "queued" and isinstance(run.record.subject, RenderSubject):
                return
            self.wrote(run, self.ledger.move(run.record, state, hold=True), ended=False)

    @precondition(lambda self: any(run.record.step == "fetch" for run in self.runs))
    @rule(data=st.data(), renders=st.integers(0, 3))
    def a_fetch_plans(self, data: st.DataObject, renders: int) -> None:
        run = self.pick(data, "fetch")
        requests = [{"request": {"target": n}} for n in range(renders)]
        self.wrote(run, self.ledger.plan(run.record, requests, {"shorts": renders}))

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def a_run_asks_for_what_is_not_legal(self, data: st.DataObject) -> None:
        run = self.pick(data)
        tables = {JobSubject: states.JOB_MOVES, RenderSubject: states.RENDER_MOVES, RefSubject: states.REF_MOVES}
        state = self.state_of(run)
        table = tables[type(run.record.subject)]
        illegal = sorted(set(table) - table.get(state, frozenset()) - {state})
        if illegal:
            with contextlib.suppress(Conflict):
                assert not self.ledger.move(run.record, data.draw(st.sampled_from(illegal)), fields={"x": 1})
            self.unchanged()

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def a_run_says_that_it_lives(self, data: st.DataObject) -> None:
        run = self.pick(data)
        done = self.ledger.renew(run.record.subject, run.record.attempt)
        self.wrote(run, done, ended=False)

    # Bodies on their way to the artifacts

    @precondition(lambda self: any(True for _ in self.books.owned("bodies")))
    @rule(job=jobs)
    def bodies_are_taken(self, job: str) -> None:
        subject = JobSubject(job)
        self.taken.append((subject, list(self.ledger.take_bodies(subject))))

    @precondition(lambda self: self.taken)
    @rule()
    def bodies_are_dropped(self) -> None:
        subject, receipts = self.taken.pop()
        self.archived.update(receipts)
        self.ledger.drop_bodies(subject, receipts)

    # People

    @precondition(lambda self: self.owners("failed", "parked", "finished"))
    @rule(data=st.data())
    def a_person_retries(self, data: st.DataObject) -> None:
        owner = data.draw(st.sampled_from(self.owners("failed", "parked", "finished")))
        if self.ledger.retry(owner) == 0:
            self.unchanged()
        self.look()
        assert self.ledger.retry(owner) == 0
        self.unchanged()

    @precondition(lambda self: self.books.records)
    @rule(data=st.data(), whole=st.booleans())
    def a_person_erases(self, data: st.DataObject, whole: bool) -> None:  # noqa: FBT001 - hypothesis passes it by name
        owner = self.owner(data)
        if whole:
            self.erase(owner)
            return
        if self.ledger.fence(owner):
            for run in self.runs:
                run.over = run.over or str(run.record.subject).split("/")[0] == str(owner)
        self.look()

    @precondition(lambda self: any(RefSubject(ref) in self.books.records for ref in REFS))
    @rule(ref=refs)
    def a_submission_is_withdrawn(self, ref: str) -> None:
        self.erase(RefSubject(ref))

    @precondition(lambda self: any(self.books.state(JobSubject(job)) for job in JOBS) and self.runs)
    @rule(job=jobs)
    def a_job_begins_a_second_life(self, job: str) -> None:
        self.erase(JobSubject(job))
        self.link_to("", job, 0)
        self.claim(JobSubject(job))

    def erase(self, owner: JobSubject | RefSubject) -> None:
        names = [str(owner).removeprefix("ref:")]
        names += [
            s.ref for s, f in self.books.records.items() if (f["state"], f.get("job_id")) == ("linked", str(owner))
        ]
        receipts = {entry["receipt"] for entry in self.books.callbacks(owner)}
        linked = self.books.state(owner) == "linked"
        if not self.ledger.erase(owner):
            assert linked or owner not in self.books.records
            self.unchanged()
            return
        self.gone |= receipts
        self.at += 1000  # a second life counts on from the time: it does not begin in the same moment
        for name in names:
            for subject in (name, f"ref:{name}"):
                self.lives[subject] = self.lives.get(subject, 0) + 1
        self.books = Books.read(self.redis)
        for name in names:
            assert not [key for key in self.books.keys if name in key]
            # A callback of another job may have named it in its body: that is what this other one has received.
            assert not [key for key, value in self.books.keys.items() if name in str(value) and "callbacks" not in key]
        self.look()
        assert not self.ledger.erase(owner)
        self.unchanged()

    # And in the end

    def teardown(self) -> None:
        """From here on everything succeeds: then everything ends."""
        for lane in LANES:
            self.redis.lrem(f"rq:queue:{lane}", 0, "filler")
        self.hand.clear()
        self.books = Books.read(self.redis)
        for _ in range(PASSES):
            if not self.books.due:
                break
            self.one_pass()
        assert not self.books.due, f"still due after {PASSES} passes: {self.books.due}"
        counts = {name: len(self.books.members(f"sr:jobs:{name}")) for name in states.JobState}
        assert counts["waiting"] == counts["fetching"] == counts["rendering"] == 0
        assert len(self.books.members("sr:jobs")) == counts["finished"] + counts["failed"] + counts["parked"]

    def one_pass(self) -> None:
        first = min(at for entries in self.books.due.values() for _, at in entries)
        self.at = max(self.at, int(first))
        for lane in LANES:
            self.pass_of(lane, QUEUE_CAP)
            self.take_nudges(lane)
        while self.hand:
            run = self.begin(self.hand.pop())
            if run is not None:
                self.succeed(run)
            for lane in LANES:
                self.take_nudges(lane)

    def succeed(self, run: Run) -> None:
        record, move = run.record, self.ledger.move
        match record.step:
            case "fetch":
                self.wrote(run, self.ledger.plan(record, [{"request": {}}], {"shorts": 1}))
            case "render":
                self.wrote(run, move(record, "starting", hold=True), ended=False)
                self.wrote(run, move(record, "queued", wait_s=1))
            case "watch":
                self.wrote(run, move(record, "keeping"))
            case "keep":
                self.wrote(run, move(record, "kept"))
            case "submit" if record.state == "queued":
                self.wrote(run, move(record, "submitting", hold=True), ended=False)
                self.link_to(str(record.subject)[4:], f"made_{str(record.subject)[4]}", 600_000)
            case _:
                self.wrote(run, move(record, "parked", reason="nobody told"))


@pytest.fixture(scope="module")
def fast_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A server of its own that writes no disk: what is tested here is order, not durability."""
    server = EmbeddedValkey(tmp_path_factory.mktemp("machine") / "valkey")
    server.start()
    with contextlib.closing(Redis.from_url(server.url)) as client:
        client.config_set("appendonly", "no")
        yield client
    server.stop()


def test_the_books_balance_whatever_happens(fast_redis: Redis) -> None:
    LedgerMachine.redis = fast_redis
    run_machine(
        LedgerMachine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
