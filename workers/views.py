"""How a job looks from outside, made from what the ledger holds. Pure: hashes and lists in, frozen values out.

Times are ISO 8601 in UTC, durations seconds, progress 0.0 to 1.0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from workers.documents import fraction, whole
from workers.identifiers import JobSubject, RefSubject
from workers.moments import moment
from workers.progress import render_progress
from workers.records import loaded
from workers.results import Short
from workers.states import DeliveryState, RenderState
from workers.summaries import JobSummary

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


def render_view(job_id: str, n: int, fields: Mapping[str, str]) -> RenderView:
    state = fields.get("state", RenderState.PLANNED)
    return RenderView(
        n=n,
        short=loaded(fields.get("short")),
        state=state,
        progress=render_progress(state, fraction(fields.get("progress"))),
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
