"""One attempt of a step: claim it, do it, write how it ended. Whatever the step raises becomes an outcome here."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import structlog

from workers import backoff
from workers.budget import CREDENTIALS_PAUSE_S, NoSlot
from workers.errors import CredentialsRefused, LedgerUnavailable, PermanentError, RateLimited, TemporaryError
from workers.identifiers import Subject
from workers.ledger import Ledger
from workers.outcomes import Done, Failed, Outcome, Retry, Wait
from workers.records import Record
from workers.steps import Tools
from workers.steps.fetch import fetch
from workers.steps.keep import keep
from workers.steps.render import render
from workers.steps.submit import submit
from workers.steps.watch import watch
from workers.work import RENEW_EVERY_S

Step = Callable[[Tools, Record], Outcome]
# The names stand in queued jobs and in the ledger: they stay.
STEPS: Final[Mapping[str, Step]] = {"submit": submit, "fetch": fetch, "render": render, "watch": watch, "keep": keep}

_log = structlog.get_logger("workers.attempts")


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how far apart a failing step is tried. Seconds; ``chance`` gives a number in [0, 1)."""

    max_attempts: int
    base_s: float
    cap_s: float
    chance: Callable[[], float]


class Attempts:
    """``now``: a monotonic clock in seconds, for the log."""

    def __init__(
        self, tools: Tools, patience: Patience, *, now: Callable[[], float], steps: Mapping[str, Step] = STEPS
    ) -> None:
        self._tools = tools
        self._patience = patience
        self._now = now
        self._steps = steps

    def run(self, step: str, subject: Subject, attempt: int) -> None:
        """Do one nudge. One that is late, doubled or out of place does nothing."""
        record = self._tools.ledger.begin(subject, step, attempt)
        if record is None:
            _log.debug("step.stale", step=step, subject=str(subject), attempt=attempt)
            return
        began = self._now()
        outcome = self._outcome(record)
        self._write(record, outcome)
        self._tell(record, outcome, self._now() - began)

    def _outcome(self, record: Record) -> Outcome:
        try:
            with renewed(self._tools.ledger, record):
                return self._steps[record.step](self._tools, record)
        except LedgerUnavailable:
            raise  # nothing can be written now: the lease runs out, and the step comes back
        except Exception as error:  # noqa: BLE001 - whatever a step raises, its attempt has an outcome
            return self._judged(record, error)

    def _judged(self, record: Record, error: Exception) -> Outcome:
        match error:
            case NoSlot():
                return Wait(error.wait_s)
            case CredentialsRefused():
                _log.error("swiftia.credentials", reason=error.message)
                return Wait(CREDENTIALS_PAUSE_S)
            case RateLimited():
                return Wait(max(error.retry_after or 0.0, self._tools.budget.limit.window_ms / 1000))
            case TemporaryError():
                return Retry(error.message, at_least=error.retry_after or 0.0)
            case PermanentError():
                return Failed(error.message)
        _log.error("step.crashed", step=record.step, subject=str(record.subject), exc_info=error)
        return Retry(f"{type(error).__name__}: this is a fault of the receiver, its log has the traceback")

    def _write(self, record: Record, outcome: Outcome) -> None:
        ledger = self._tools.ledger
        match outcome:
            case Done():
                return
            case Wait(seconds, state, fields):
                ledger.move(record, state, wait_s=seconds, fields=fields)
            case Failed(reason):
                ledger.move(record, "parked", reason=reason)
            case Retry(reason, at_least):
                self._again(ledger, record, reason, at_least)

    def _again(self, ledger: Ledger, record: Record, reason: str, at_least: float) -> None:
        tries = record.tries + 1
        if tries >= self._patience.max_attempts:
            ledger.move(record, "parked", reason=f"{record.step} failed {tries} times, last because: {reason}")
            return
        seconds = backoff.delay(
            tries,
            base_s=self._patience.base_s,
            cap_s=self._patience.cap_s,
            at_least_s=at_least,
            chance=self._patience.chance,
        )
        events = [("retry", {"step": record.step, "tries": tries, "reason": reason})]
        ledger.move(record, wait_s=max(seconds, 0.001), fields={"tries": tries}, events=events)

    def _tell(self, record: Record, outcome: Outcome, seconds: float) -> None:
        _log.info(
            "step.attempted",
            step=record.step,
            subject=str(record.subject),
            outcome=type(outcome).__name__.lower(),
            reason=getattr(outcome, "reason", None),
            attempt=record.attempt,
            ms=round(seconds * 1000),
        )


@contextmanager
def renewed(ledger: Ledger, record: Record, *, every_s: float = RENEW_EVERY_S) -> Iterator[None]:
    """Keep the lease of a claimed attempt while the block runs, so that only a dead step falls silent."""
    over = threading.Event()

    def renew() -> None:
        while not over.wait(every_s):
            try:
                if not ledger.renew(record.subject, record.attempt):
                    return
            except LedgerUnavailable:
                continue

    thread = threading.Thread(target=renew, name="renew-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
