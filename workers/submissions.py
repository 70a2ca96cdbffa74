"""Submitting jobs for the team's application: a ref first, then the POST, then the job id.

A submission waits for the budget only for a while, and only if it has one of the seats; the others are told when to
come again, or ask to be queued (``wait=False``).
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import structlog
from redis import Redis

from workers import keys
from workers.budget import NoSlot
from workers.errors import (
    Busy,
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
from workers.idempotency import Claims, digest_of
from workers.identifiers import RefSubject
from workers.reader import asked
from workers.records import Record, wishes_of
from workers.rules import rule_for
from workers.seats import Seats
from workers.states import SHOWN_REF
from workers.steps import Tools
from workers.steps.submit import submit
from workers.work import LEASE_S

_SHOWN_OF_REF = 6
_NOBODYS_REF = "0" * 22
_log = structlog.get_logger("workers.submissions")


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
    """``patience_s``: so long a submission waits for the budget."""

    def __init__(self, tools: Tools, redis: Redis, *, patience_s: float, chance: Chance) -> None:
        self._tools = tools
        self._accounts = tools.upstreams.accounts
        self._redis = redis
        self._patience_s = patience_s
        self._chance = chance
        self._claims = Claims(redis)
        self._seats = Seats(self._accounts)

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
        wishes = wishes_of(metadata=metadata, render=render, account=draft.account, delivery=delivery)
        fields = {"request": dict(request), "function": draft.function, **wishes}
        ref, known = self._claim(idempotency_key, fields)
        if known is None:
            if draft.notes:
                _log.info("submission.noted", ref=ref[:_SHOWN_OF_REF], notes=list(draft.notes))
            # To be erased with the job.
            beside = {} if idempotency_key is None else {"claim": digest_of(idempotency_key)}
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
            with self._seats.taken(account):
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
        found = asked(self._redis.hmget, keys.record(RefSubject(ref)), "state", "job_id", "reason")
        state, job, reason = (value.decode() if value else None for value in found)
        return Submission(ref, job, SHOWN_REF.get(state or "", "waiting"), reason, replayed)

    def _claim(self, key: str | None, fields: Mapping[str, object]) -> tuple[str, Submission | None]:
        """Give the ref to submit under; beside it what became of it, where the key was used for it before."""
        ref = self._chance.new_ref()
        taken = ref if key is None else self._claims.take(key, ref, fields)
        if taken == ref or not self._tools.ledger.exists(RefSubject(taken)):
            return taken, None  # not there: the process died between taking the key and writing the ref
        return taken, self.look(taken, replayed=True)

    def _withdraw(self, ref: str, attempt: int) -> bool:
        """Leave nothing of it, unless a later attempt than this one has begun: then it may be submitted by now."""
        try:
            return self._tools.ledger.withdraw(RefSubject(ref), attempt)
        except LedgerUnavailable as error:
            error.values["ref"] = ref
            raise


def _left_open(error: ServiceError) -> bool:
    """Whether the job may exist, or still come to be: its ref has to stay then."""
    match error:
        case Busy() | InvalidInput() | UpstreamRefused() | RateLimited() | CredentialsRefused():
            return False
        case UpstreamUnavailable():
            return error.sent
    return True
