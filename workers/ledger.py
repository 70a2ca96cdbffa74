"""The truth about jobs, renders, submissions and callbacks, and what is due next. In Redis; the only writer of it.

Invariants, kept by every script and checked by the tests:

1. Every unfinished subject stands in exactly one class of what is due: a waiting or fetching job, an unsettled render,
   a submission that has no answer yet. A job that is rendering is carried by its renders.
2. Nothing else is due: no settled subject, no erased one, none without a record.
3. Only the moves of ``workers/states.py`` happen.
4. Every write is one script: it happened whole or not at all, and repeating it changes nothing more.
5. An attempt number is given out once and claimed once. What an older attempt, or a second run of the same one, reports
   is not written.
6. A job is settled at the moment when the last of its renders is.

Times are milliseconds of Redis's own clock, so machines whose clocks differ agree; tests may give their own.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from redis import Redis, RedisError

from workers import keys
from workers.errors import Conflict, LedgerUnavailable
from workers.identifiers import JobSubject, RefSubject, Subject
from workers.nudges import templates
from workers.records import Accepted, Dispatched, Event, Record, storable, text_fields
from workers.scripts import Scripts

_ERASED_REMEMBERED_S = 30 * 86_400


class Ledger:
    """``now_ms``: a clock for tests; without it Redis's own is used.

    ``ack_replicas``: so many replicas must have a callback or a new ref before it counts as kept.
    """

    def __init__(self, redis: Redis, *, now_ms: Callable[[], int] | None = None, ack_replicas: int = 0) -> None:
        self._redis = redis
        self._ack_replicas = ack_replicas
        self._scripts = Scripts(redis, templates(redis))
        self._now_ms = now_ms

    # Callbacks and what is known

    def accept(
        self, *, ref: str, job_id: str, receipt: str, digest: str, meta: Mapping[str, object], body: bytes
    ) -> Accepted:
        """Keep a callback and make its job due. ``ref`` or ``job_id`` may be empty, not both."""
        arguments = {"ref": ref, "job": job_id, "receipt": receipt, "digest": digest, "meta": dict(meta)}
        outcome, owner, kept = self._keep("accept", arguments, body)
        return Accepted(outcome.decode(), owner.decode(), kept.decode())

    def open_ref(self, ref: str, *, state: str, fields: Mapping[str, object], due_ms: int | None) -> bool:
        """Write down a ref before anybody hears of it. False if it is there already."""
        arguments = {"ref": ref, "state": state, "fields": storable(fields), "due_ms": due_ms}
        return bool(self._keep("open_ref", arguments))

    def link(self, ref: str, job_id: str, *, first_ms: int, by: str, fields: Mapping[str, object] | None = None) -> str:
        """Say which job a ref belongs to. Answers ``new`` or ``known``; ``Conflict`` if the ref has another job."""
        arguments = {"ref": ref, "job": job_id, "first_ms": first_ms, "by": by, "fields": storable(fields or {})}
        outcome, job = self._run("link", arguments)
        if outcome == b"conflict":
            raise Conflict(f"this ref belongs to job {job.decode()} already; ask for a fresh callback URL")
        return str(outcome.decode())

    def take_bodies(self, owner: JobSubject | RefSubject) -> dict[str, bytes]:
        """Callback bodies by receipt that are not kept as artifacts yet."""
        found = self._read(self._redis.hgetall, keys.bodies(owner))
        return {receipt.decode(): body for receipt, body in found.items()}

    def drop_bodies(self, owner: JobSubject | RefSubject, receipts: Iterable[str]) -> None:
        """Forget bodies that are kept as artifacts now."""
        self._run("drop_bodies", {"subject": str(owner), "receipts": list(receipts)})

    def unarchived(self, most: int) -> list[JobSubject]:
        """Jobs with bodies that no fetch is going to keep, the oldest first."""
        return [JobSubject(job.decode()) for job in self._read(self._redis.zrange, keys.UNARCHIVED, 0, most - 1)]

    def callbacks(self, owner: JobSubject | RefSubject) -> list[Mapping[str, Any]]:
        """What is known of each callback, the oldest first: receipt, at, from, size, type, hint, duplicate."""
        return [json.loads(entry) for entry in self._read(self._redis.lrange, keys.callbacks(owner), 0, -1)]

    def keep_unidentified(self, meta: Mapping[str, object], body: bytes) -> None:
        """Keep a callback that names no job, for the operator; the newest few hundred are kept."""
        self._keep("unidentified", {"meta": dict(meta)}, body)

    def check(self) -> None:
        """Raise LedgerUnavailable unless a callback could be kept now. Writes to find out."""
        self._keep("probe", {})

    # Steps

    def begin(self, subject: Subject, step: str, attempt: int) -> Record | None:
        """Claim an attempt. None if it is over, was begun by another run, or the state calls for another step."""
        answer = self._run("begin", {"subject": str(subject), "step": step, "attempt": str(attempt)})
        if not answer:
            return None
        own, job, now = answer
        return Record(subject, step, attempt, int(now), text_fields(own), text_fields(job))

    def claim(self, subject: Subject, step: str) -> Record | None:
        """Start an attempt and claim it here and now. None if another one is under way."""
        answer = self._run("claim", {"subject": str(subject)})
        if not answer:
            return None
        own, _, now = answer
        fields = text_fields(own)
        return Record(subject, step, int(fields["attempt"]), int(now), fields)

    def exists(self, subject: Subject) -> bool:
        return bool(self._read(self._redis.exists, keys.record(subject)))

    def renew(self, subject: Subject, attempt: int) -> bool:
        return bool(self._run("renew", {"subject": str(subject), "attempt": str(attempt)}))

    def move(
        self,
        record: Record,
        state: str = "",
        *,
        wait_s: float = 0.0,
        hold: bool = False,
        reason: str = "",
        fields: Mapping[str, object] | None = None,
        drop: Sequence[str] = (),
        events: Sequence[Event] = (),
    ) -> bool:
        """Write how an attempt ended, or with ``hold`` what it is about to do. False if another attempt took over."""
        arguments = {
            "subject": str(record.subject),
            "attempt": str(record.attempt),
            "state": state,
            "wait_ms": round(wait_s * 1000),
            "hold": int(hold),
            "reason": reason,
            "fields": storable(fields or {}),
            "drop": list(drop),
            "events": [[name, dict(values)] for name, values in events],
        }
        return self._moved(self._run("move", arguments), record, state)

    def plan(self, record: Record, renders: Sequence[Mapping[str, object]], fields: Mapping[str, object]) -> bool:
        """The result is kept: go on to its renders. False if another attempt took over."""
        arguments = {
            "subject": str(record.subject),
            "attempt": str(record.attempt),
            "fields": storable(fields),
            "renders": [storable(render) for render in renders],
            "events": [["result", {"shorts": fields.get("shorts", 0), "renders": len(renders)}]],
        }
        return self._moved(self._run("plan", arguments), record, "rendering")

    def dispatch(self, lane: str, *, most: int) -> Dispatched:
        """Nudge what is due in a lane, the most important class first."""
        nudged, parked, next_ms, silent = self._run("dispatch", {"lane": lane, "most": most})
        return Dispatched(nudged, parked, next_ms if next_ms >= 0 else None, silent)

    # What a person asks for

    def retry(self, subject: JobSubject | RefSubject) -> int:
        """Set going again what is parked or failed. Answers how many subjects that were."""
        return int(self._run("retry", {"subject": str(subject)}))

    def fence(self, subject: JobSubject | RefSubject) -> bool:
        """End every attempt on a job and its renders, so that nothing writes about it any more."""
        return bool(self._erase(subject, fence=1))

    def erase(self, subject: JobSubject | RefSubject) -> bool:
        """Remove every key of a job."""
        return bool(self._erase(subject, fence=0))

    def _erase(self, subject: Subject, *, fence: int) -> int:
        arguments = {"subject": str(subject), "fence": fence, "remember_ms": _ERASED_REMEMBERED_S * 1000}
        return int(self._run("erase", arguments))

    def _moved(self, answer: int, record: Record, state: str) -> bool:
        if answer < 0:
            raise Conflict(f"{record.subject} is {record.state} and cannot become {state}")
        return answer == 1

    def _keep(self, name: str, arguments: Mapping[str, object], *binary: bytes) -> Any:
        """Run a script whose answer is a promise to somebody."""
        wanted = self._ack_replicas
        if not wanted:
            return self._run(name, arguments, *binary)
        answer, having = self._read(self._scripts.run_replicated, wanted, name, self._timed(arguments), *binary)
        if having < wanted:
            raise LedgerUnavailable(
                f"the write is here but not on {wanted} replicas, only on {having}; start them or lower ACK_REPLICAS"
            )
        return answer

    def _run(self, name: str, arguments: Mapping[str, object], *binary: bytes) -> Any:
        return self._read(self._scripts.run, name, self._timed(arguments), *binary)

    def _timed(self, arguments: Mapping[str, object]) -> dict[str, object]:
        return {"now": "" if self._now_ms is None else str(self._now_ms()), **arguments}

    def _read(self, ask: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return ask(*arguments)
        except RedisError as error:
            raise LedgerUnavailable(f"Redis did not answer as it should: {error}") from error
