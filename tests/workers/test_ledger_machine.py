"""The ledger as a state machine: anything may happen in any order, and its invariants hold after every step.

The books are read from the raw keys, so that no reading code can hide what a script left behind.
"""

import contextlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine
from redis import Redis

from workers import keys, states
from workers.bundle import KEPT, Bundle, pack, unpack
from workers.errors import Conflict
from workers.identifiers import DeliverySubject, JobSubject, RefSubject, RenderSubject, Subject, parse_subject
from workers.ledger import Ledger
from workers.nudges import templates
from workers.outbox import EVENTS, Outbox
from workers.records import Record
from workers.scripts import LedgerScripts
from workers.valkey import EmbeddedValkey
from workers.work import (
    CLASS_OF_JOB,
    CLASS_OF_STEP,
    CRASH_PAUSE_S,
    DEADLY_CRASHES,
    DELIVERIES,
    GAP_S,
    LANE_OF_CLASS,
    LANES,
    LEASE_S,
    QUEUE_CAP,
    STEP_OF_DELIVERY,
    STEP_OF_JOB,
    STEP_OF_REF,
    STEP_OF_RENDER,
    UPSTREAM,
)

pytestmark = pytest.mark.slow

STEPS: Final = 40
# More of them: LEDGER_EXAMPLES=1000.
EXAMPLES: Final = int(os.environ.get("LEDGER_EXAMPLES", "30"))
# Every subject comes to rest within so many passes of the clock, if nothing fails any more.
PASSES: Final = 60
LEASE_MS: Final = round(LEASE_S * 1000)
GAP_MS: Final = round(GAP_S * 1000)
DAY_MS: Final = 86_400_000
# Nothing here is told to wait longer than 600 s; small steps back of the clock, which move nothing, may add up to more.
LONGEST_MS: Final = 660_000

JOBS: Final = ("job_1", "job_2")
REFS: Final = ("a" * 22, "b" * 22)
ACCOUNTS: Final = ("", "acme", "beta")
# Nobody is told of the jobs of the third account.
TARGETS: Final = {"": "t0", "acme": "t1"}
WORKERS: Final = 3
# Swiftia never answers the third account well.
PLACES: Final = {"": WORKERS - 1, "acme": WORKERS - 1, "beta": 1}
ENDED: Final = ("finished", "failed")
OWNED: Final = ("timeline", "callbacks", "bodies", "seen")
ONE_OF_A_KIND: Final = {"sr:unarchived", "sr:erased", "sr:clock", "sr:counts", "sr:probe", "sr:events", "sr:measures",
                         "sr:accounts", "sr:targets", "sr:ended", "sr:deliveries:parked", "sr:parked"}  # fmt: skip
ANNOUNCED: Final = {"kept": "render.kept", "done": "render.kept", "finished": "job.finished", "parked": "job.parked"}

jobs = st.sampled_from(JOBS)
refs = st.sampled_from(REFS)
maybe_refs = st.sampled_from(["", *REFS])
accounts = st.sampled_from(ACCOUNTS)
names = st.tuples(maybe_refs, st.sampled_from(["", *JOBS])).filter(any)
bodies = st.sampled_from([b"", b"{}", b"news"])
waits = st.sampled_from([0.0, 0.001, 1.0, 600.0])
Nudge = tuple[str, str, int]


def _text(value: object) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def _kind(key: str) -> str:
    if key.startswith(
        (
            "sr:job:",
            "sr:render:",
            "sr:ref:",
            "sr:delivery:",
            "sr:bodies:",
            "sr:seen:",
            "sr:clock",
            "sr:counts",
            "sr:measures",
            "sr:hour:",
        )
    ):
        return "hash"
    if key in ("sr:accounts", "sr:parked"):
        return "set"
    if key == "sr:events":
        return "stream"
    return "list" if key.startswith(("sr:timeline:", "sr:callbacks:", "sr:unidentified")) else "zset"


def root_of(subject: object) -> str:
    """Name the owner of whatever it is."""
    return re.split("[/!]", str(subject))[0]


def class_of(subject: Subject, state: str) -> str | None:
    """The class in which an unfinished subject waits, said once more without the ledger's help."""
    match subject:
        case JobSubject():
            return CLASS_OF_JOB.get(state) if state in STEP_OF_JOB else None
        case RenderSubject():
            return CLASS_OF_STEP.get(STEP_OF_RENDER.get(state, ""))
        case RefSubject():
            return CLASS_OF_STEP.get(STEP_OF_REF.get(state, ""))
        case DeliverySubject():
            return CLASS_OF_STEP.get(STEP_OF_DELIVERY.get(state, ""))


