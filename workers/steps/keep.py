"""Bring a rendered file home. It is seen under its name only when it is whole and has the size that Swiftia stated.

What has come stays when the connection breaks, the process dies or the disk is full; the next attempt goes on there.
"""

from typing import Final

from workers.artifacts import Kept
from workers.errors import DownloadFailed, StoreFull, UpstreamRefused, WrongFile
from workers.identifiers import JobSubject, RenderSubject
from workers.outcomes import Done, Failed, Outcome, Retry, Wait
from workers.partials import Partial
from workers.paths import render_path
from workers.records import Record
from workers.steps import Tools
from workers.work import FULL_PAUSE_S

_WORK_FIELDS: Final = (
    *("url", "request", "tries", "queue_position", "started_at", "trail", "clip_s"),
    *("renewed", "wrong", "brought", "reason", "again_at"),
)
# An attempt that broke off but came so much further than any before has not failed: the next one goes on soon.
_WORTH_BYTES: Final = 8 << 20
_GO_ON_S: Final = 2.0
_WRONG_MOST: Final = 3


def keep(tools: Tools, record: Record) -> Outcome:
    subject = record.subject
    assert isinstance(subject, RenderSubject)  # noqa: S101 - the ledger hands out no other for this step
    try:
        kept = _bring(tools, record, subject)
    except UpstreamRefused:
        # A link may have run out while the file waited for its turn: another look at the render gives a fresh one.
        if "renewed" in record.fields:
            raise
        return Wait(0, state="queued", fields={"renewed": 1})
    except WrongFile as error:
        return _wrong(record, error)
    except StoreFull as error:
        return Wait(FULL_PAUSE_S, fields={"reason": error.message})
    if isinstance(kept, Wait):
        return kept
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


def _bring(tools: Tools, record: Record, subject: RenderSubject) -> Kept | Wait:
    size = record.fields.get("size")
    stated = int(size) if size else None
    path = render_path(subject.job_id, subject.n)
    with tools.artifacts.unfinished(path, origin=record.fields.get("render_id", "")) as file:
        tools.artifacts.need(max(0, (stated or 0) - file.size))
        if "reason" in record.fields:
            tools.ledger.move(record, hold=True, drop=["reason"])  # there is room again
        try:
            tools.downloads.bring(record.fields["url"], file, stated=stated)
        except WrongFile:
            file.begin()
            raise
        except DownloadFailed as error:
            return _broken_off(record, file, error)
        return tools.artifacts.finish(path, file)


def _broken_off(record: Record, file: Partial, error: DownloadFailed) -> Wait:
    if not file.validator or file.size < int(record.fields.get("brought", "0")) + _WORTH_BYTES:
        raise error
    return Wait(max(_GO_ON_S, error.retry_after or 0.0), fields={"tries": 0, "brought": file.size})


def _wrong(record: Record, error: WrongFile) -> Outcome:
    """Ask Swiftia again, as it may have stated the size of another file; then try a few times more."""
    times = int(record.fields.get("wrong", "0")) + 1
    if times >= _WRONG_MOST:
        return Failed(f"{error.message.partition(';')[0]}, {times} times in a row; look at it at Swiftia, then retry")
    if "renewed" not in record.fields:
        return Wait(0, state="queued", fields={"renewed": 1, "wrong": times})
    return Retry(error.message, fields={"wrong": times})
