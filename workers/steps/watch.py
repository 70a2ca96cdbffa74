"""Look at a render: once more later, on to its file, or settled."""

from workers import forecast, looks
from workers.memory import RENDERS
from workers.outcomes import Done, Failed, Outcome, Wait
from workers.records import Record
from workers.redaction import redacted_text
from workers.renders import RenderPhase, RenderReport
from workers.steps import Tools
from workers.trail import Trail


def watch(tools: Tools, record: Record) -> Outcome:
    upstream = tools.upstream(record)
    with upstream.budget.slot("watch", str(record.subject), followed=True):
        report = upstream.swiftia.render(record.fields["render_id"])
    seen = {"polls": int(record.fields.get("polls", "0")) + 1, "tries": 0}
    age_s, trail = record.age_s("started_at"), Trail.read(record.fields.get("trail"))
    history, clip_s = tools.memory.of(RENDERS, record.account), clip_of(record)
    match report.phase:
        case RenderPhase.DONE:
            if "renewed" not in record.fields:  # else the wait for its file would count as rendering
                lesson = forecast.observed(trail, history, age_s=age_s, clip_s=clip_s)
                tools.memory.learn(RENDERS, history, lesson, record.account)
            _ready(tools, record, report, seen)
            return Done()
        case RenderPhase.FAILED:
            _failed(tools, record, report, seen)
            return Done()
    if record.job_age_s > tools.give_up_after_s:
        return Failed("Swiftia still reports this render as running although its job is archived by now")
    waits = report.phase is RenderPhase.QUEUED
    look = looks.at_render(
        trail,
        history,
        age_s=age_s,
        progress=report.progress,
        place=report.queue_position,
        waits=waits,
        clip_s=clip_s,
        price_s=tools.ledger.waiting(record) * upstream.budget.limit.slot_s,
    )
    fields = {
        **seen,
        "progress": report.progress,
        "queue_position": report.queue_position,
        "trail": look.trail.as_json(),
    }
    return Wait(look.wait_s, state="queued" if waits else "rendering", fields=fields)


def clip_of(record: Record) -> float | None:
    """Seconds of the short, if the result told them."""
    text = record.fields.get("clip_s")
    return float(text) if text else None


def _ready(tools: Tools, record: Record, report: RenderReport, seen: dict[str, int]) -> None:
    fields = {**seen, "progress": 1.0, "url": report.url, "size": report.size}
    events = [("render.done", {"size": report.size, "polls": seen["polls"]})]
    state, measured = "keeping" if tools.keep_videos else "done", {"polls": seen["polls"]}
    tools.ledger.move(record, state, fields=fields, events=events, measured=measured)


def _failed(tools: Tools, record: Record, report: RenderReport, seen: dict[str, int]) -> None:
    reason = redacted_text(report.message or "Swiftia says that the render failed, and no more")
    events = [("render.failed", {"reason": reason})]
    measured = {"polls": seen["polls"]}
    tools.ledger.move(record, "failed", fields={**seen, "reason": reason}, events=events, measured=measured)
