"""What the API says about a job, in the job's dialect."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from workers.sandbox.jobs import Job, Short

Document = dict[str, Any]


def created(job: Job) -> tuple[int, Document]:
    """Answer POST /api/jobs: HTTP status and body. Which 2xx it is, no page says."""
    match job.dialect:
        case "g1":
            return 200, {"jobId": job.id}
        case "kb":
            return 200, {"jobId": job.id, "status": "PROCESSING"}
        case "third":
            return 201, {"id": job.id, "warning": "This video is long; the job may take a while."}
        case _:
            return 201, {"id": job.id}


def document(job: Job, status: str | None, now: float, *, files: str) -> Document:
    """Answer GET /api/jobs/{id}. ``files``: the base URL of cropped files."""
    body = _WRITERS[job.dialect](job, status, now, files)
    if job.extras:
        body |= {"schemaVersion": 3, "labels": {"tags": ["demo", None], "nested": [[1.5], {}]}}
    return body


def _g1(job: Job, status: str | None, _now: float, files: str) -> Document:
    body: Document = {"jobId": job.id, "status": status, "createdAt": _iso(job.created_at)}
    if status == "COMPLETED":
        shorts = [_g1_short(short, job, files) for short in job.shorts]
        body |= {"cost": job.cost, "data": {"transcription": {}, "shorts": shorts}}
    return body | _error(status)


def _g1_short(short: Short, job: Job, files: str) -> Document:
    number = job.shorts.index(short) + 1
    reason = {"reason": "clear hook"} if short.chosen else {}
    return {
        "id": short.id,
        "title": short.title,
        **reason,
        "startId": number * 5 if short.chosen else None,
        "endId": number * 5 + 4 if short.chosen else None,
        "startTime": short.start,
        "endTime": short.end,
        "text": short.text,
        "cropFileUrl": f"{files}/media/crops/{job.id}/{number}.mp4",
    }


def _g2(job: Job, status: str | None, now: float, _files: str) -> Document:
    done = status == "COMPLETED"
    body: Document = {
        "id": job.id,
        "title": job.title,
        "cost": job.cost if done else None,
        "costBreakDown": job.cost_parts if done else None,
        "status": status,
        "source": "API",
        "progress": job.progress(now),
    }
    if done:
        body["data"] = {"shorts": [_g2_short(short, job) for short in job.shorts]}
    return body


def _g2_short(short: Short, job: Job) -> Document:
    extras = {"score": 87, "hashtags": []} if job.extras else {}
    times = {"startTime": short.start, "endTime": short.end}
    return {"id": short.id, "content": short.title, "text": short.text, **times, **extras}


def _g3(job: Job, status: str | None, now: float, files: str) -> Document:
    return _g2(job, status, now, files) | _error(status)


def _kb(job: Job, status: str | None, _now: float, _files: str) -> Document:
    body: Document = {"id": job.id, "status": status}
    if status == "COMPLETED":
        keys = ("id", "title", "start", "end")
        body["shorts"] = [{key: getattr(short, key) for key in keys} for short in job.shorts]
    return body | _error(status)


def _common(job: Job, status: str | None, _now: float, _files: str) -> Document:
    body: Document = {"id": job.id, "status": status, "createdAt": _iso(job.created_at)}
    if status == "COMPLETED":
        body["data"] = {"shorts": [_common_short(short) for short in job.shorts]}
    return body | _error(status)


def _common_short(short: Short) -> Document:
    return {"id": short.id, "title": short.title, "startTime": short.start, "endTime": short.end}


def _third(job: Job, status: str | None, _now: float, _files: str) -> Document:
    body: Document = {"id": job.id, "status": status, "title": job.title}
    if status == "COMPLETED":
        body["data"] = {"shorts": [_third_short(short) for short in job.shorts]}
    return body | _error(status)


def _third_short(short: Short) -> Document:
    times = {"startTime": str(short.start), "endTime": str(short.end)}
    return {"id": short.id, "text": short.text, "reason": "clear hook", **times}


def _error(status: str | None) -> Document:
    """A failed job has an object ``error`` [JOBS1, SEED1]; DART reads its ``message``. No page shows more."""
    return {"error": {"message": "The video could not be downloaded."}} if status == "FAILED" else {}


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


_WRITERS: dict[str, Callable[[Job, str | None, float, str], Document]] = {
    "g1": _g1,
    "g2": _g2,
    "g3": _g3,
    "kb": _kb,
    "common": _common,
    "third": _third,
}
