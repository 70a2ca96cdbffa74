"""The organization's request budget: one sliding window in Redis for every process on every machine.

A request takes a slot right before it is sent and settles it when the answer is there. Between the two the slot is
counted as if the request took ``TRANSIT_S`` to arrive, so the window upstream is never overrun by what is on its way.
More important classes go first: whoever finds no slot leaves a claim, and less important ones leave room for it. But
each ``TURN_EVERY``-th slot goes to the one that has waited longest among the less important.

What Swiftia says comes first. A 429 pauses everybody, and is counted by its cause: ``shrunk`` (its limit is lower than
ours was), ``stranger`` (somebody else spends too), or ``ours``, which widens the margin that each slot counts longer.
Requests that fail in a row open the breaker, and a refused key does the same: nobody sends for a while, then one probe
at a time finds out.

When Redis's clock goes back, ``rewind`` brings everything back with it. When it jumps ahead, slots leave the window
early: nothing tells that from time that has passed, and Swiftia's 429 with its pause sets it right.
"""

import hashlib
import json
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog
from redis import Redis, RedisError

from workers import keys
from workers.errors import LedgerUnavailable, ServiceError
from workers.exchanges import Answer, is_success
from workers.limits import AHEAD_S, RateLimit, read_stated
from workers.scripts import Scripts, counting, source
from workers.standing import BudgetState, Peek, read_peek, read_state
from workers.verdicts import FINE, NOTHING, verdict
from workers.window import RANKS, rules

_log = structlog.get_logger("workers.budget")