def line_of(subject: Subject, fields: dict[str, str]) -> str | None:
    """The class, and for what asks Swiftia for something the account too."""
    name, account = class_of(subject, fields["state"]), fields.get("account")
    if isinstance(subject, DeliverySubject):
        return f"{name}@{fields['target']}" if name else None
    return f"{name}@{account}" if name and account and LANE_OF_CLASS[name] == UPSTREAM else name


def passes(lane: str) -> tuple[str, ...]:
    return ACCOUNTS if lane == UPSTREAM else ("",)


@dataclass
class Books:
    """Everything that stands in Redis under our prefix, read in two round trips."""

    keys: dict[str, Any]
    records: dict[Subject, dict[str, str]] = field(default_factory=dict)
    due: dict[str, list[tuple[str, float]]] = field(default_factory=dict)
    queued: list[int] = field(default_factory=list)
    packed: set[str] = field(default_factory=set)
    unpacked: dict[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, redis: Redis) -> "Books":
        names = sorted(key.decode() for key in redis.keys("sr:*") if not key.startswith(b"sr:budget"))
        pipe = redis.pipeline(transaction=False)
        for name in names:
            match _kind(name):
                case "hash":
                    pipe.hgetall(name)
                case "list":
                    pipe.lrange(name, 0, -1)
                case "zset":
                    pipe.zrange(name, 0, -1, withscores=True)
                case "set":
                    pipe.smembers(name)
                case "stream":
                    pipe.xrange(name)
        for lane in LANES:
            pipe.llen(f"rq:queue:{lane}")
        values = pipe.execute()
        books = cls(dict(zip(names, values[: len(names)], strict=True)), queued=values[len(names) :])
        books._unpack()
        books._sort()
        return books

    def _unpack(self) -> None:
        """Open what is packed, as if it were not; when it may be packed is nobody's business but the attic's."""
        self.unpacked = {name.decode(): at for name, at in self.keys.pop("sr:unpacked", [])}
        for name in [name for name in self.keys if name.startswith("sr:job:")]:
            packed = self.keys[name].pop(b"packed", None)
            if packed is None:
                continue
            job = JobSubject(name.removeprefix("sr:job:"))
            self.packed.add(job.job_id)
            assert {name.decode() for name in self.keys[name]} <= set(KEPT)
            for command, key, words in unpack(packed, job).writes(job):
                if command == "HSET":
                    self.keys.setdefault(key, {}).update(zip(words[::2], words[1::2], strict=True))
                else:
                    assert key not in self.keys
                    self.keys[key] = list(words)

    def _sort(self) -> None:
        for name, value in self.keys.items():
            if name.startswith(("sr:job:", "sr:render:", "sr:ref:", "sr:delivery:")):
                subject = parse_subject(name[3:] if name.startswith("sr:ref:") else name.split(":", 2)[2])
                self.records[subject] = {_text(k): _text(v) for k, v in value.items()}
            if name.startswith("sr:due:"):
                for member, at in value:
                    self.due.setdefault(member.decode(), []).append((name.removeprefix("sr:due:"), at))

    def state(self, subject: Subject) -> str | None:
        return self.records.get(subject, {}).get("state")

    def states(self) -> dict[Subject, str]:
        return {subject: fields["state"] for subject, fields in self.records.items()}

    def account(self, subject: Subject | None) -> str:
        return self.records[subject].get("account", "") if subject in self.records else ""

    def members(self, name: str) -> dict[str, float]:
        return {member.decode(): at for member, at in self.keys.get(name, [])}

    def bodies(self, owner: object) -> dict[str, bytes]:
        return {_text(receipt): body for receipt, body in self.keys.get(f"sr:bodies:{owner}", {}).items()}

    def callbacks(self, owner: object) -> list[dict[str, Any]]:
        return [json.loads(entry) for entry in self.keys.get(f"sr:callbacks:{owner}", [])]

    def owned(self, family: str) -> Iterator[str]:
        start = f"sr:{family}:"
        return (name.removeprefix(start) for name in self.keys if name.startswith(start))

    def deliveries(self, owner: JobSubject | RefSubject) -> dict[int, dict[str, str]]:
        found = ((s, f) for s, f in self.records.items() if isinstance(s, DeliverySubject) and s.owner == owner)
        return {subject.n: fields for subject, fields in found}

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
        case DeliverySubject():
            # It may come from its submission, with whatever had become of it there.
            return old is None or new in states.DELIVERY_MOVES[old]


