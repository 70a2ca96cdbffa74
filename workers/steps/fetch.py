"""Ask Swiftia for a job: the callback was only a hint, this answer is the truth."""

from typing import Any, Final

from workers import looks
from workers.archive import files_of, keep_callbacks
from workers.artifacts import Kept
from workers.identifiers import JobSubject
from workers.memory import JOBS
from workers.outcomes import Done, Failed, Outcome, Wait
from workers.paths import result_path
from workers.records import Record, loaded
from workers.redaction import redacted_text
from workers.results import Phase, Result, Short
from workers.rules import rule_for
from workers.steps import Tools
from workers.trail import Trail

_ROOM_BYTES: Final = 1 << 20


def fetch(tools: Tools, record: Record) -> Outcome:
    job = JobSubject(str(record.subject))
    heard = record.state != "waiting"
    upstream = tools.upstream(record)
    tools.artifacts.need(_ROOM_BYTES, from_spare=True)  # before a request is spent on what could not be kept
    with upstream.budget.slot("fetch" if heard else "reconcile", str(job), followed=True):
        result, raw = upstream.swiftia.job(job.job_id)
    match result.phase:
        case Phase.RUNNING:
            keep_callbacks(tools.ledger, tools.artifacts, job)
            return _look_again(tools, record, result, heard=heard)
        case Phase.FAILED:
            keep_callbacks(tools.ledger, tools.artifacts, job)
            reason = redacted_text(result.error or "Swiftia says that the job failed, and no more")
            events = [("failed", {"reason": reason})]
            tools.ledger.move(record, "failed", fields={**_facts(result), "reason": reason}, events=events)
            return Done()
        case Phase.COMPLETED:
            _learn(tools, record, heard=heard)
            # A body that came since stays in the ledger, and is the clock's to keep.
            kept, *_ = tools.artifacts.put_all([(result_path(job.job_id), raw), *files_of(job, record.bodies)])
            if not _plan(tools, record, result, kept) and not tools.ledger.exists(job):
                tools.artifacts.delete_job(job.job_id)  # the job was erased meanwhile, and these files with it
            return Done()


def _look_again(tools: Tools, record: Record, result: Result, *, heard: bool) -> Outcome:
    age_s = record.age_s()
    if age_s > tools.give_up_after_s:
        return Failed("Swiftia still reports it as running although it archives jobs of that age; look at it there")
    look = looks.at_job(
        Trail.read(record.fields.get("trail")),
        tools.memory.of(JOBS, record.account),
        age_s=age_s,
        progress=result.progress,
        heard_s=record.age_s("heard_at") if heard else None,
        reconcile_after_s=tools.reconcile_after_s,
        price_s=tools.ledger.waiting(record) * tools.upstream(record).budget.limit.slot_s,
    )
    return Wait(look.wait_s, fields={**_facts(result), "tries": 0, "trail": look.trail.as_json()})


def _learn(tools: Tools, record: Record, *, heard: bool) -> None:
    """Remember how long the job took, if it was watched from its submission: by its callback, else by this look."""
    if "submitted" not in record.fields:
        return
    history, trail = tools.memory.of(JOBS, record.account), Trail.read(record.fields.get("trail"))
    heard_s = record.age_s("heard_at") if heard else None
    seen = looks.lesson_of_job(trail, history, age_s=record.age_s(), heard_s=heard_s)
    tools.memory.learn(JOBS, history, seen, record.account)


def _plan(tools: Tools, record: Record, result: Result, kept: Kept) -> bool:
    function = record.fields.get("function") or result.function
    rule = rule_for(tools.upstream(record).rules, function, loaded(record.fields.get("render")))
    chosen = rule.chosen(result.shorts)
    requests = rule.requests(str(record.subject), result.shorts)
    return tools.ledger.plan(
        record,
        renders=[_render(short, request) for short, request in zip(chosen, requests, strict=True)],
        fields={**_facts(result), "shorts": len(result.shorts), "progress": 1.0, "result_sha256": kept.sha256},
        size=kept.size,
        receipts=record.bodies,
    )


def _render(short: Short, request: dict[str, Any]) -> dict[str, object]:
    clip_s = None if short.start is None or short.end is None else max(short.end - short.start, 0.0)
    return {"short": {"id": short.id, "title": short.title}, "request": request, "clip_s": clip_s}


def _facts(result: Result) -> dict[str, object]:
    return {
        "title": result.title,
        "cost": result.cost,
        "function": result.function,
        "upstream_status": result.upstream_status,
        "progress": result.progress,
    }
