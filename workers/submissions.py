"""Submitting jobs for the team's application: a ref first, then the POST, then the job id.

A submission that waits for the budget holds a thread of the web process, so only a few may wait and only for a while;
the others are told when to come again, or ask to be queued (``wait=False``).
"""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import structlog
from redis import Redis, RedisError

from workers import keys
from workers.budget import NoSlot
from workers.errors import (
    Busy,
    Conflict,
    CredentialsRefused,
    InvalidInput,
    LedgerUnavailable,
    RateLimited,
    ServiceError,
    TooLarge,
    UnreadableAnswer,
    UpstreamRefused,
    UpstreamUnavailable,
)
from workers.guards import Notes, check_request
from workers.identifiers import JobSubject, RefSubject, is_ref, job_id
from workers.outbox import target_of
from workers.records import Record, quoted
from workers.rules import rule_for
from workers.states import SHOWN_REF
from workers.steps import Tools
from workers.steps.submit import submit
from workers.work import LEASE_S

IDEMPOTENCY_S = 86_400
WAITING_AT_ONCE = 4
WAITING_OF_ONE = 2
_CROWDED_S = 5.0
_SHOWN_OF_REF = 6
_NOBODYS_REF = "0" * 22
_log = structlog.get_logger("workers.submissions")


class IdempotencyMismatch(Conflict):
    """The key was used for another submission."""


@dataclass(frozen=True, slots=True)
class Submission:
    """``state`` in the words of jobs. ``replayed``: an Idempotency-Key was seen before, nothing was submitted now.

    ``notes``: what is not known of it here, and was passed on to Swiftia all the same.
    """

    ref: str
    job_id: str | None
    state: str
    reason: str | None = None
    replayed: bool = False
    notes: Notes = ()


@dataclass(frozen=True, slots=True)
class Draft:
    """A submission that was looked over. ``request``: what Swiftia gets, but for the secret in the webhook."""

    request: Mapping[str, object]
    account: str
    function: str
    notes: Notes


