"""Erases every trace of a job here: what the ledger, the artifacts and this machine's spool have of it.

What it was at Swiftia stays there, and so does what was logged before. One line in the log says that it was here.
"""

import structlog

from workers.artifacts import Artifacts
from workers.errors import SpoolUnavailable
from workers.identifiers import JobSubject, RefSubject
from workers.ledger import Ledger
from workers.spool import Spool

_SHOWN_OF_REF = 6
_log = structlog.get_logger("workers.erasure")


class Erasure:
    """A call that was cut off anywhere may be repeated, and by several at once."""

    def __init__(self, ledger: Ledger, artifacts: Artifacts, spool: Spool) -> None:
        self._ledger = ledger
        self._artifacts = artifacts
        self._spool = spool

    def erase(self, subject: JobSubject | RefSubject, *, why: str, age_s: float | None = None) -> bool:
        """Answers whether it was there to be erased.

        ``age_s``: only if it finished or failed so long ago and none of its deliveries is on its way. It counts how the
        job is at the beginning: what comes while it is being erased goes with it.
        """
        if not self._ledger.fence(subject, age_s=age_s):
            return False
        refs = list(self._ledger.refs(subject))
        self._delete_files(subject)
        erased = self._ledger.erase(subject)
        self._delete_files(subject)  # again: a step that was ending may have left a file
        self._forget_spooled(subject, refs)
        if erased:
            _log.info("job.erased", why=why, **_named(subject))
        return erased

    def _delete_files(self, subject: JobSubject | RefSubject) -> None:
        if isinstance(subject, JobSubject):
            self._artifacts.delete_job(subject.job_id)

    def _forget_spooled(self, subject: JobSubject | RefSubject, refs: list[str]) -> None:
        try:
            self._spool.forget(job_id=subject.job_id if isinstance(subject, JobSubject) else "", refs=refs)
        except SpoolUnavailable as error:
            # Its callbacks are the only ones that could be in there, and a spool that is away hands on none.
            _log.warning("spool.not_erased", reason=error.message)


def _named(subject: JobSubject | RefSubject) -> dict[str, str]:
    # A whole ref is half of a callback URL.
    return {"job": subject.job_id} if isinstance(subject, JobSubject) else {"ref": subject.ref[:_SHOWN_OF_REF]}
