"""The part of the ledger by which a run gets its attempt: it claims one, and is given what the step needs."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from workers import keys
from workers.identifiers import Subject, parse_subject
from workers.nudges import Nudge
from workers.records import Record, text_fields
from workers.scribe import Scribe
from workers.work import CLASSES, UPSTREAM


class Claims(Scribe):
    def begin(self, subject: Subject, step: str, attempt: int) -> Record | None:
        """Claim an attempt. None if it is over, was begun by another run, or the state calls for another step."""
        answer = self._run("begin", {"subject": str(subject), "step": step, "attempt": str(attempt)})
        return _record(subject, step, attempt, answer) if answer else None

    def take_nudge(self, lane: str, worker: str, run: str) -> tuple[Record, int] | None:
        """Take a lane's next nudge that is not stale and claim its attempt. The seconds that it may take go with it.

        None if there is none, or if it is RQ that has to deal with what comes next. ``run``: a name for this call. A
        call that is repeated is answered with what it has taken already.
        """
        answer = self._run("take_nudge", {"lane": lane, "worker": worker, "run": run})
        if not answer:
            return None
        subject, step, attempt, timeout_s, found = answer
        return _record(parse_subject(subject.decode()), step.decode(), int(attempt), found), int(timeout_s)

    def given(self, worker: str, run: str) -> Nudge | None:
        """What a worker took last, if the name of that call begins with ``run``."""
        found = self._read(self._redis.get, keys.given(worker))
        named, step, subject, attempt, *_ = json.loads(found) if found else ("", "", "", "0")
        return Nudge(step, parse_subject(subject), int(attempt)) if found and named.startswith(run) else None

    def put_down(self, worker: str) -> None:
        """Note that a worker has nothing in hand of what it took."""
        self._read(self._redis.delete, keys.given(worker))

    def claim(self, subject: Subject, step: str) -> Record | None:
        """Start an attempt and claim it here and now. None if another one is under way."""
        answer = self._run("claim", {"subject": str(subject)})
        if not answer:
            return None
        own, _, now = answer
        fields = text_fields(own)
        return Record(subject, step, int(fields["attempt"]), int(now), fields)

    def take_delivery(self, full: Iterable[str]) -> Record | float | None:
        """Claim the delivery that is due, of the target that has waited longest. ``full``: targets to leave out.

        Else the seconds until something may be due, or None if nothing is.
        """
        answer = self._run("take_delivery", {"full": list(full)})
        if len(answer) == 1:
            return answer[0] / 1000 if answer[0] >= 0 else None
        subject, own, job, now = answer
        fields = text_fields(own)
        return Record(
            parse_subject(subject.decode()), "deliver", int(fields["attempt"]), int(now), fields, text_fields(job)
        )

    def waiting(self, record: Record) -> int:
        """How many requests of its account wait for a slot: what was due when it began, and what nobody has begun."""
        account = record.account
        pipeline: Any = self._redis.pipeline(transaction=False)
        pipeline.zcount(keys.line(keys.BUSY, account), 0, 0)
        for name in CLASSES[UPSTREAM]:
            pipeline.zcount(keys.due(keys.line(name, account)), "-inf", record.now_ms)
        return sum(self._read(pipeline.execute))

    def exists(self, subject: Subject) -> bool:
        return bool(self._read(self._redis.exists, keys.record(subject)))


def _record(subject: Subject, step: str, attempt: int, answer: Sequence[Any]) -> Record:
    own, job, now, bodies = answer
    kept = {receipt.decode(): body for receipt, body in zip(bodies[::2], bodies[1::2], strict=True)}
    return Record(subject, step, attempt, int(now), text_fields(own), text_fields(job), kept)
