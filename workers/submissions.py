"""Submitting jobs for the team's application: a ref first, then the POST, then the job id.

A submission that waits for the budget holds a thread of the web process, so only a few may wait and only for a while;
the others are told when to come again, or ask to be queued (``wait=False``).
"""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from redis import Redis, RedisError

from workers import keys
from workers.budget import NoSlot
from workers.errors import (
    Conflict,
    CredentialsRefused,
    InvalidInput,
    LedgerUnavailable,
    RateLimited,
    ServiceError,
    TemporaryError,
    TooLarge,
    UnreadableAnswer,
    UpstreamRefused,
    UpstreamUnavailable,
)
from workers.identifiers import RefSubject, is_ref, job_id
from workers.records import Record
from workers.rules import rule_for
from workers.states import SHOWN_REF
from workers.steps import Tools
from workers.steps.submit import submit
from workers.work import LEASE_S

IDEMPOTENCY_S = 86_400
WAITING_AT_ONCE = 4
_CROWDED_S = 5.0


class Busy(TemporaryError):
    """Too many submissions wait for the budget; ``retry_after`` says when to come again."""


class IdempotencyMismatch(Conflict):
    """The key was used for another submission."""


@dataclass(frozen=True, slots=True)
class Submission:
    """``state`` in the words of jobs. ``replayed``: an Idempotency-Key was seen before, nothing was submitted now."""

    ref: str
    job_id: str | None
    state: str
    reason: str | None = None
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Chance:
    """What is neither computed nor stored: the time, sleep, and new refs."""

    new_ref: Callable[[], str]
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class Submissions:
    def __init__(self, tools: Tools, redis: Redis, *, patience_s: float, chance: Chance, shared_url: str) -> None:
        self._tools = tools
        self._redis = redis
        self._patience_s = patience_s
        self._chance = chance
        self._room = threading.BoundedSemaphore(WAITING_AT_ONCE)
        self.shared_url = shared_url

    def submit(
        self,
        request: Mapping[str, object],
        *,
        metadata: object = None,
        render: object = None,
        idempotency_key: str | None = None,
        wait: bool = True,
    ) -> Submission:
        """Submit ``request``, Swiftia's own body without ``webhook``.

        Raises ``InvalidInput``, ``Busy``, ``IdempotencyMismatch`` and what Swiftia answers; after ``UpstreamRefused``,
        ``RateLimited`` and ``CredentialsRefused`` nothing has changed. When it stays open whether the job exists, the
        error's values carry the ref under which its callback will find it, and the Idempotency-Key stays taken.
        """
        function = self._checked(request, render)
        fields = {"request": dict(request), "metadata": metadata, "render": render, "function": function}
        ref, known = self._claim_key(idempotency_key, fields)
        if known is not None:
            return known
        due_ms = round(LEASE_S * 1000) if wait else 0
        try:
            if not self._tools.ledger.open_ref(ref, state="queued", fields=fields, due_ms=due_ms):
                return self.look(ref, replayed=True)  # another request with this key came in between
            if not wait:
                return Submission(ref, None, "waiting")
            with self._waiting():
                return self._send(ref)
        except ServiceError as error:
            if _left_open(error):
                error.values["ref"] = ref
            else:
                self._withdraw(ref, idempotency_key)
            raise

    def callback_url(self, *, metadata: object = None, render: object = None) -> tuple[str, str]:
        """Make a ref and the callback URL for a job that the team submits itself."""
        rule_for(self._tools.rules, None, render)
        ref = self._chance.new_ref()
        self._tools.ledger.open_ref(ref, state="open", fields={"metadata": metadata, "render": render}, due_ms=None)
        return ref, self._tools.webhook_url(ref)

    def watch(self, job: str, ref: str | None = None) -> str:
        """Take care of a job that was submitted elsewhere: ``new`` or ``known``. ``Conflict`` if the ref is taken."""
        if ref is not None and not is_ref(ref):
            raise InvalidInput("a ref is what POST /api/callbacks answered under 'ref'")
        return self._tools.ledger.link(ref or "", job_id(job), first_ms=0, by="watch")

    def _checked(self, request: Mapping[str, object], render: object) -> str:
        function = request.get("functionName")
        if not isinstance(function, str) or not function:
            raise InvalidInput("functionName is missing; for shorts it is VideoShorts")
        if "webhook" in request:
            raise InvalidInput("webhook is set by the receiver: leave it out, or ask POST /api/callbacks for a URL")
        rule_for(self._tools.rules, function, render)
        return function

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        if not self._room.acquire(blocking=False):
            raise Busy("too many submissions wait for the request budget; try again later", retry_after=_CROWDED_S)
        try:
            yield
        finally:
            self._room.release()

    def _send(self, ref: str) -> Submission:
        record = self._tools.ledger.claim(RefSubject(ref), "submit")
        if record is None:
            return self.look(ref, replayed=False)
        try:
            self._with_patience(record)
        except (UpstreamUnavailable, UnreadableAnswer, TooLarge) as error:
            if _left_open(error):
                self._tools.ledger.move(record, wait_s=LEASE_S)
            raise
        return self.look(ref, replayed=False)

    def _with_patience(self, record: Record) -> None:
        deadline = self._chance.now() + self._patience_s
        while True:
            try:
                submit(self._tools, record)
            except NoSlot as turn:
                left = deadline - self._chance.now()
                if turn.wait_s > left:
                    raise Busy(
                        "the request budget is spent for now; try again later, or send Prefer: respond-async",
                        retry_after=turn.wait_s,
                    ) from None
                self._chance.sleep(turn.wait_s)
            else:
                return

    def look(self, ref: str, *, replayed: bool) -> Submission:
        """Say what became of a submission."""
        found = self._ask(self._redis.hmget, keys.record(RefSubject(ref)), "state", "job_id", "reason")
        state, job, reason = (value.decode() if value else None for value in found)
        return Submission(ref, job, SHOWN_REF.get(state or "", "waiting"), reason, replayed)

    def _claim_key(self, key: str | None, fields: Mapping[str, object]) -> tuple[str, Submission | None]:
        ref = self._chance.new_ref()
        if key is None:
            return ref, None
        digest = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
        claim = json.dumps({"digest": digest, "ref": ref})
        name = _key_name(key)
        if self._ask(self._redis.set, name, claim, nx=True, ex=IDEMPOTENCY_S):
            return ref, None
        kept = json.loads(self._ask(self._redis.get, name) or claim)
        if kept["digest"] != digest:
            raise IdempotencyMismatch("this Idempotency-Key was used for another submission; make a fresh one")
        if not self._tools.ledger.exists(RefSubject(kept["ref"])):
            return kept["ref"], None  # the process died between taking the key and writing the ref
        return kept["ref"], self.look(kept["ref"], replayed=True)

    def _withdraw(self, ref: str, key: str | None) -> None:
        # The key first: a request that finds it without its ref would take the ref over, and lose its callbacks.
        try:
            if key is not None:
                self._ask(self._redis.delete, _key_name(key))
            self._tools.ledger.erase(RefSubject(ref))
        except LedgerUnavailable as error:
            error.values["ref"] = ref
            raise

    def _ask(self, ask: Callable[..., Any], *arguments: object, **options: object) -> Any:
        try:
            return ask(*arguments, **options)
        except RedisError as error:
            raise LedgerUnavailable(f"Redis did not answer as it should: {error}") from error


def _left_open(error: ServiceError) -> bool:
    """Whether the job may exist, or still come to be: its ref has to stay then."""
    match error:
        case Busy() | InvalidInput() | UpstreamRefused() | RateLimited() | CredentialsRefused():
            return False
        case UpstreamUnavailable():
            return error.sent
    return True


def _key_name(key: str) -> str:
    return keys.idempotency(hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest())
