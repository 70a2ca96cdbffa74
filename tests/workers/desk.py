"""A ledger on real Valkey with a clock that is moved by hand, and eyes on what it wrote."""

import json
from dataclasses import dataclass, field
from typing import Final

from redis import Redis

from workers import keys
from workers.identifiers import JobSubject, RefSubject, Subject, parse_subject
from workers.ledger import Ledger
from workers.records import Accepted, Dispatched, Record
from workers.work import CLASSES, FILES, GAP_S, LANES, LEASE_S, UPSTREAM

REF: Final = "r" * 22
JOB: Final = JobSubject("job_1")
LEASE_MS: Final = round(LEASE_S * 1000)
GAP_MS: Final = round(GAP_S * 1000)


@dataclass
class Desk:
    redis: Redis
    at: int = 1_800_000_000_000
    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.redis, now_ms=lambda: self.at)

    def accept(self, *, ref: str = "", job: str = "", body: bytes = b"{}", receipt: str = "") -> Accepted:
        name = receipt or f"rc{self.at}"
        return self.ledger.accept(ref=ref, job_id=job, receipt=name, digest=body.hex(), meta={"size": 1}, body=body)

    def fields(self, subject: Subject) -> dict[str, str]:
        return {k.decode(): v.decode() for k, v in self.redis.hgetall(keys.record(subject)).items()}

    def state(self, subject: Subject) -> str | None:
        return self.fields(subject).get("state")

    def due(self) -> dict[str, tuple[str, float]]:
        """What is due: subject -> class and time. Fails if a subject stands in two classes."""
        found: dict[str, tuple[str, float]] = {}
        for names in CLASSES.values():
            for name in names:
                for member, at in self.redis.zrange(keys.due(name), 0, -1, withscores=True):
                    assert member.decode() not in found
                    found[member.decode()] = (name, at)
        return found

    def due_lines(self) -> dict[str, list[tuple[bytes, float]]]:
        """What is due, by line, those of accounts too."""
        lines = sorted(key.decode() for key in self.redis.keys("sr:due:*"))
        return {line: self.redis.zrange(line, 0, -1, withscores=True) for line in lines}

    def nudges(self, lane: str = UPSTREAM) -> list[tuple[str, str, int]]:
        """Take all nudges off a lane: step, subject, attempt."""
        taken = []
        while (job_id := self.redis.lpop(f"rq:queue:{lane}")) is not None:
            data = json.loads(self.redis.hget(f"rq:job:{job_id.decode()}", "data"))
            assert data[0] == "workers.jobs.run_step"
            taken.append(tuple(data[2]))
        return taken

    def begin(self, lane: str = UPSTREAM) -> Record:
        """Begin the one nudge that waits in a lane."""
        ((step, subject, attempt),) = self.nudges(lane)
        record = self.ledger.begin(parse_subject(subject), step, attempt)
        assert record is not None
        return record

    def tick(self, lane: str = UPSTREAM, most: int = 50) -> int:
        return self.passed(lane, most).nudged

    def passed(self, lane: str = UPSTREAM, most: int = 50) -> Dispatched:
        return self.ledger.dispatch(lane, most=most)

    def watched(self, ms: int) -> None:
        """Let time go by under the eyes of the clock, which has no room to dispatch anything."""
        end = self.at + ms
        while self.at < end:
            self.at = min(end, self.at + GAP_MS)
            for lane in LANES:
                self.passed(lane, most=0)

    def lapse(self) -> None:
        """Let every lease lapse that nobody renews."""
        self.watched(LEASE_MS + 1)

    def events(self, owner: JobSubject | RefSubject = JOB) -> list[str]:
        return [json.loads(entry)["event"] for entry in self.redis.lrange(keys.timeline(owner), 0, -1)]

    def fetched(self, renders: int, job: JobSubject = JOB) -> None:
        """Take a callback and bring the job to the point where its renders are planned."""
        self.accept(job=str(job))
        record = self.begin()
        self.ledger.plan(record, [{"request": {"target": n}} for n in range(renders)], {"shorts": renders})

    def render_step(self, state: str, **fields: object) -> Record:
        self.tick()
        self.tick(FILES)
        record = self.begin(FILES if state == "kept" else UPSTREAM)
        assert self.ledger.move(record, state, fields=fields)
        return record
