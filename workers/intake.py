"""Where callbacks go: into the ledger, or into the spool while Redis is away or the spool has not been emptied.

Order is kept: as long as anything waits in the spool, what comes goes behind it.
"""

import threading
from collections.abc import Callable

import structlog

from workers.errors import LedgerUnavailable, SpoolUnavailable
from workers.gate import Gate
from workers.ledger import Ledger
from workers.pipeline import Pipeline
from workers.records import Accepted, Callback
from workers.spool import Spool

_log = structlog.get_logger("spool")


class Intake:
    """``now``: seconds of a clock that only rises."""

    def __init__(self, ledger: Ledger, spool: Spool, *, now: Callable[[], float]) -> None:
        self.spool = spool
        self._ledger = ledger
        self._now = now
        self._gate = Gate()
        self._turn = threading.Lock()

    @property
    def redis_trusted(self) -> bool:
        """Whether Redis took the last write of this process."""
        return self._gate.open

    def take(self, callback: Callback) -> Accepted:
        """Keep a callback so that nothing can lose it. Raises LedgerUnavailable or SpoolUnavailable: it is not kept."""
        if self.straight():
            try:
                return self.hand_on(callback)
            except LedgerUnavailable:
                pass  # hand_on has shut the gate
        return self._put_by(callback)

    def hand_on(self, callback: Callback) -> Accepted:
        """Give a callback to the ledger, however often. Raises LedgerUnavailable."""
        began = self._now()
        try:
            accepted = self._store(callback)
        except LedgerUnavailable as error:
            self._redis_failed(error)
            raise
        self._redis_took(began)
        return accepted

    def pipeline(self) -> Pipeline:
        """A way into the ledger that nobody waits on. It is for those who ask ``straight`` before."""
        return self._ledger.pipeline()

    def straight(self) -> bool:
        """Whether a callback may go to Redis now: it took the last write, and nothing waits in the spool."""
        return self._gate.open and not self._others_wait()

    def gave_up(self, error: LedgerUnavailable) -> None:
        """Redis did not take what was on its way, or takes so long that nobody waits for it any more."""
        self._redis_failed(error)

    def try_redis(self) -> None:
        """Try a write. Raises LedgerUnavailable."""
        began = self._now()
        try:
            self._ledger.check()
        except LedgerUnavailable as error:
            self._redis_failed(error)
            raise
        self._redis_took(began)

    def is_due(self) -> bool:
        """Whether Redis should be tried again."""
        return self._gate.is_due(self._now())

    def _redis_failed(self, error: LedgerUnavailable) -> None:
        with self._turn:
            was_open, self._gate = self._gate.open, self._gate.failed(self._now())
        if was_open:
            _log.warning("redis.away", error=str(error))

    def _redis_took(self, began: float) -> None:
        with self._turn:
            was_open, self._gate = self._gate.open, self._gate.took(began=began)
        if self._gate.open and not was_open:
            _log.info("redis.back")

    def _others_wait(self) -> bool:
        try:
            return self.spool.waits()
        except SpoolUnavailable:
            return False  # a broken disk is no reason to refuse what Redis takes

    def _put_by(self, callback: Callback) -> Accepted:
        try:
            self.spool.keep(callback)
        except SpoolUnavailable:
            # Better out of order than not at all; but only where no hung server would hold the request.
            if self._gate.open:
                return self.hand_on(callback)
            raise
        return Accepted("spooled", callback.owner, callback.receipt)

    def _store(self, callback: Callback) -> Accepted:
        if not callback.owner:
            self._ledger.keep_unidentified({**callback.meta, "receipt": callback.receipt}, callback.body)
            return Accepted("unidentified", "", callback.receipt)
        accepted = self._ledger.accept(
            ref=callback.ref,
            job_id=callback.job_id,
            receipt=callback.receipt,
            digest=callback.digest,
            meta=callback.meta,
            body=callback.body,
            account=callback.account,
        )
        tell_ignored(accepted)
        return accepted


def tell_ignored(accepted: Accepted) -> None:
    if accepted.ignored:
        known = "the job is another account's, and stays so"
        _log.warning("callback.other_account", job=accepted.owner, account=accepted.ignored, known=known)
