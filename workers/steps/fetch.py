"""Ask Swiftia for a job: the callback was only a hint, this answer is the truth."""

from typing import Any

from workers import schedule
from workers.archive import keep_callbacks
from workers.identifiers import JobSubject
from workers.outcomes import Done, Failed, Outcome, Wait
from workers.paths import result_path
from workers.records import Record, loaded
from workers.results import Phase, Result, Short
from workers.rules import rule_for
from workers.steps import Tools


def fetch(tools: Tools, record: Record) -> Outcome:
    job = JobSubject(str(record.subject))
    heard = record.state != "waiting"
    with tools.budget.slot("fetch" if heard else "reconcile", str(job)):
        result, raw = tools.swiftia.job(job.job_id)
    keep_callbacks(tools.ledger, tools.artifacts, job)
    match result.phase:
        case Phase.RUNNING:
            return _look_again(tools, record, result, heard=heard)
        case Phase.FAILED:
            reason = result.error or "Swiftia says that the job failed, and no more"
            events = [("failed", {"reason": reason})]
            tools.ledger.move(record, "failed", fields={**_facts(result), "reason": reason}, events=events)
            return Done()
        case Phase.COMPLETED:
            tools.artifacts.put(result_path(job.job_id), raw)
            if not _plan(tools, record, result) and not tools.ledger.exists(job):
                tools.artifacts.delete_job(job.job_id)  # the job was erased meanwhile, and this file with it
            return Done()


def _look_again(tools: Tools, record: Record, result: Result, *, heard: bool) -> Outcome:
    age_s = record.age_s()
    if age_s > schedule.GIVE_UP_AFTER_S:
        return Failed("Swiftia still reports it as running although it archives jobs of that age; look at it there")
    if heard:
        seconds = schedule.next_fetch(heard_s=record.age_s("heard_at"))
    else:
        seconds = schedule.next_reconcile(age_s=age_s, after_s=tools.reconcile_after_s)
    return Wait(seconds, fields={**_facts(result), "tries": 0})


def _plan(tools: Tools, record: Record, result: Result) -> bool:
    function = record.fields.get("function") or result.function
    rule = rule_for(tools.rules, function, loaded(record.fields.get("render")))
    chosen = rule.chosen(result.shorts)
    requests = rule.requests(str(record.subject), result.shorts)
    return tools.ledger.plan(
        record,
        renders=[_render(short, request) for short, request in zip(chosen, requests, strict=True)],
        fields={**_facts(result), "shorts": len(result.shorts), "progress": 1.0},
    )


def _render(short: Short, request: dict[str, Any]) -> dict[str, object]:
    return {"short": {"id": short.id, "title": short.title}, "request": request}


def _facts(result: Result) -> dict[str, object]:
    return {
        "title": result.title,
        "cost": result.cost,
        "function": result.function,
        "upstream_status": result.upstream_status,
        "progress": result.progress,
    }
