"""How a job looks from outside, made from what the ledger holds. Pure: hashes and lists in, frozen values out.

Times are ISO 8601 in UTC, durations seconds, progress 0.0 to 1.0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from workers.documents import number, whole
from workers.errors import InvalidInput
from workers.filters import LATEST_MS
from workers.identifiers import JobSubject, RefSubject
from workers.progress import RenderCounts, job_progress, render_progress
from workers.records import loaded
from workers.results import Short
from workers.states import SHOWN_REF, DeliveryState, JobState, RenderState

_AT_SWIFTIA: Final = frozenset({RenderState.DONE, RenderState.KEEPING})


@dataclass(frozen=True, slots=True)
class RenderView:
    """``short``: ``{id, title}``. ``size``: bytes. ``file``: where the API serves it, once it is kept. ``url``: where
    Swiftia has it, for a render that is done there and not kept here.
    """

    n: int
    short: Any
    state: str
    progress: float
    render_id: str | None
    size: int | None
    sha256: str | None
    file: str | None
    reason: str | None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class CallbackView:
    """``type``, ``agent``: the headers Content-Type and User-Agent as they came, cut; empty for none."""

    receipt: str
    at: str | None
    sender: str | None
    size: int | None
    duplicate: bool
    type: str = ""
    agent: str = ""

    def as_json(self) -> dict[str, object]:
        told = ("receipt", "at", "size", "duplicate")
        return {"from": self.sender, **{name: getattr(self, name) for name in told}}


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """``n`` counts the job's deliveries. ``attempts``: how often it was sent. ``last_status``: HTTP, None if none came.

    ``next_at``: when it is sent again, None if it is settled or has not been tried.
    """

    n: int
    id: str
    event: str
    state: str
    attempts: int
    created_at: str | None
    next_at: str | None
    last_status: int | None
    reason: str | None


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


@dataclass(frozen=True, slots=True)
class JobView:
    """A job whole. Its shorts stand in the kept result, which the ledger does not hold.

    ``result_sha256``: None too for a result that was kept by an older version.
    """

    summary: JobSummary
    renders: tuple[RenderView, ...]
    callbacks: tuple[CallbackView, ...]
    deliveries: tuple[DeliveryView, ...]
    timeline: tuple[Mapping[str, object], ...]
    has_result: bool
    result_sha256: str | None = None

    @property
    def subject(self) -> JobSubject | RefSubject:
        return self.summary.subject

    def as_json(self, shorts: Sequence[Short]) -> dict[str, object]:
        values = self.summary.as_json()
        counts = values.pop("renders")
        return {
            **values,
            "shorts": [
                {"id": short.id, "title": short.title, "text": short.text, "start": short.start, "end": short.end}
                for short in shorts
            ],
            "renders": [asdict(render) for render in self.renders],
            "render_counts": counts,
            "callbacks": [callback.as_json() for callback in self.callbacks],
            "deliveries": [asdict(delivery) for delivery in self.deliveries],
            "timeline": [dict(event) for event in self.timeline],
        }


def moment(milliseconds: object) -> str | None:
    """Write a moment of the ledger as ISO 8601.

    >>> moment("1732239323004")
    '2024-11-22T01:35:23.004Z'
    """
    value = number(milliseconds)
    if value is None or not 0 <= value <= LATEST_MS:
        return None
    seconds, rest = divmod(int(value), 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03}Z"


def render_view(job_id: str, n: int, fields: Mapping[str, str]) -> RenderView:
    state = fields.get("state", RenderState.PLANNED)
    return RenderView(
        n=n,
        short=loaded(fields.get("short")),
        state=state,
        progress=render_progress(state, _fraction(fields.get("progress"))),
        render_id=fields.get("render_id"),
        size=whole(fields.get("size")),
        sha256=fields.get("sha256"),
        file=f"/api/jobs/{job_id}/renders/{n}/file" if state == RenderState.KEPT else None,
        reason=fields.get("reason"),
        url=fields.get("url") if state in _AT_SWIFTIA else None,
    )


def delivery_view(n: int, fields: Mapping[str, str]) -> DeliveryView:
    state = fields.get("state", DeliveryState.PENDING)
    return DeliveryView(
        n=n,
        id=fields.get("id", ""),
        event=fields.get("event", ""),
        state=state,
        attempts=whole(fields.get("sent")) or 0,
        created_at=moment(fields.get("created")),
        next_at=moment(fields.get("next_at")) if state == DeliveryState.PENDING else None,
        last_status=whole(fields.get("status")),
        reason=fields.get("reason"),
    )


def summary_of_job(job_id: str, fields: Mapping[str, str], renders: Sequence[Mapping[str, str]]) -> JobSummary:
    """``renders``: for each render at least its state and its progress."""
    states = [render.get("state", RenderState.PLANNED) for render in renders]
    done = [
        render_progress(state, _fraction(render.get("progress"))) for state, render in zip(states, renders, strict=True)
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


def job_view(
    summary: JobSummary,
    fields: Mapping[str, str],
    *,
    renders: Sequence[RenderView] = (),
    deliveries: Sequence[DeliveryView] = (),
    callbacks: Sequence[str] = (),
    timeline: Sequence[str] = (),
) -> JobView:
    """``callbacks`` and ``timeline``: the entries as they stand in the ledger, JSON."""
    return JobView(
        summary=summary,
        renders=tuple(renders),
        deliveries=tuple(deliveries),
        callbacks=tuple(_callback(loaded(entry)) for entry in callbacks),
        timeline=tuple(_event(loaded(entry)) for entry in timeline),
        has_result="renders" in fields,
        result_sha256=fields.get("result_sha256"),
    )


def as_state(text: str) -> JobState:
    """Raise ``InvalidInput`` naming the states there are."""
    try:
        return JobState(text)
    except ValueError:
        raise InvalidInput(f"there is no such state; the states are {', '.join(JobState)}", got=text[:40]) from None


def _summary(fields: Mapping[str, str], *, state: str, job_id: str | None, ref: str | None) -> JobSummary:
    return JobSummary(
        id=job_id,
        ref=ref,
        state=state,
        reason=fields.get("reason"),
        function=fields.get("function"),
        title=fields.get("title"),
        cost=number(fields.get("cost")),
        progress=_fraction(fields.get("progress")),
        upstream_status=fields.get("upstream_status"),
        created_at=moment(fields.get("created")),
        updated_at=moment(fields.get("updated")),
        metadata=loaded(fields.get("metadata")),
        renders=RenderCounts(),
        account=fields.get("account"),
    )


def _callback(entry: Mapping[str, Any]) -> CallbackView:
    return CallbackView(
        receipt=str(entry.get("receipt", "")),
        at=moment(entry.get("at")),
        sender=entry.get("from"),
        size=whole(entry.get("size")),
        duplicate=bool(entry.get("duplicate")),
        type=str(entry.get("type") or ""),
        agent=str(entry.get("agent") or ""),
    )


def _event(entry: Mapping[str, Any]) -> dict[str, object]:
    rest = {name: value for name, value in entry.items() if name not in ("at", "event")}
    return {"at": moment(entry.get("at")), "event": entry.get("event"), **rest}


def _fraction(value: object) -> float:
    return min(max(number(value) or 0.0, 0.0), 1.0)
