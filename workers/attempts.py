"""One attempt of a step: claim it, do it, write how it ended. Whatever the step raises becomes an outcome here.

But for what would take the next worker down too, as a fault in a library would: no memory, no end. That is a crash.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from workers import backoff, tracing
from workers.budget import NoSlot
from workers.errors import (
    CredentialsRefused,
    LedgerUnavailable,
    PermanentError,
    RateLimited,
    StoreFull,
    TemporaryError,
    UnreadableAnswer,
    UpstreamUnavailable,
)
from workers.identifiers import Subject
from workers.leases import Leases
from workers.ledger import Ledger
from workers.limits import AHEAD_S
from workers.origin import working_on
from workers.outcomes import Done, Failed, Outcome, Retry, Wait, name_of
from workers.records import Record
from workers.steps import Tools
from workers.steps.deliver import deliver
from workers.steps.fetch import fetch
from workers.steps.keep import keep
from workers.steps.render import render
from workers.steps.submit import submit
from workers.steps.watch import watch
from workers.window import CREDENTIALS_PAUSE_S
from workers.work import FULL_PAUSE_S

Step = Callable[[Tools, Record], Outcome]
# The names stand in queued jobs and in the ledger: they stay.
STEPS: Final[Mapping[str, Step]] = {
    "submit": submit,
    "fetch": fetch,
    "render": render,
    "watch": watch,
    "keep": keep,
    "deliver": deliver,
}

_SHORTEST_WAIT_S: Final = 0.02
# However long the budget says that nobody may send: Redis's clock may have gone back, and the budget not have been told
# yet. The clock nudges nobody as long as a pause really lasts, so looking again costs nothing.
_LONGEST_NAP_S: Final = 60.0
_log = structlog.get_logger("workers.attempts")


class StepTimeout(BaseException):
    """Raised in the middle of a step that has run for ``seconds``. No Exception: no step may take it for a fault of its
    own and go on.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


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
        self.ledger = tools.ledger
        self._patience = patience
        self._now = now
        self._steps = steps
        self._leases = Leases(tools.ledger.renew)
        self._log = _log.bind()  # once: asking for it takes longer than writing a line

    def run(self, step: str, subject: Subject, attempt: int) -> bool:
        """Do one nudge, and answer whether it took too much. One that is late, doubled or out of place does nothing."""
        record = self._tools.ledger.begin(subject, step, attempt)
        if record is None:
            _log.debug("step.stale", step=step, subject=str(subject), attempt=attempt)
            return False
        return self.carry_out(record) is None

    def carry_out(self, record: Record) -> Outcome | None:
        """Do a claimed attempt and write how it ended; answers that, or None where it took too much."""
        with working_on(record.ids):
            return self._survived(record)

    def _survived(self, record: Record) -> Outcome | None:
        try:
            return self._carry_out(record)
        except StepTimeout as error:
            reason = f"ran for more than {error.seconds:g} s"
        except MemoryError:
            reason = "ran out of memory"
        # Here, where the frames of the step and what they held are gone.
        told = self._tools.ledger.lost(record.subject, record.attempt, reason=reason, crashed=True)
        _log.warning("step.lost", **_named(record), crashed=True, reason=reason, told=told)
        return None

    def _carry_out(self, record: Record) -> Outcome:
        began = self._now()
        carrier, ids = {"traceparent": record.trace}, {f"swiftia.{name}": text for name, text in record.ids.items()}
        with tracing.span(f"step.{record.step}", carrier=carrier, **ids) as span:
            outcome = self._outcome(record)
            span.set(outcome=name_of(outcome))
            self._write(record, outcome)
            self._tell(record, outcome, self._now() - began)
        return outcome

    def _outcome(self, record: Record) -> Outcome:
        try:
            with self._leases.kept(record.subject, record.attempt):
                return self._steps[record.step](self._tools, record)
        except LedgerUnavailable:
            raise  # nothing can be written now: the lease runs out, and the step comes back
        except MemoryError:
            raise  # no outcome: see run
        except Exception as error:  # noqa: BLE001 - whatever a step raises, its attempt has an outcome
            return self._judged(record, error)

    def _judged(self, record: Record, error: Exception) -> Outcome:
        match error:
            case NoSlot():
                # When the clock nudges for that slot: a little ahead of it.
                return Wait(min(max(_SHORTEST_WAIT_S, error.wait_s - AHEAD_S), _LONGEST_NAP_S), in_place=True)
            case TemporaryError():
                return self._not_now(record, error, at_least=error.retry_after or 0.0)
            case PermanentError():
                return Failed(error.message)
        _log.error("step.crashed", **_named(record), exc_info=error)
        return Retry(f"{type(error).__name__}: this is a fault of the receiver, its log has the traceback")

    def _not_now(self, record: Record, error: TemporaryError, *, at_least: float) -> Outcome:
        match error:
            case CredentialsRefused():
                return Wait(CREDENTIALS_PAUSE_S)
            case StoreFull():
                return Wait(FULL_PAUSE_S)
            case RateLimited():
                return Wait(max(at_least, self._tools.upstream(record).budget.limit.window_ms / 1000))
            case UpstreamUnavailable() | UnreadableAnswer():
                peek = self._tools.upstream(record).budget.peek()
                if peek.breaker != "closed":
                    # Swiftia fails everybody: that is nothing that this step could have tried too often.
                    return Wait(max(at_least, min(peek.pause_s, _LONGEST_NAP_S), _SHORTEST_WAIT_S))
        return Retry(error.message, at_least=at_least)

    def _write(self, record: Record, outcome: Outcome) -> None:
        ledger, name = self._tools.ledger, name_of(outcome)
        match outcome:
            case Done():
                return
            case Wait(seconds, state, fields, events, in_place):
                ledger.move(
                    record, state, outcome=name, wait_s=seconds, in_place=in_place, fields=fields, events=events
                )
            case Failed(reason):
                ledger.move(record, "parked", outcome=name, reason=reason)
            case Retry():
                self._again(ledger, record, outcome)

    def _again(self, ledger: Ledger, record: Record, outcome: Retry) -> None:
        reason = outcome.reason
        tries = record.tries + 1
        if tries >= self._patience.max_attempts:
            said = f"{record.step} failed {tries} times, last because: {reason}"
            ledger.move(record, "parked", outcome="failed", reason=said)
            return
        seconds = backoff.delay(
            tries,
            base_s=self._patience.base_s,
            cap_s=self._patience.cap_s,
            at_least_s=outcome.at_least,
            chance=self._patience.chance,
        )
        events = [("retry", {"step": record.step, "tries": tries, "reason": reason})]
        fields = {**outcome.fields, "tries": tries}
        ledger.move(record, outcome="retry", wait_s=max(seconds, 0.001), fields=fields, events=events)

    def _tell(self, record: Record, outcome: Outcome, seconds: float) -> None:
        said = {"outcome": name_of(outcome), "reason": getattr(outcome, "reason", None), "ms": round(seconds * 1000)}
        self._log.info("step.attempted", **_named(record), **said)


def _named(record: Record) -> dict[str, object]:
    return {"step": record.step, "subject": str(record.subject), "attempt": record.attempt}