def check_due(books: Books) -> None:
    """Invariants 1 and 2, and that a record knows where it stands."""
    expected = {}
    for subject, fields in books.records.items():
        name = line_of(subject, fields)
        # A callback URL that was handed out waits for nothing until somebody calls it.
        if name and not (fields["state"] == "open" and not books.callbacks(subject)) and is_next(books, subject):
            expected[str(subject)] = [name]
    assert {subject: [name for name, _ in entries] for subject, entries in books.due.items()} == expected
    known = {str(s): [fields["class"]] for s, fields in books.records.items() if "class" in fields}
    assert known == expected


def is_next(books: Books, subject: Subject) -> bool:
    """One delivery of a job is due: the first, or one that was due before an earlier one was sent once more."""
    if not isinstance(subject, DeliverySubject):
        return True
    waiting = {n: fields for n, fields in books.deliveries(subject.owner).items() if fields["state"] == "pending"}
    return subject.n == next((n for n in sorted(waiting) if "class" in waiting[n]), min(waiting))


def check_deliveries(books: Books) -> None:
    """Invariant 11, but for that all of it is announced."""
    for owner, record in books.records.items():
        if not isinstance(owner, JobSubject | RefSubject):
            continue
        found = books.deliveries(owner)
        assert sorted(found) == list(range(1, int(record.get("deliveries", "0")) + 1)), owner
        first = int(record.get("outbox", "1"))
        assert first > len(found) or found[first]["state"] == "pending", (owner, first, found)
        assert len({fields["id"] for fields in found.values()}) == len(found)
    states_of = {s: f["state"] for s, f in books.records.items() if isinstance(s, DeliverySubject)}
    assert set(books.members("sr:deliveries:parked")) == {str(s) for s, state in states_of.items() if state == "parked"}
    lines = {entries[0][0] for entries in books.due.values() if entries[0][0].startswith("deliver@")}
    assert {f"deliver@{target}" for target in books.members("sr:targets")} == lines


def check_announced(before: Books, books: Books) -> None:
    """Invariant 11: whatever came about is written down once, by the script that made it so."""
    for owner, record in books.records.items():
        if not isinstance(owner, JobSubject | RefSubject) or owner not in before.records:
            continue
        came = [s for s in books.records if root_of(s) == str(owner) and not isinstance(s, DeliverySubject)]
        moved = {s: books.state(s) for s in came if books.state(s) != before.state(s) and books.state(s) != "linked"}
        planned = [owner] if "renders" in record and "renders" not in before.records[owner] else []
        expected = Counter({"job.completed": len(planned)})
        for subject, state in moved.items():
            expected[event_of(subject, state or "")] += 1
        del expected[""]
        had = len(before.deliveries(owner)) + sum(
            len(before.deliveries(ref)) for ref in before.records
            if isinstance(ref, RefSubject) and books.records.get(ref, {}).get("job_id") == str(owner)
            and before.state(ref) != "linked"
        )  # fmt: skip
        now = books.deliveries(owner)
        new = Counter(now[n]["event"] for n in sorted(now)[had:])
        told = record.get("target", TARGETS.get(record.get("account", ""), ""))
        assert new == (+expected if told else Counter()), (owner, new, expected)


def event_of(subject: Subject, state: str) -> str:
    if state == "failed":
        return "render.failed" if isinstance(subject, RenderSubject) else "job.failed"
    return "" if state == "parked" and isinstance(subject, RenderSubject) else ANNOUNCED.get(state, "")


def check_busy(books: Books) -> None:
    """Invariant 10."""
    expected: dict[str, dict[str, float]] = {}
    for subject, fields in books.records.items():
        claimed = fields.get("begun") == fields.get("attempt") != None  # noqa: E711 - one of three that are the same
        name, _, account = fields.get("class", "keep").partition("@")
        if (claimed or "nudge" in fields) and LANE_OF_CLASS[name] == UPSTREAM:
            expected.setdefault(account, {})[str(subject)] = float(claimed)
    found = {name.partition("@")[2]: books.members(name) for name in books.keys if name.startswith("sr:busy")}
    assert found == expected


def check_jobs(books: Books) -> None:
    """Invariant 6."""
    for subject, fields in books.records.items():
        if not isinstance(subject, JobSubject):
            continue
        renders = books.renders(subject.job_id)
        assert sorted(renders) == list(range(1, int(fields.get("renders", "0")) + 1))
        assert {books.account(RenderSubject(subject.job_id, n)) for n in renders} <= {books.account(subject)}
        unsettled = [n for n, state in renders.items() if state not in states.RENDER_SETTLED]
        assert bool(unsettled) == (fields["state"] == "rendering"), (subject, fields["state"], renders)


