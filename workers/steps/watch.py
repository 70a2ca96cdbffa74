"""Look at a render: once more later, on to its file, or settled."""

from workers import schedule
from workers.outcomes import Done, Failed, Outcome, Wait
from workers.records import Record
from workers.renders import RenderPhase, RenderReport
from workers.steps import Tools


def watch(tools: Tools, record: Record) -> Outcome:
    with tools.budget.slot("watch", str(record.subject)):
        report = tools.swiftia.render(record.fields["render_id"])
    seen = {"polls": int(record.fields.get("polls", "0")) + 1, "tries": 0}
    match report.phase:
        case RenderPhase.DONE:
            _ready(tools, record, report, seen)
            return Done()
        case RenderPhase.FAILED:
            reason = report.message or "Swiftia says that the render failed, and no more"
            events = [("render.failed", {"reason": reason})]
            tools.ledger.move(record, "failed", fields={**seen, "reason": reason}, events=events)
            return Done()
    age_s = record.age_s("started_at")
    if age_s > schedule.GIVE_UP_AFTER_S:
        return Failed("Swiftia still reports this render as running although its job is archived by now")
    state = "queued" if report.phase is RenderPhase.QUEUED else "rendering"
    fields = {**seen, "progress": report.progress, "queue_position": report.queue_position}
    return Wait(schedule.next_look(report, age_s=age_s), state=state, fields=fields)


def _ready(tools: Tools, record: Record, report: RenderReport, seen: dict[str, int]) -> None:
    fields = {**seen, "progress": 1.0, "url": report.url, "size": report.size}
    events = [("render.done", {"size": report.size, "polls": seen["polls"]})]
    tools.ledger.move(record, "keeping" if tools.keep_videos else "done", fields=fields, events=events)
