"""The truth about jobs, renders, submissions and callbacks, and what is due next. In Redis; the only writer of it.

Invariants, kept by every script and checked by the tests:

1. Every unfinished subject stands in exactly one line of what is due, that of its class and account (or target): a
   waiting or fetching job, an unsettled render, a submission that has no answer yet, a pending delivery. A job that is
   rendering is carried by its renders, and a delivery behind another one of its job by that one.
2. Nothing else is due: no settled subject, no erased one, none without a record.
3. Only the moves of ``workers/states.py`` happen.
4. Every write is one script: it happened whole or not at all, and repeating it changes nothing more.
5. An attempt number is given out once and claimed once. What an older attempt, or a second run of the same one, reports
   is not written.
6. A job is settled at the moment when the last of its renders is.
7. A claimed attempt that reports nothing comes back: when its worker says that it is lost, else when its lease lapses.
   What does so ``DEADLY_CRASHES`` times in a row is parked.
8. A lease lapses only while it could be renewed. After a gap, in which Redis was away or its clock jumped ahead, each
   attempt has one more, and the next only after it has said that it lives.
9. When Redis's clock goes back, what is due goes back with it: nothing waits longer than it was told to, and what is
   under way has no less time than before.
10. What is under way is known for each account, as the records say it: whatever ends an attempt frees its place.
11. What is announced is written down by the script that makes it so, once, and goes out in that order for each job.
12. What is packed is a job that has ended and come to rest. Unpacked it is what it was before, to the byte; nothing is
    written about it while it is packed.

Times are milliseconds of Redis's own clock, so machines whose clocks differ agree; tests may give their own.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from redis import Redis, RedisError

from workers import keys, origin, tracing
from workers.attic import Attic
from workers.errors import Conflict, LedgerUnavailable
from workers.identifiers import DeliverySubject, JobSubject, RefSubject, Subject, parse_subject
from workers.nudges import templates
from workers.outbox import NOTHING, Outbox
from workers.parking import group_of
from workers.pipeline import Pipeline
from workers.records import Accepted, Callback, Dispatched, Event, Freeing, Pass, Record, storable, text_fields
from workers.scripts import Scripts, packed
from workers.work import CLASSES, UPSTREAM

ERASED_REMEMBERED_S = 30 * 86_400


class NotReplicated(LedgerUnavailable):
    """The write is on the primary, which may be lost."""


class Ledger:
    """``now_ms``: a clock for tests; without it Redis's own is used.

    ``ack_replicas``: so many replicas must have a callback or a new ref before it counts as kept. ``several``: there
    are several accounts, and none may have all the workers. ``outbox``: what is announced to the team's application.
    ``frees``: a job's files at Swiftia are deleted once all of them are kept here.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        now_ms: Callable[[], int] | None = None,
        ack_replicas: int = 0,
        several: bool = False,
        outbox: Outbox = NOTHING,
        frees: bool = False,
    ) -> None:
        self._redis = redis
        self._ack_replicas = ack_replicas
        self._scripts = Scripts(redis, templates(redis), several=several, outbox=outbox, frees=frees)
        self._attic = Attic(redis, self._scripts.run)
        self._now_ms = now_ms

    # Callbacks and what is known

    def accept(
        self,
        *,
        ref: str,
        job_id: str,
        receipt: str,
        digest: str,
        meta: Mapping[str, object],
        body: bytes,
        account: str = "",
    ) -> Accepted:
        """Keep a callback and make its job due. ``ref`` or ``job_id`` may be empty, not both.

        ``account``: whose job it is if that is not known; else it is not heeded, and the answer says so.
        """
        arguments = {"ref": ref, "job": job_id, "account": account, "receipt": receipt, "digest": digest}
        answer = self._keep("accept", {**arguments, "meta": dict(meta)}, body)
        return Accepted(*(part.decode() for part in answer))

    def pipeline(self) -> Pipeline | None:
        """A way for callbacks that nobody waits on; None where the word of the primary alone is not enough."""
        if self._ack_replicas:
            return None
        sha = self._scripts.sha("accept").encode()

        def words(callback: Callback) -> tuple[bytes, bytes, bytes]:
            arguments = {
                "ref": callback.ref,
                "job": callback.job_id,
                "account": callback.account,
                "receipt": callback.receipt,
                "digest": callback.digest,
                "meta": dict(callback.meta),
            }
            return sha, packed(self._timed(arguments)), callback.body

        return Pipeline(self._redis, words, lambda: self._scripts.load("accept"), clock=time.monotonic)

    def open_ref(self, ref: str, *, state: str, fields: Mapping[str, object], due_ms: int | None) -> bool:
        """Write down a ref before anybody hears of it. False if it is there already."""
        arguments = {"ref": ref, "state": state, "fields": storable(fields), "due_ms": due_ms, **carried()}
        return bool(self._keep("open_ref", arguments))

    def link(
        self,
        ref: str,
        job_id: str,
        *,
        first_ms: int,
        by: str,
        fields: Mapping[str, object] | None = None,
        account: str = "",
        unnamed: str = "",
    ) -> str:
        """Say which job a ref belongs to. Answers ``new`` or ``known``; ``Conflict`` if the ref has another job.

        ``account``: whose job it is; ``Conflict`` if it is another's. ``unnamed``: whose, if nothing else tells.
        """
        arguments = {"ref": ref, "job": job_id, "first_ms": first_ms, "by": by, "fields": storable(fields or {})}
        outcome, found = self._keep("link", {**arguments, "account": account, "unnamed": unnamed, **carried()})
        if outcome == b"conflict":
            raise Conflict(f"this ref belongs to job {found.decode()} already; ask for a fresh callback URL")
        if outcome == b"account":
            raise Conflict(f"this job, or its ref, is the account {found.decode()}'s already; name that one, or none")
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

    def read_scripts(self) -> None:
        """Read what steps use, see ``Scripts.read``."""
        self._scripts.read("begin", "renew", "move", "plan", "link", "drop_bodies")

    def begin(self, subject: Subject, step: str, attempt: int) -> Record | None:
        """Claim an attempt. None if it is over, was begun by another run, or the state calls for another step."""
        answer = self._run("begin", {"subject": str(subject), "step": step, "attempt": str(attempt)})
        if not answer:
            return None
        own, job, now, waiting = answer
        return Record(subject, step, attempt, int(now), text_fields(own), text_fields(job), waiting)

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

    def exists(self, subject: Subject) -> bool:
        return bool(self._read(self._redis.exists, keys.record(subject)))

    def renew(self, subject: Subject, attempt: int) -> bool:
        return bool(self._run("renew", {"subject": str(subject), "attempt": str(attempt)}))

    def move(
        self,
        record: Record,
        state: str = "",
        *,
        outcome: str = "done",
        wait_s: float = 0.0,
        in_place: bool = False,
        hold: bool = False,
        reason: str = "",
        fields: Mapping[str, object] | None = None,
        drop: Sequence[str] = (),
        events: Sequence[Event] = (),
        measured: Mapping[str, int] | None = None,
    ) -> bool:
        """Write how an attempt ended, or with ``hold`` that it goes on. False if another attempt took over.

        ``in_place``: it was not its turn yet, and keeps its place in the line. ``outcome``: what the attempt is counted
        as. ``measured``: what is counted beside it, by its family.
        """
        arguments = {
            **_of_move(record, state, fields or {}, events),
            "outcome": outcome,
            "measured": dict(measured or {}),
            "wait_ms": round(wait_s * 1000),
            "in_place": int(in_place),
            "hold": int(hold),
            "reason": reason,
            "group": group_of(reason) if reason else "",
            "drop": list(drop),
        }
        return self._moved(self._run("move", arguments), record, state)

    def intend(
        self, record: Record, state: str, *, fields: Mapping[str, object] | None = None, events: Sequence[Event] = ()
    ) -> bool:
        """Write what the attempt is about to do and cannot take back. False if another attempt took over.

        Where replicas are to have what is acknowledged they must have this too: raises ``LedgerUnavailable`` where they
        do not, and takes it back.
        """
        arguments = {
            **_of_move(record, state, fields or {}, events),
            "wait_ms": 0,
            "in_place": 0,
            "hold": 1,
            "reason": "",
            "drop": [],
        }
        try:
            return self._moved(self._keep("move", arguments), record, state)
        except NotReplicated:
            self.move(record, record.state, hold=True)
            raise

    def plan(
        self, record: Record, renders: Sequence[Mapping[str, object]], fields: Mapping[str, object], *, size: int = 0
    ) -> bool:
        """The result, of ``size`` bytes, is kept: go on to its renders. False if another attempt took over."""
        arguments = {
            "subject": str(record.subject),
            "attempt": str(record.attempt),
            "fields": storable(fields),
            "bytes": size,
            "renders": [storable(render) for render in renders],
            "events": [["result", {"shorts": fields.get("shorts", 0), "renders": len(renders)}]],
        }
        return self._moved(self._run("plan", arguments), record, "rendering")

    def lost(self, subject: Subject, attempt: int, *, reason: str, crashed: bool) -> bool:
        """Say that the run of a claimed attempt ended without an outcome. False if the attempt is over or never began.

        ``crashed``: it took its worker down, and ``reason`` says how: it waits a little, and is parked after too many
        in a row. Otherwise a stop cut it off, and it is dispatched again at once.
        """
        arguments = {"subject": str(subject), "attempt": str(attempt), "reason": reason, "crashed": int(crashed)}
        return bool(self._run("lost", arguments))

    def dispatch(self, lane: str, account: str = "", *, most: int, turn: bool = False) -> Dispatched:
        """Pass one lane, see ``Pass``."""
        (done,) = self.dispatch_all([Pass(lane, account, most=most, turn=turn)])
        return done

    def dispatch_all(self, passes: Sequence[Pass]) -> list[Dispatched]:
        """Nudge what is due in some lanes, in each the most important class first."""
        asked = [{"lane": p.lane, "account": p.account, "most": p.most, "turn": int(p.turn)} for p in passes]
        return [
            Dispatched(nudged, parked, next_ms if next_ms >= 0 else None, silent, back_ms, queued)
            for nudged, parked, next_ms, silent, back_ms, queued in self._run("dispatch", {"passes": asked})
        ]

    def unfinished(self) -> dict[str, int]:
        """How much is to be asked of Swiftia yet, for each account that ever had a job here, and for none."""
        found: dict[str, int] = {}
        for account in ["", *sorted(name.decode() for name in self._read(self._redis.smembers, keys.ACCOUNTS))]:
            lines = [keys.due(keys.line(name, account)) for name in CLASSES[UPSTREAM]]
            found[account] = sum(self._read(self._redis.zcard, line) for line in lines)
        return found

    # Files at Swiftia that are kept here

    def take_freeing(self, *, again_s: float) -> Freeing | None:
        """The job whose files are to be deleted there next. It comes again after ``again_s`` unless ``freed``."""
        answer = self._run("take_freeing", {"again_ms": round(again_s * 1000)})
        return Freeing(answer[0].decode(), answer[1].decode(), answer[2]) if answer else None

    def freed(self, job_id: str, event: str, **fields: object) -> bool:
        """They are deleted, or will not be."""
        return bool(self._run("freed", {"subject": job_id, "event": event, "fields": fields}))

    # What has come to rest

    def pack_one(self) -> bool:
        """Pack the next job that has come to rest, so that it takes little room. False if there is none just now."""
        return bool(self._read(self._attic.pack_one, self._timed({})))

    # What a person asks for

    def retry(self, subject: JobSubject | RefSubject) -> int:
        """Set going again what is parked or failed. Answers how many subjects that were."""
        return int(self._run("retry", {"subject": str(subject), **carried()}))

    def redeliver(self, subject: DeliverySubject) -> bool:
        """Send again what was delivered or parked, when its turn comes. False if it is on its way, or not there."""
        return bool(self._run("redeliver", {"subject": str(subject), **carried()}))

    def parked_deliveries(self, *, since_ms: int, most: int) -> list[DeliverySubject]:
        """What was parked at ``since_ms`` or later, the oldest first."""
        names = self._read(self._redis.zrangebyscore, keys.PARKED_DELIVERIES, since_ms, "+inf", 0, most)
        parsed = [parse_subject(name.decode()) for name in names]
        return [subject for subject in parsed if isinstance(subject, DeliverySubject)]

    def old(self, *, age_s: float, most: int) -> list[JobSubject | RefSubject]:
        """What finished or failed so long ago, the first first."""
        found = self._run("old", {"old_ms": round(age_s * 1000), "most": most})
        parsed = [parse_subject(name.decode()) for name in found]
        return [subject for subject in parsed if isinstance(subject, JobSubject | RefSubject)]

    def refs(self, subject: JobSubject | RefSubject) -> list[str]:
        """Every ref that stands for a job or a submission."""
        found = self._read(self._redis.hmget, keys.record(subject), "ref", "more_refs")
        own = [subject.ref] if isinstance(subject, RefSubject) else []
        return own + b" ".join(names for names in found if names).decode().split()

    def fence(self, subject: JobSubject | RefSubject, *, age_s: float | None = None) -> bool:
        """End every attempt on a job and its renders, so that nothing writes about it any more.

        ``age_s``: only if it ended so long ago, none of its deliveries is on its way, and nobody else erases it now.
        """
        return bool(self._erase(subject, fence=1, old_ms=None if age_s is None else round(age_s * 1000)))

    def erase(self, subject: JobSubject | RefSubject) -> bool:
        """Remove every key of a job."""
        return bool(self._keep("erase", self._of_erase(subject, fence=0)))

    def withdraw(self, subject: RefSubject, attempt: int) -> bool:
        """Remove a submission that came to nothing, and its Idempotency-Key. False if a later attempt has begun."""
        return bool(self._erase(subject, fence=0, attempt=str(attempt)))

    def _erase(self, subject: Subject, *, fence: int, old_ms: int | None = None, attempt: str | None = None) -> int:
        return int(self._run("erase", self._of_erase(subject, fence=fence, old_ms=old_ms, attempt=attempt)))

    def _of_erase(
        self, subject: Subject, *, fence: int, old_ms: int | None = None, attempt: str | None = None
    ) -> dict[str, object]:
        remember_ms = ERASED_REMEMBERED_S * 1000
        asked = {"subject": str(subject), "fence": fence, "old_ms": old_ms, "attempt": attempt}
        return {**asked, "remember_ms": remember_ms}

    def _moved(self, answer: int, record: Record, state: str) -> bool:
        if answer < 0:
            raise Conflict(f"{record.subject} is {record.state} and cannot become {state}")
        return answer == 1

    def _keep(self, name: str, arguments: Mapping[str, object], *binary: bytes) -> Any:
        """Run a script whose answer is a promise to somebody."""
        wanted = self._ack_replicas
        if not wanted:
            return self._run(name, arguments, *binary)
        given = self._timed(arguments)
        ask = partial(self._scripts.run_replicated, wanted, name, given, *binary)
        answer, having = self._read(self._attic.unpacked, self._timed({}), ask)
        if having < wanted:
            raise NotReplicated(
                f"the write is here but not on {wanted} replicas, only on {having}; start them or lower ACK_REPLICAS"
            )
        return answer

    def _run(self, name: str, arguments: Mapping[str, object], *binary: bytes) -> Any:
        ask = partial(self._scripts.run, name, self._timed(arguments), *binary)
        return self._read(self._attic.unpacked, self._timed({}), ask)

    def _timed(self, arguments: Mapping[str, object]) -> dict[str, object]:
        return {"now": "" if self._now_ms is None else str(self._now_ms()), **arguments}

    def _read(self, ask: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return ask(*arguments)
        except RedisError as error:
            raise LedgerUnavailable(f"Redis did not answer as it should: {error}") from error


def _of_move(record: Record, state: str, fields: Mapping[str, object], events: Sequence[Event]) -> dict[str, object]:
    return {
        "subject": str(record.subject),
        "attempt": str(record.attempt),
        "state": state,
        "fields": storable(fields),
        "events": [[name, dict(values)] for name, values in events],
        "outcome": "",
        "measured": {},
    }


def carried() -> dict[str, str]:
    """What goes with a piece of work that is set going here and now: the id of the request, and its trace."""
    found = {"request_id": request_id} if (request_id := origin.ids().get("request_id")) else {}
    if traceparent := tracing.traceparent():
        found["trace"] = traceparent
    return found