def check_indexes(books: Books) -> None:
    shown: dict[str, dict[str, float]] = {}
    for subject, fields in books.records.items():
        state = fields["state"]
        if isinstance(subject, RefSubject):
            state = states.SHOWN_REF.get(state, "")
        if state and not isinstance(subject, RenderSubject | DeliverySubject):
            shown.setdefault(state, {})[str(subject)] = float(fields["created"])
    found = {name.removeprefix("sr:jobs:"): books.members(name) for name in books.keys if name.startswith("sr:jobs:")}
    assert found == shown
    assert set(books.members("sr:ended")) == {name for state in ENDED for name in shown.get(state, ())}
    grouped = [(name, group) for group in groups_of(books) for name in books.members(f"sr:parked:{group}")]
    assert sorted(name for name, _ in grouped) == sorted(shown.get("parked", ()))
    assert all(books.records[parse_subject(name)]["group"] == group for name, group in grouped)
    assert groups_of(books) == {_text(group) for group in books.keys.get("sr:parked", ())}


def groups_of(books: Books) -> set[str]:
    return {name.removeprefix("sr:parked:") for name in books.keys if name.startswith("sr:parked:")}


def check_packed(books: Books) -> None:
    """Invariant 12, but for what packing and unpacking make of a job: who opens a packed one sees what was there."""
    jobs = {name for name in books.members("sr:ended") if not name.startswith("ref:")}
    assert not books.packed & books.unpacked.keys()
    assert books.packed | books.unpacked.keys() == jobs
    for name in books.packed:
        assert not [subject for subject in books.due if root_of(subject) == name]
        assert {fields["state"] for fields in books.deliveries(JobSubject(name)).values()} <= states.DELIVERY_SETTLED
        assert not books.bodies(name)


def check_keys(books: Books) -> None:
    """No key is left of what is not there, and no body is forgotten in Redis."""
    for name in books.keys:
        start = (":".join(name.split(":")[:2])).removeprefix("sr:")
        known = {"jobs", "due", "job", "render", "ref", "delivery", "parked", "hour", *OWNED}
        assert name in ONE_OF_A_KIND or start in known or start.partition("@")[0] == "busy", name
    for subject, fields in books.records.items():
        match subject:
            case RenderSubject():
                assert JobSubject(subject.job_id) in books.records, subject
            case DeliverySubject():
                assert books.state(subject.owner) not in (None, "linked"), subject
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


def check_told(books: Books) -> None:
    """Who has heard every change knows how everything stands, and nothing of what was erased is left to be heard."""
    told: dict[str, dict[bytes, bytes]] = {}
    for _, entry in books.keys.get("sr:events", []):
        subject = _text(entry[b"subject"])
        if entry[b"event"] == b"linked":  # its deliveries have other names from here on
            told = {name: other for name, other in told.items() if not name.startswith(f"{subject}!")}
        if entry[b"event"] != b"erased":
            told[subject] = entry
    assert {name: (_text(entry[b"state"]), _text(entry[b"progress"])) for name, entry in told.items()} == {
        str(subject): (fields["state"], fields.get("progress", "")) for subject, fields in books.records.items()
    }
    assert {name: _text(entry[b"job"]) for name, entry in told.items() if b"job" in entry} == {
        str(subject): fields["job_id"] for subject, fields in books.records.items() if "job_id" in fields
    }


