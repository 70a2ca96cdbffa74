"""Bring a rendered file home. It is seen under its name only when it is whole and has the size that Swiftia stated."""

from workers.artifacts import Kept
from workers.errors import UpstreamRefused
from workers.identifiers import JobSubject, RenderSubject
from workers.outcomes import Done, Outcome, Wait
from workers.paths import render_path
from workers.records import Record
from workers.steps import Tools

_WORK_FIELDS = ("url", "request", "tries", "queue_position", "started_at")


def keep(tools: Tools, record: Record) -> Outcome:
    subject = record.subject
    assert isinstance(subject, RenderSubject)  # noqa: S101 - the ledger hands out no other for this step
    try:
        kept = _download(tools, record, subject)
    except UpstreamRefused:
        # A link may have run out while the file waited for its turn: another look at the render gives a fresh one.
        if "renewed" in record.fields:
            raise
        return Wait(0, state="queued", fields={"renewed": 1})
    moved = tools.ledger.move(
        record,
        "kept",
        fields={"size": kept.size, "sha256": kept.sha256},
        drop=_WORK_FIELDS,
        events=[("render.kept", {"size": kept.size})],
    )
    if not moved and not tools.ledger.exists(JobSubject(subject.job_id)):
        tools.artifacts.delete_job(subject.job_id)  # the job was erased meanwhile, and this file with it
    return Done()


def _download(tools: Tools, record: Record, subject: RenderSubject) -> Kept:
    size = record.fields.get("size")
    path = render_path(subject.job_id, subject.n)
    with tools.downloads.open(record.fields["url"]) as download:
        return tools.artifacts.keep(path, download.chunks, expected_size=int(size) if size else None)
