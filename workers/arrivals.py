"""The part of the ledger that takes what comes in: callbacks and their bodies, refs, and which job a ref belongs to."""

import json
import time
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from workers import keys
from workers.errors import Conflict
from workers.identifiers import JobSubject, RefSubject
from workers.pipeline import Pipeline
from workers.records import Accepted, Callback, storable
from workers.replicated import ReplicatedPipeline
from workers.scribe import Scribe, carried
from workers.scripts import packed


class Arrivals(Scribe):
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

    def pipeline(self) -> Pipeline:
        """A way for callbacks that nobody waits on."""
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

        load = partial(self._scripts.load, "accept")
        if self._ack_replicas:
            return ReplicatedPipeline(self._redis, words, load, clock=time.monotonic, replicas=self._ack_replicas)
        return Pipeline(self._redis, words, load, clock=time.monotonic)

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

    def drop_bodies(self, owner: JobSubject | RefSubject, receipts: Iterable[str]) -> bool:
        """Forget bodies that are kept as artifacts now. False if their job, or ref, has been erased meanwhile."""
        found = self._run("drop_bodies", {"subject": str(owner), "receipts": list(receipts)})
        return bool(found)

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
