"""Submit a job. Like a render it has no idempotency key upstream, so the intent is written down first.

A job that may have been submitted is never submitted again by itself: its callback names it, or a person decides.
"""

import json

import structlog

from workers.errors import CredentialsRefused, LedgerUnavailable, RateLimited, UpstreamRefused, UpstreamUnavailable
from workers.identifiers import RefSubject, is_job_id
from workers.outcomes import Done, Failed, Outcome, Wait
from workers.records import Record, loaded
from workers.steps import Tools
from workers.upstreams import Upstream

UNHEARD = "a callback came for a callback URL whose job is not known; name it with PUT /api/jobs/<id> and this ref"
LOST = "the answer to the submission was lost, so the job may exist; a retry would submit, and pay for, a second one"
_CALLBACK_PATIENCE_S = 60.0
_log = structlog.get_logger("workers.steps")


def submit(tools: Tools, record: Record) -> Outcome:
    ref = str(record.subject).removeprefix("ref:")
    if record.state in ("open", "submitting"):
        return _recover(tools, record, ref)
    upstream = tools.upstream(record)
    with upstream.budget.slot("submit", str(record.subject)):
        if not tools.ledger.intend(record, "submitting"):
            return Done()
        job_id = _send(tools, upstream, record, ref)
        _link(tools, ref, job_id)
    return Done()


def _link(tools: Tools, ref: str, job_id: str) -> None:
    try:
        tools.ledger.link(
            ref, job_id, first_ms=round(tools.reconcile_after_s * 1000), by="submission", fields={"submitted": 1}
        )
        _log.info("submission.linked", ref=ref[:6], job=job_id)
    except LedgerUnavailable:
        # The job is made and paid for. Its callback will name it; until then this line is all that does.
        _log.error("submission.unlinked", ref=ref[:6], job=job_id)
        raise


def _send(tools: Tools, upstream: Upstream, record: Record, ref: str) -> str:
    body = {**loaded(record.fields["request"]), "webhook": tools.webhook_url(ref)}
    try:
        return upstream.swiftia.create_job(body)
    except UpstreamRefused as error:
        problem = json.dumps({"kind": error.kind, "status": error.status, "values": error.values}, default=str)
        fields = {"reason": error.message, "problem": problem}
        events = [("refused", {"reason": error.message})]
        tools.ledger.move(record, "failed", outcome="failed", fields=fields, events=events)
        raise
    except (RateLimited, CredentialsRefused):
        tools.ledger.move(record, "queued", hold=True)
        raise
    except UpstreamUnavailable as error:
        if not error.sent:
            tools.ledger.move(record, "queued", hold=True)
        raise


def _recover(tools: Tools, record: Record, ref: str) -> Outcome:
    hints = [str(callback.get("hint", "")) for callback in tools.ledger.callbacks(RefSubject(ref))]
    named = next((hint for hint in hints if is_job_id(hint)), None)
    if named is not None:
        tools.ledger.link(ref, named, first_ms=0, by="callback")
        return Done()
    if record.state == "open":
        return Failed(UNHEARD)
    if record.age_s("updated") < _CALLBACK_PATIENCE_S:
        return Wait(_CALLBACK_PATIENCE_S / 2)
    return Failed(LOST)
