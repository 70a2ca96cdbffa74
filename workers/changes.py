"""What happened in the ledger, as its scripts told it in the stream of changes. Pure: entries in, frozen values out."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from workers.documents import number
from workers.errors import InvalidInput
from workers.frames import StreamId
from workers.identifiers import DeliverySubject, JobSubject, RefSubject, RenderSubject, parse_subject
from workers.moments import moment
from workers.progress import job_progress, render_progress
from workers.states import JOB_SETTLED, SHOWN_REF, JobState

ERASED: Final = "erased"
_NUMBERED: Final = re.compile("[/!]")
_WITHOUT_RENDERS: Final = (JobState.WAITING, JobState.FETCHING, JobState.FINISHED)


@dataclass(frozen=True, slots=True)
class Change:
    """``state`` and ``said`` (the progress that Swiftia told) are those of ``subject`` at the end of what changed it.

    ``job``: what a ref's job is, from the moment on that it is known. ``digests``: the SHA-1 of the names of what was
    erased, which has no ``subject``.
    """

    at: StreamId
    subject: str
    event: str
    state: str
    said: str
    ms: str
    job: str = ""
    digests: tuple[str, ...] = ()

    @property
    def owner(self) -> str:
        """The job or ref that it is about, as the ledger writes it."""
        return _NUMBERED.split(self.subject, maxsplit=1)[0]

    @property
    def settles(self) -> bool:
        """Whether a job, or a submission, has ended, until a person or a callback sets it going again; or is erased."""
        return self.event == ERASED or (self.owner == self.subject and self._shown() in JOB_SETTLED)

    def as_json(self) -> dict[str, object]:
        """``id`` is null for a submission without a job id, ``ref`` for a job.

        ``render``, ``delivery``: the number of the one that it is about, null where it is about none. ``progress``: 0.0
        to 1.0, that of the render, or of the job as long as it has no renders; null where it takes all renders to tell.
        """
        if self.event == ERASED:
            return {"event": ERASED, "at": moment(self.ms), "sha1": list(self.digests)}
        return {
            **self._names(),
            "event": self.event,
            "state": self._shown(),
            "progress": self._progress(),
            "at": moment(self.ms),
        }

    def _names(self) -> dict[str, object]:
        named: dict[str, object] = {"id": None, "ref": None, "render": None, "delivery": None}
        subject = parse_subject(self.subject)
        match subject:
            case RenderSubject(job_id, n):
                return named | {"id": job_id, "render": n}
            case DeliverySubject(owner, n):
                named |= {"delivery": n}
                subject = owner
        match subject:
            case RefSubject(ref):
                named |= {"id": self.job or None, "ref": ref}
            case JobSubject(job_id):
                named |= {"id": job_id}
        return named

    def _is_ref(self) -> bool:
        return self.owner == self.subject and self.subject.startswith("ref:")

    def _shown(self) -> str:
        return SHOWN_REF.get(self.state, JobState.WAITING) if self._is_ref() else self.state

    def _progress(self) -> float | None:
        said = min(max(number(self.said) or 0.0, 0.0), 1.0)
        if "/" in self.subject:
            return render_progress(self.state, said)
        if self._is_ref():
            return 0.0
        if self.owner == self.subject and self.state in _WITHOUT_RENDERS:
            return job_progress(self.state, upstream=said, renders=(), planned=False)
        return None


def read_change(at: StreamId, fields: Mapping[str, str]) -> Change | None:
    """Read one entry; None for what is none of ours, such as that of a newer version."""
    try:
        change = Change(
            at=at,
            subject=fields["subject"],
            event=fields["event"],
            state=fields["state"],
            said=fields["progress"],
            ms=fields["at"],
            job=fields.get("job", ""),
            digests=tuple(fields.get("digests", "").split()),
        )
        if change.event != ERASED:
            parse_subject(change.subject)
    except (KeyError, InvalidInput):
        return None
    return change


def digest(name: str) -> str:
    """What an erased job or ref is known by; ``name`` as the ledger writes it."""
    return hashlib.sha1(name.removeprefix("ref:").encode(), usedforsecurity=False).hexdigest()