def check_counts(books: Books) -> None:
    """What a timeline tells was counted, and what was counted stays when its job is erased."""
    told = Counter(
        json.loads(entry)["event"] for owner in books.owned("timeline") for entry in books.keys[f"sr:timeline:{owner}"]
    )
    counted = Counter({_text(name): int(count) for name, count in books.keys.get("sr:counts", {}).items()})
    assert told <= counted, (told, counted)


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
        self.redis.sadd(f"rq:workers:{UPSTREAM}", *range(WORKERS))
        for account in (name for name in ACCOUNTS if PLACES[name] > 1):
            self.redis.hset(f"{keys.budget(account)}state", "fine_at", self.at + 1000 * DAY_MS)
        outbox = Outbox(TARGETS, frozenset(EVENTS))
        self.ledger = Ledger(self.redis, now_ms=lambda: self.at, several=True, outbox=outbox)
        # By its clock whatever has ended has done so for long enough.
        self.packer = Ledger(self.redis, now_ms=lambda: self.at + LONGEST_MS + DAY_MS, several=True, outbox=outbox)
        self.eager = False  # whether all that may be is packed after each step
        self.scripts = LedgerScripts(self.redis, templates(self.redis), several=True, outbox=outbox)
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
        self.ripe: list[tuple[str, str, bytes]] = []  # jobs that somebody has read, and is about to pack
        self.behind: set[str] = set()  # lanes that were not passed since Redis's clock went back
        self.watched(1)
        assert not self.packer.pack_one()  # there is nothing from before there was packing
        self.books = Books.read(self.redis)

    # What is always so

    def look(self) -> None:
        """Read the books after one script and check them."""
        before, self.books = self.books, Books.read(self.redis)
        for subject, state in self.books.states().items():
            old = before.state(subject)
            assert legal(subject, old, state), f"{subject} went from {old} to {state}"
        check_due(self.books)
        check_deliveries(self.books)
        check_announced(before, self.books)
        check_busy(self.books)
        check_jobs(self.books)
        check_indexes(self.books)
        check_packed(self.books)
        check_keys(self.books)
        check_counts(self.books)
        check_told(self.books)
        self.check_places(before)
        for name, entries in self.books.keys.items():
            if name.startswith("sr:due:") and LANE_OF_CLASS[name[7:].partition("@")[0]] not in self.behind:
                assert max(at for _, at in entries) <= self.at + LONGEST_MS, f"{name} stands still"
        assert max(self.books.queued) <= QUEUE_CAP
        self.check_callbacks()
        for subject, run in self.current.items():
            run.over = run.over or self.books.records.get(subject, {}).get("attempt") != str(run.record.attempt)

    def check_places(self, before: Books) -> None:
        """Nobody but a run that claims for itself, or a job that changes hands, gets a place beyond those there are."""
        for name in (name for name in self.books.keys if name.startswith("sr:busy")):
            members, had = self.books.members(name), before.members(name)
            subjects = [parse_subject(member) for member in members if member not in had and not members[member]]
            moved = [s for s in subjects if s in before.records and before.account(s) != self.books.account(s)]
            assert len(subjects) == len(moved) or len(members) <= PLACES[name.partition("@")[2]], (name, members)

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

    @initialize(eager=st.booleans())
    def set_up(self, eager: bool) -> None:  # noqa: FBT001 - hypothesis passes it by name
        self.eager = eager

    @invariant()
    def books_are_right(self) -> None:
        self.look()
        if self.eager:
            self.pack_all()

    def owner(self, data: st.DataObject) -> JobSubject | RefSubject:
        return data.draw(st.sampled_from(self.owners() or [JobSubject(JOBS[0])]))

    def owners(self, *among: str) -> list[JobSubject | RefSubject]:
        """Jobs and refs that stand for themselves, in some states or in any."""
        return [
            subject
            for subject, state in self.books.states().items()
            if isinstance(subject, JobSubject | RefSubject) and state != "linked" and (not among or state in among)
        ]

    def life(self, subject: Subject) -> int:
        return self.lives.get(root_of(subject), 0)

    # Callbacks and names

    @rule(names=names, body=bodies, account=accounts, again=st.booleans())
    def callback(self, names: tuple[str, str], body: bytes, account: str, again: bool) -> None:  # noqa: FBT001 - hypothesis passes it by name
        self.call(*names, body, account="" if names[0] else account, again=again)

    @precondition(lambda self: any(not run.over and run.record.step == "fetch" for run in self.runs))
    @rule(data=st.data(), body=bodies)
    def a_callback_comes_during_its_fetch(self, data: st.DataObject, body: bytes) -> None:
        live = [str(run.record.subject) for run in self.runs if not run.over and run.record.step == "fetch"]
        self.call("", data.draw(st.sampled_from(live)), body, again=False)

    def call(self, ref: str, job: str, body: bytes, *, account: str = "", again: bool) -> None:
        self.receipts += 1
        call = {"ref": ref, "job_id": job, "receipt": f"rc{self.receipts}", "digest": body.hex(), "body": body}
        call["account"] = account
        before = self.books
        accepted = self.ledger.accept(**call, meta={"hint": job})
        if accepted.outcome == "new":
            self.acknowledged[accepted.receipt] = body
        self.look()
        if accepted.owner and not accepted.owner.startswith("ref:"):
            said = account or before.account(RefSubject(ref) if ref else None)
            has = before.account(JobSubject(accepted.owner))
            assert self.books.account(JobSubject(accepted.owner)) == (has or said)
            linked = before.state(RefSubject(ref)) == "linked" if ref else False
            assert accepted.ignored == (said if said and has and said != has and not linked else "")
        if again and accepted.outcome == "new":
            repeated = self.ledger.accept(**call, meta={"hint": job})
            assert (repeated.owner, repeated.receipt) == (accepted.owner, accepted.receipt)
            self.unchanged()

    @rule(ref=refs, form=st.sampled_from(["open", "async", "sync"]), account=accounts)
    def open_ref(self, ref: str, form: str, account: str) -> None:
        state = "open" if form == "open" else "queued"
        fields = {"metadata": {"a": 1}} if form == "open" else {"request": {"functionName": "VideoShorts"}}
        fields |= {"account": account} if account else {}
        due_ms = {"open": None, "async": 0, "sync": LEASE_MS}[form]
        known = RefSubject(ref) in self.books.records
        assert self.ledger.open_ref(ref, state=state, fields=fields, due_ms=due_ms) is not known
        self.look()
        assert not self.ledger.open_ref(ref, state=state, fields=fields, due_ms=due_ms)
        self.unchanged()

    @rule(ref=maybe_refs, job=jobs, first_ms=st.sampled_from([0, 600_000]), account=accounts, unnamed=accounts)
    def link(self, ref: str, job: str, first_ms: int, account: str, unnamed: str) -> None:
        self.link_to(ref, job, first_ms=first_ms, by="watch", account=account, unnamed=unnamed)

    def link_to(self, ref: str, job: str, **how: Any) -> None:
        other = self.books.records.get(RefSubject(ref), {}).get("job_id", job)
        account, refs = how.get("account", ""), self.books.account(RefSubject(ref))
        has = self.books.account(JobSubject(job))
        named = {name for name in (account, refs, has) if name}
        if other != job or (how["by"] == "watch" and len(named) > 1):
            with pytest.raises(Conflict):
                self.ledger.link(ref, job, **how)
            self.unchanged()
            return
        known = JobSubject(job) in self.books.records
        answer = self.ledger.link(ref, job, **how)
        assert answer == ("known" if known else "new")
        self.look()
        last = "" if known else how.get("unnamed", "")
        made = refs if how["by"] == "submission" else ""
        assert self.books.account(JobSubject(job)) == (made or has or refs or account or last)
        self.at += 1
        assert self.ledger.link(ref, job, **how) == "known"
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
        for account in passes(lane):
            room = QUEUE_CAP - self.redis.llen(f"rq:queue:{lane}")
            busy = len(self.books.members(f"sr:busy@{account}" if account else "sr:busy"))
            done = self.ledger.dispatch(lane, account, most=most)
            assert 0 <= done.nudged <= max(0, min(most, room))
            if account == passes(lane)[-1]:
                self.behind.discard(lane)
            self.look()
            members = self.books.members(f"sr:busy@{account}" if account else "sr:busy").values()
            assert len(members) <= max(busy, PLACES[account])
            assert lane != UPSTREAM or done.queued == list(members).count(0)

    def watched(self, ms: int) -> None:
        """Let time go by under the eyes of the clock, which has no room to dispatch anything."""
        end = self.at + ms
        while self.at < end:
            self.at = min(end, self.at + GAP_MS)
            for lane in LANES:
                for account in passes(lane):
                    self.ledger.dispatch(lane, account, most=0)
            self.ledger.take_delivery(TARGETS.values())
        self.behind.clear()

    @rule(ms=st.sampled_from([-1000, -1001, -LEASE_MS, -600_001, -DAY_MS]))
    def time_goes_back(self, ms: int) -> None:
        """Redis's clock goes back, and ours sees it at some later pass."""
        self.jump(ms)

    @precondition(lambda self: self.books.due)
    @rule(
        data=st.data(),
        ms=st.sampled_from([GAP_MS + 1, LEASE_MS, 600_001, DAY_MS, -1001, -LEASE_MS, -600_001, -DAY_MS]),
        renewed=st.booleans(),
    )
    def time_jumps(self, data: st.DataObject, ms: int, renewed: bool) -> None:  # noqa: FBT001 - hypothesis passes it by name
        """Redis's clock jumps, or Redis is away. A run that has said just now that it lives goes on."""
        live = [run for run in self.runs if not run.over]
        due = [parse_subject(subject) for subject in self.books.due]
        run = data.draw(st.sampled_from(live)) if live else self.claim(data.draw(st.sampled_from(due)))
        if run is None:
            return
        alive = self.renew(run)
        self.jump(ms)
        if renewed:
            assert self.renew(run) == alive
        for lane in LANES:
            self.pass_of(lane, QUEUE_CAP)
        self.take_delivery()
        assert not (alive and run.over)

    def jump(self, ms: int) -> None:
        self.watched(1)
        self.at += ms
        self.behind = {*LANES, DELIVERIES} if ms < 0 else self.behind

    def renew(self, run: Run) -> bool:
        return self.ledger.renew(run.record.subject, run.record.attempt)

    @rule(lane=st.sampled_from(LANES), full=st.booleans())
    def crowd(self, lane: str, full: bool) -> None:  # noqa: FBT001 - hypothesis passes it by name
        """Fill a queue with what others left in it, or take that away."""
        queue = f"rq:queue:{lane}"
        room = QUEUE_CAP - self.redis.llen(queue)
        if full and room > 0:
            self.redis.rpush(queue, *["filler"] * room)
        elif not full:
            self.redis.lrem(queue, 0, "filler")

    @rule(full=st.sets(st.sampled_from(sorted(TARGETS.values()))))
    def a_courier_looks(self, full: set[str]) -> None:
        self.take_delivery(*full)

    def take_delivery(self, *full: str) -> Run | None:
        taken = self.ledger.take_delivery(full)
        self.behind.discard(DELIVERIES)
        self.look()
        if isinstance(taken, Record):
            assert taken.fields["target"] not in full
            return self.started(taken)
        # What this pass itself has made due, by giving up the one before it, may be the next one's.
        ready = {line for [(line, at)] in self.books.due.values() if at < self.at and line.startswith("deliver@")}
        assert ready <= {f"deliver@{target}" for target in full}
        return None

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
            self.watched(LEASE_MS + 1)
            for lane in LANES:
                self.pass_of(lane, QUEUE_CAP)
                self.take_nudges(lane)
            self.take_delivery()
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
        self.carry(self.owner(data), steps)

    @precondition(lambda self: self.books.due)
    @rule(data=st.data())
    def a_job_comes_to_rest(self, data: st.DataObject) -> None:
        """All that is due of it succeeds, its bodies are kept as files, and it is packed."""
        owner = data.draw(st.sampled_from([parse_subject(root_of(subject)) for subject in self.books.due]))
        self.carry(owner, PASSES)
        if isinstance(owner, JobSubject):
            self.taken.append((owner, list(self.ledger.take_bodies(owner))))
            self.bodies_are_dropped()
            self.look()
        self.pack_all()

    def carry(self, owner: Subject, steps: int) -> None:
        for left in reversed(range(steps)):
            due = [(at, parse_subject(s)) for s, [(_, at)] in self.books.due.items() if root_of(s) == str(owner)]
            if not due:
                return
            at, subject = min(due, key=str)
            self.at = max(self.at, int(at))
            run = self.claim(subject)
            if run is None or not left:
                return
            self.succeed(run)

    def claim(self, subject: Subject) -> Run | None:
        step: dict[str, str] = {
            JobSubject: STEP_OF_JOB,
            RenderSubject: STEP_OF_RENDER,
            RefSubject: STEP_OF_REF,
            DeliverySubject: STEP_OF_DELIVERY,
        }[type(subject)]
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
            case DeliverySubject():
                return sorted(states.DELIVERY_MOVES[self.state_of(run)])

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), wait_s=waits)
    def a_run_ends(self, data: st.DataObject, wait_s: float) -> None:
        run = self.pick(data)
        state = data.draw(st.sampled_from(["", *self.ways(run)]))
        note(f"{run.record.subject} attempt {run.record.attempt} -> {state!r}")
        fields: dict[str, object] = {"tries": 1} if not state else {"reason": "a test says so"}
        fields["progress"] = data.draw(st.sampled_from([None, 0.5, 1.0]))
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
        tables = {
            JobSubject: states.JOB_MOVES,
            RenderSubject: states.RENDER_MOVES,
            RefSubject: states.REF_MOVES,
            DeliverySubject: states.DELIVERY_MOVES,
        }
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
        self.wrote(run, self.renew(run), ended=False)

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), crashed=st.booleans())
    def a_run_is_lost(self, data: st.DataObject, crashed: bool) -> None:  # noqa: FBT001 - hypothesis passes it by name
        """Its worker says that it ended without an outcome, in time or long after."""
        run = self.pick(data)
        subject, attempt = run.record.subject, run.record.attempt
        before = self.books.records.get(subject, {})
        done = self.ledger.lost(subject, attempt, reason="signal 9", crashed=crashed)
        assert done == (before.get("attempt") == before.get("begun") == str(attempt))
        self.wrote(run, done)
        if not done:
            return
        assert not self.ledger.lost(subject, attempt, reason="signal 9", crashed=crashed)
        assert self.ledger.begin(subject, run.record.step, attempt) is None
        self.unchanged()
        crashes = int(before.get("crashes", "0")) + crashed
        after = self.books.records[subject]
        assert int(after.get("crashes", "0")) == crashes
        assert (after["state"] == "parked") == (crashed and crashes >= DEADLY_CRASHES)
        if crashed and after["state"] != "parked":
            assert self.books.due[str(subject)][0][1] == self.at + crashes * round(CRASH_PAUSE_S * 1000)

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

    # What has come to rest

    @precondition(lambda self: self.books.unpacked)
    @rule(again=st.booleans())
    def jobs_are_packed(self, again: bool) -> None:  # noqa: FBT001 - hypothesis passes it by name
        self.pack_all()
        if again:
            self.jobs_are_unpacked()

    def pack_all(self) -> None:
        self.look()
        while self.packer.pack_one():
            self.unchanged()
        self.look()
        # What was looked at before the clock went back, or was not at rest then, waits for that.
        ready = [name for name, at in self.books.unpacked.items() if at <= self.at + LONGEST_MS + DAY_MS]
        assert not [name for name in ready if self.rests(name)]

    def rests(self, name: str) -> bool:
        job = JobSubject(name)
        told = {fields["state"] for fields in self.books.deliveries(job).values()} <= states.DELIVERY_SETTLED
        return told and not self.books.bodies(name)

    def jobs_are_unpacked(self) -> None:
        """Something is written about them, or would be."""
        for name in self.books.packed:
            assert not self.ledger.renew(JobSubject(name), 0)
        self.unchanged()
        self.look()
        assert not self.books.packed

    @precondition(lambda self: self.books.unpacked)
    @rule()
    def somebody_reads_a_job_to_pack_it(self) -> None:
        found = self.scripts.run("ripe", {"now": str(self.at + LONGEST_MS + DAY_MS)})
        if isinstance(found, list):
            job, proof, parts = found
            self.ripe.append((job.decode(), proof.decode(), pack(Bundle.of(parts), JobSubject(job.decode()))))

    @precondition(lambda self: self.ripe)
    @rule()
    def somebody_packs_what_was_read_before(self) -> None:
        """What has changed since is left as it is."""
        job, proof, packed = self.ripe.pop()
        self.scripts.run("pack", {"now": str(self.at), "of": job, "proof": proof}, packed)
        self.unchanged()
        self.look()

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

    @precondition(lambda self: any(isinstance(subject, DeliverySubject) for subject in self.books.records))
    @rule(data=st.data())
    def a_person_wants_it_sent_again(self, data: st.DataObject) -> None:
        found = sorted((s for s in self.books.records if isinstance(s, DeliverySubject)), key=str)
        subject = data.draw(st.sampled_from(found))
        settled = self.books.state(subject) in states.DELIVERY_SETTLED
        assert self.ledger.redeliver(subject) == settled
        self.look()
        assert not self.ledger.redeliver(subject)
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
                run.over = run.over or root_of(run.record.subject) == str(owner)
        self.look()

    @precondition(lambda self: self.books.keys.get("sr:ended"))
    @rule(age_s=st.sampled_from([0, 600, 86_400]), whole=st.booleans())
    def the_clock_erases_what_is_old(self, age_s: int, whole: bool) -> None:  # noqa: FBT001 - hypothesis passes it by name
        before = self.books
        ended_at = before.members("sr:ended")
        old = [parse_subject(name) for name, at in ended_at.items() if at <= self.at - age_s * 1000]
        found = self.ledger.old(age_s=age_s, most=99)
        self.unchanged()
        assert set(found) in (set(old), set()), "all of it, or nothing after a jump of the clock"
        for owner in old:
            assert isinstance(owner, JobSubject | RefSubject)
            assert before.state(owner) in ENDED
            waits = any(fields["state"] == "pending" for fields in before.deliveries(owner).values())
            assert self.ledger.fence(owner, age_s=age_s) is not waits
            self.look()
            assert not self.ledger.fence(owner, age_s=age_s), "one at a time"
            self.unchanged()
            if whole and not waits:
                self.erase(owner)

    @precondition(lambda self: any(RefSubject(ref) in self.books.records for ref in REFS))
    @rule(ref=refs)
    def a_submission_is_withdrawn(self, ref: str) -> None:
        self.erase(RefSubject(ref))

    @precondition(lambda self: any(self.books.state(JobSubject(job)) for job in JOBS) and self.runs)
    @rule(job=jobs)
    def a_job_begins_a_second_life(self, job: str) -> None:
        self.erase(JobSubject(job))
        self.link_to("", job, first_ms=0, by="watch")
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
        self.pack_all()

    def one_pass(self) -> None:
        first = min(at for entries in self.books.due.values() for _, at in entries)
        self.at = max(self.at, int(first))
        for lane in LANES:
            self.pass_of(lane, QUEUE_CAP)
            self.take_nudges(lane)
        while (run := self.take_delivery()) is not None:
            self.succeed(run)
        if not self.hand:  # the dead have all the places: their leases end
            self.at = min((int(at) for [(_, at)] in self.books.due.values() if at > self.at), default=self.at)
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
            case "deliver":
                self.wrote(run, move(record, "delivered"))
            case "submit" if record.state == "queued":
                self.wrote(run, move(record, "submitting", hold=True), ended=False)
                ref = str(record.subject)[4:]
                self.link_to(ref, f"made_{ref[0]}", first_ms=600_000, by="submission")
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