@dataclass(frozen=True, slots=True)
class Chance:
    """What is neither computed nor stored: the time, sleep, and new refs."""

    new_ref: Callable[[], str]
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class Submissions:
    """``shared_url``: gives that of an account."""

    def __init__(
        self, tools: Tools, redis: Redis, *, patience_s: float, chance: Chance, shared_url: Callable[[str], str]
    ) -> None:
        self._tools = tools
        self._accounts = tools.upstreams.accounts
        self._redis = redis
        self._patience_s = patience_s
        self._chance = chance
        self._room = threading.BoundedSemaphore(WAITING_AT_ONCE)
        # Where there are several accounts, one that does not answer leaves room for the others.
        each = WAITING_OF_ONE if self._accounts.several else WAITING_AT_ONCE
        self._rooms = {name: threading.BoundedSemaphore(each) for name in self._accounts.by_name}
        self._shared_url = shared_url

    def submit(
        self,
        request: Mapping[str, object],
        *,
        metadata: object = None,
        render: object = None,
        idempotency_key: str | None = None,
        wait: bool = True,
        account: str | None = None,
        delivery: str | None = None,
    ) -> Submission:
        """Submit ``request``, Swiftia's own body without ``webhook``.

        ``account``: whose job it is to be; it may be left out where that is clear. ``delivery``: where it is told of,
        empty for nowhere, None for where its account's jobs are.
        Raises ``InvalidInput``, ``Busy``, ``IdempotencyMismatch`` and what Swiftia answers; after ``UpstreamRefused``,
        ``RateLimited`` and ``CredentialsRefused`` nothing has changed. When it stays open whether the job exists, the
        error's values carry the ref under which its callback will find it, and the Idempotency-Key stays taken.
        """
        draft = self.look_over(request, render=render, account=account)
        fields = {"request": dict(request), "metadata": quoted(metadata), "render": render, "function": draft.function}
        fields |= _owned(draft.account) | _addressed(delivery)
        ref, known = self._claim_key(idempotency_key, fields)
        if known is None:
            if draft.notes:
                _log.info("submission.noted", ref=ref[:_SHOWN_OF_REF], notes=list(draft.notes))
            # To be erased with the job.
            beside = {} if idempotency_key is None else {"claim": _digest(idempotency_key)}
            known = self._open(ref, {**fields, **beside}, wait=wait, account=draft.account)
        return replace(known, notes=draft.notes)

    def _open(self, ref: str, fields: Mapping[str, object], *, wait: bool, account: str) -> Submission:
        due_ms, attempt = round(LEASE_S * 1000) if wait else 0, 0
        try:
            told = {"told": 1} if wait else {}  # who waits hears of a refusal, and needs no delivery
            if not self._tools.ledger.open_ref(ref, state="queued", fields={**fields, **told}, due_ms=due_ms):
                return self.look(ref, replayed=True)  # another request with this key came in between
            if not wait:
                return Submission(ref, None, "waiting")
            with self._waiting(self._rooms[account]):
                record = self._tools.ledger.claim(RefSubject(ref), "submit")
                if record is None:
                    return self.look(ref, replayed=False)
                attempt = record.attempt
                return self._send(record, ref)
        except ServiceError as error:
            if _left_open(error):
                error.values["ref"] = ref
            elif not self._withdraw(ref, attempt):
                return self.look(ref, replayed=False)  # it took so long that a worker has it in hand
            raise

    def look_over(self, request: Mapping[str, object], *, render: object = None, account: str | None = None) -> Draft:
        """Check a submission, and neither store nor send anything. Raises ``InvalidInput``."""
        account = self._accounts.choose(account)
        if "webhook" in request:
            raise InvalidInput("webhook is set by the receiver: leave it out, or ask POST /api/callbacks for a URL")
        notes = check_request(request)
        function = str(request["functionName"])
        rule = rule_for(self._tools.upstreams.of(account).rules, function, render)
        address = self._tools.webhook_url(_NOBODYS_REF).rpartition("/")[0]
        return Draft({**request, "webhook": f"{address}/<token>"}, account, function, (*notes, *rule.notes))

    def callback_url(
        self,
        *,
        metadata: object = None,
        render: object = None,
        account: str | None = None,
        delivery: str | None = None,
    ) -> tuple[str, str]:
        """Make a ref and the callback URL for a job that the team submits itself."""
        account = self._accounts.choose(account)
        rule_for(self._tools.upstreams.of(account).rules, None, render)
        ref = self._chance.new_ref()
        fields = {"metadata": quoted(metadata), "render": render, **_owned(account), **_addressed(delivery)}
        self._tools.ledger.open_ref(ref, state="open", fields=fields, due_ms=None)
        return ref, self._tools.webhook_url(ref)

    def shared_url(self, account: str | None = None) -> str:
        """Give the one callback URL for all jobs that the team submits itself with that account's key."""
        return self._shared_url(self._accounts.choose(account))

    def watch(self, job: str, ref: str | None = None, account: str | None = None) -> str:
        """Take care of a job that was submitted elsewhere: ``new`` or ``known``.

        ``Conflict`` if the ref is taken, or if the job or the ref is another account's.
        """
        if ref is not None and not is_ref(ref):
            raise InvalidInput("a ref is what POST /api/callbacks answered under 'ref'")
        unnamed = self._accounts.unnamed
        if account or (unnamed is None and not self._is_known(job_id(job), ref)):
            account = self._accounts.choose(account)
        return self._tools.ledger.link(
            ref or "", job_id(job), first_ms=0, by="watch", account=account or "", unnamed=unnamed or ""
        )

    def _is_known(self, job: str, ref: str | None) -> bool:
        """Tell whether the job is there already, or its ref says whose it is."""
        refs = ref and self._ask(self._redis.hget, keys.record(RefSubject(ref)), "account")
        return bool(refs) or self._tools.ledger.exists(JobSubject(job))

    @contextmanager
    def _waiting(self, own: threading.BoundedSemaphore) -> Iterator[None]:
        with ExitStack() as held:
            for room in (own, self._room):
                if not room.acquire(blocking=False):
                    said = "too many submissions wait for the request budget; try again later"
                    raise Busy(said, retry_after=_CROWDED_S)
                held.callback(room.release)
            yield

    def _send(self, record: Record, ref: str) -> Submission:
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
        """Say what became of a submission. ``replayed``: of an earlier request, whose answer may have been 503."""
        if replayed:
            self._tools.ledger.check()  # what was not on the replicas then is there now, or this is answered alike
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

    def _withdraw(self, ref: str, attempt: int) -> bool:
        """Leave nothing of it, unless a later attempt than this one has begun: then it may be submitted by now."""
        try:
            return self._tools.ledger.withdraw(RefSubject(ref), attempt)
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


def _owned(account: str) -> dict[str, object]:
    # Left out where it is empty: what was submitted before there were accounts looks the same when it comes again.
    return {"account": account} if account else {}


def _addressed(delivery: str | None) -> dict[str, object]:
    if delivery is None:
        return {}
    return {"delivery_url": delivery, "target": target_of(delivery)} if delivery else {"target": ""}


def _key_name(key: str) -> str:
    return keys.idempotency(_digest(key))


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
