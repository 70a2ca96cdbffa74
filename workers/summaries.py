"""A job as a line of a listing, made from what the ledger holds of it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from workers.documents import fraction, number
from workers.identifiers import JobSubject, RefSubject
from workers.moments import moment
from workers.progress import RenderCounts, job_progress, render_progress
from workers.records import loaded
from workers.states import SHOWN_REF, JobState, RenderState


@dataclass(frozen=True, slots=True)
class JobSummary:
    """One line of a listing. ``id`` is None for a submission whose job id is not known."""

    id: str | None
    ref: str | None
    state: str
    reason: str | None
    function: str | None
    title: str | None
    cost: float | None
    progress: float
    upstream_status: str | None
    created_at: str | None
    updated_at: str | None
    metadata: Any
    renders: RenderCounts
    account: str | None = None

    @property
    def subject(self) -> JobSubject | RefSubject:
        return RefSubject(self.ref or "") if self.id is None else JobSubject(self.id)

    def as_json(self) -> dict[str, object]:
        """``account`` is there only where the job names one."""
        values = asdict(self)
        if self.account is None:
            del values["account"]
        return values


def summary_of_job(job_id: str, fields: Mapping[str, str], renders: Sequence[Mapping[str, str]]) -> JobSummary:
    """``renders``: for each render at least its state and its progress."""
    states = [render.get("state", RenderState.PLANNED) for render in renders]
    done = [
        render_progress(state, fraction(render.get("progress"))) for state, render in zip(states, renders, strict=True)
    ]
    summary = _summary(fields, state=fields["state"], job_id=job_id, ref=fields.get("ref"))
    return replace(
        summary,
        progress=job_progress(fields["state"], upstream=summary.progress, renders=done, planned="renders" in fields),
        renders=RenderCounts.of(states),
    )


def summary_of_ref(ref: str, fields: Mapping[str, str]) -> JobSummary:
    state = fields["state"]
    summary = _summary(fields, state=SHOWN_REF.get(state, JobState.WAITING), job_id=None, ref=ref)
    return replace(summary, progress=0.0)


def _summary(fields: Mapping[str, str], *, state: str, job_id: str | None, ref: str | None) -> JobSummary:
    return JobSummary(
        id=job_id,
        ref=ref,
        state=state,
        reason=fields.get("reason"),
        function=fields.get("function"),
        title=fields.get("title"),
        cost=number(fields.get("cost")),
        progress=fraction(fields.get("progress")),
        upstream_status=fields.get("upstream_status"),
        created_at=moment(fields.get("created")),
        updated_at=moment(fields.get("updated")),
        metadata=loaded(fields.get("metadata")),
        renders=RenderCounts(),
        account=fields.get("account"),
    )