class NoSlot(Exception):
    """No request may leave for another ``wait_s`` seconds. No error of ours: the step waits its turn."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"no request may leave for {wait_s:.3f} s")
        self.wait_s = wait_s


class _Held(threading.local):
    """The slot in whose place this thread sends. ``kept``: what is known of a success, and not told yet."""

    slot = ""
    followed = False
    answered = False
    alarmed = False

    def __init__(self) -> None:
        self.kept: Mapping[str, object] = {}


class Budget:
    """``now_ms``: a clock for tests; without it Redis's own is used. ``clock``: monotonic seconds. ``chance`` gives a
    number in [0, 1).
    """

    def __init__(
        self,
        redis: Redis,
        limit: RateLimit,
        *,
        account: str = "",
        now_ms: Callable[[], int] | None = None,
        chance: Callable[[], float] = random.random,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit = limit
        self._account = account
        library = f"{counting(keys.budget_measures(account))}{source('budget')}\n"
        self._scripts = Scripts(redis, known=rules(limit, account), library=library)
        self._now_ms = now_ms
        self._chance = chance
        self._sleep = sleep
        self._clock = clock
        self._held = _Held()

    @contextmanager
    def slot(self, name: str, claim: str, *, followed: bool = False) -> Iterator[None]:
        """Send one request inside. ``name``: its class; ``claim``: who asks. Raises ``NoSlot`` before it is sent.

        Waits for ``AHEAD_S`` at most. Errors of the exchange have to pass: they tell the breaker how Swiftia is.
        ``followed``: the caller writes to the ledger after it in any case; of a success the books hear with that.
        """
        held = self._held
        if claim:  # slots outlive the job that took them, which may be erased: none is to tell its name
            claim = hashlib.sha256(claim.encode()).hexdigest()[:16]
        held.slot, held.answered, held.alarmed = self._in_turn(name, claim or secrets.token_hex(8)), False, False
        held.followed, held.kept = followed, {}
        told = NOTHING
        try:
            yield
            told = FINE
        except ServiceError as error:
            told = verdict(error, window_s=self.limit.window_ms / 1000)
            raise
        finally:
            slot, held.slot = held.slot, ""
            if held.kept and told == FINE:
                self._settle_later(slot, {**held.kept, **FINE})
            # Other exchanges have been settled when their answer came, and nobody waits for most verdicts.
            elif not held.answered or held.alarmed or told != FINE:
                self._last_word(slot, told)

    def _in_turn(self, name: str, claim: str) -> str:
        waited = 0.0
        while isinstance(taken := self.take(name, claim, stay_s=AHEAD_S - waited), float):
            if waited + taken > AHEAD_S:
                raise NoSlot(taken)
            self._sleep(taken)
            waited += taken
        return taken

    def _last_word(self, slot: str, told: Mapping[str, object]) -> None:
        if self._held.answered:
            told = {name: value for name, value in told.items() if name != "status"}  # it was told with the answer
        self._settle_anyway(slot, {**self._held.kept, **told})

    def _settle_anyway(self, slot: str, told: Mapping[str, object]) -> None:
        try:
            self._settle(slot, told)
        except LedgerUnavailable as error:
            # What was sent and answered counts: nothing of it may be lost to the books.
            _log.warning("budget.unsettled", reason=error.message)

    def read_scripts(self) -> None:
        """Read what each request uses, see ``Scripts.read``."""
        self._scripts.read("take", "settle")

    def take(self, name: str, claim: str, *, stay_s: float = 0.0) -> str | float:
        """A slot's name, or the seconds until one may be free. ``stay_s``: how long the caller would wait for it."""
        arguments = {"rank": RANKS[name], "id": claim, "stay_ms": round(stay_s * 1000)}
        granted, answer = self._run("take", arguments)
        return str(answer.decode()) if granted else answer / 1000

    def settle(self, slot: str, *, pause_s: float = 0.0) -> None:
        """The answer came; ``pause_s`` keeps every process away for so long."""
        self._settle(slot, {"arrived": 1, "pause_ms": round(pause_s * 1000)})

    def observe(self, answer: Answer) -> None:
        """Settle the slot in whose place this thread sent, and heed what the answer's headers say of the limit.

        An exchange that ended without an answer counts too: who hears of its end so soon is no longer waited for.
        """
        stated = read_stated(answer.headers)
        known = {"status": answer.status, "limit": stated.limit, "left": stated.left}
        told = {name: value for name, value in known.items() if value is not None}
        code = "none" if answer.status is None else str(answer.status)
        measured = {"route": answer.route, "code": code, "took_ms": round(answer.elapsed_s * 1000)}
        held = self._held
        if held.followed and is_success(answer.status):
            held.kept = {"arrived": 1, **told, **measured}
            return
        news = self._settle(held.slot, {"arrived": 1, **told, **measured})
        held.answered, held.alarmed = True, bool(news["alarmed"])

    def peek(self) -> Peek:
        """Raise LedgerUnavailable when Redis does not answer."""
        return read_peek(self._look())

    def state(self) -> BudgetState:
        """Raise LedgerUnavailable when Redis does not answer."""
        return read_state(self._look(), window_ms=self.limit.window_ms, classes=tuple(RANKS))

    def rewind(self, ms: int) -> None:
        """Redis's clock went back by ``ms``: nothing may lie further ahead than it could have been booked now.

        Else no slot would come free for as long as the clock went back. Whoever waits has to claim anew; apart from
        that, doing it twice changes nothing.
        """
        self._run("rewind", {"back_ms": ms})

    def _settle(self, slot: str, told: Mapping[str, object]) -> Mapping[str, Any]:
        luck = {"luck": self._chance()} if "verdict" in told else {}
        return self._news(self._run("settle", {"slot": slot, **told, **luck}))

    def _settle_later(self, slot: str, told: Mapping[str, object]) -> None:
        answered = self._clock()

        def late() -> Mapping[str, object]:
            return {**told, "ago_ms": round((self._clock() - answered) * 1000)}

        def arguments() -> Mapping[str, object]:
            return {"now": self._now(), "slot": slot, **late()}

        self._scripts.run_later("settle", arguments, self._news, lambda: self._settle_anyway(slot, late()))

    def _news(self, answer: bytes) -> Mapping[str, Any]:
        news: Mapping[str, Any] = json.loads(answer)
        self._tell(news)
        return news

    def _tell(self, news: Mapping[str, Any]) -> None:
        account = {"account": self._account} if self._account else {}
        if cause := news.get("cause"):
            _log.warning("swiftia.limited", cause=cause, **account)
        if limit := news.get("limit"):
            _log.warning("swiftia.limit", allowed=limit, configured=self.limit.requests, **account)
        if news.get("refused"):
            _log.error("swiftia.credentials", said="Swiftia refuses the API key; upstream work waits for it", **account)
        if news.get("mended"):
            _log.warning("swiftia.credentials_work", **account)
        if opened_ms := news.get("opened_ms"):
            _log.error("swiftia.away", pause_s=opened_ms / 1000, **account)
        if news.get("closed"):
            _log.warning("swiftia.back", **account)

    def _look(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = json.loads(self._run("peek", {"ahead_ms": round(AHEAD_S * 1000)}))
        return found

    def _run(self, name: str, arguments: Mapping[str, object]) -> Any:
        try:
            return self._scripts.run(name, {"now": self._now(), **arguments})
        except RedisError as error:
            raise LedgerUnavailable(f"the request budget cannot be read: {error}") from error

    def _now(self) -> str:
        return "" if self._now_ms is None else str(self._now_ms())
