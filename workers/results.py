"""What ``GET /api/jobs/{id}`` and ``POST /api/jobs`` answer, read into one shape from every dialect.

The id is ``id`` or, in older docs, ``jobId``. Shorts stand in ``data.shorts`` [GJ1, GJ2] or at top level [KB]; a title
is ``title`` or ``content``, times are ``startTime``/``endTime`` or ``start``/``end``, in seconds.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeGuard

from workers.documents import member, number, text
from workers.errors import UnreadableAnswer
from workers.identifiers import is_job_id

MAX_SHORTS: Final = 1000
_TITLE, _TEXT, _WORD, _URL = 500, 5000, 64, 4096
_LONGEST_SHORT_ID = 128
_LARGEST_SHORT_ID = 2**63 - 1


class Phase(StrEnum):
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


# The list of statuses is open and null is allowed [GJ2]: what is not in here is waited on.
_PHASES = {"completed": Phase.COMPLETED, "failed": Phase.FAILED, "error": Phase.FAILED}


@dataclass(frozen=True, slots=True)
class Short:
    """One clip. ``id`` keeps its JSON type, for it is sent back as ``target``. ``start``, ``end``: seconds."""

    id: int | str
    title: str | None = None
    text: str | None = None
    start: float | None = None
    end: float | None = None
    reason: str | None = None
    crop_url: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """``progress``: 0.0 to 1.0. ``cost``: credits. ``skipped``: entries among the shorts without an id to render by.
    ``error``: what Swiftia says went wrong.
    """

    phase: Phase
    upstream_status: str | None = None
    progress: float | None = None
    title: str | None = None
    cost: float | None = None
    function: str | None = None
    created_at: str | None = None
    shorts: tuple[Short, ...] = ()
    error: str | None = None
    skipped: int = 0


def read_created(document: object) -> str:
    """Return the id of a job just created. On ``UnreadableAnswer`` the job exists all the same, under an unknown id."""
    for key in ("id", "jobId"):
        found = member(document, key)
        if isinstance(found, str) and is_job_id(found):
            return found
    raise UnreadableAnswer(
        "Swiftia accepted the job but its answer holds no job id under id or jobId; "
        "look for the job in Swiftia's web application before submitting it again"
    )


def read_result(document: object, *, job_id: str) -> Result:
    """Raise ``UnreadableAnswer`` for a document that is no job, is another job, or has more than 1000 shorts.

    Shorts are read once the job is completed; of several with one id the first counts.
    """
    _check_identity(document, job_id)
    status = text(member(document, "status"), limit=_WORD)
    phase = _PHASES.get((status or "").strip().casefold(), Phase.RUNNING)
    shorts, skipped = _read_shorts(document) if phase is Phase.COMPLETED else ((), 0)
    progress = number(member(document, "progress"))
    return Result(
        phase=phase,
        upstream_status=status,
        progress=None if progress is None else min(max(progress / 100, 0.0), 1.0),
        title=text(member(document, "title"), limit=_TITLE),
        cost=number(member(document, "cost")),
        function=text(member(document, "functionName"), limit=_WORD),
        created_at=text(member(document, "createdAt"), limit=_WORD),
        shorts=shorts,
        error=_read_error(document, phase),
        skipped=skipped,
    )


def _check_identity(document: object, job_id: str) -> None:
    if not isinstance(document, dict):
        raise UnreadableAnswer("Swiftia's answer about the job is no JSON object; check SWIFTIA_BASE_URL", job=job_id)
    said = [found for key in ("id", "jobId") if (found := document.get(key)) is not None]
    if said and job_id not in said:
        raise UnreadableAnswer("Swiftia answered with another job than the one asked for; ask again", job=job_id)
    if not said and document.get("status") is None:
        raise UnreadableAnswer(
            "Swiftia's answer has neither an id nor a status, so it is no job; check SWIFTIA_BASE_URL", job=job_id
        )


def is_short_id(value: object) -> TypeGuard[int | str]:
    """A 64-bit integer or up to 128 visible characters. A float is none: sent back, 1.0 may not be the 1 it was."""
    if isinstance(value, str):
        return bool(value.strip()) and len(value) <= _LONGEST_SHORT_ID and value.isprintable()
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST_SHORT_ID


def _read_shorts(document: object) -> tuple[tuple[Short, ...], int]:
    shorts: dict[int | str, Short] = {}
    skipped = 0
    for entry in _entries(document):
        short_id = member(entry, "id")
        if not is_short_id(short_id):
            skipped += 1
        elif short_id not in shorts:
            shorts[short_id] = _read_short(short_id, entry)
    return tuple(shorts.values()), skipped


def _entries(document: object) -> list[object]:
    found = member(member(document, "data"), "shorts")
    entries = member(document, "shorts") if found is None else found
    if entries is None:
        return []
    if not isinstance(entries, list):
        raise UnreadableAnswer("the shorts in Swiftia's answer are no list; its format may have changed")
    if len(entries) > MAX_SHORTS:
        raise UnreadableAnswer(
            f"Swiftia's answer lists {len(entries)} shorts and at most {MAX_SHORTS} are handled; "
            "cut the source video into several jobs"
        )
    return entries


def _read_short(short_id: int | str, entry: object) -> Short:
    url = text(member(entry, "cropFileUrl"))
    return Short(
        id=short_id,
        title=text(member(entry, "title", "content"), limit=_TITLE),
        text=text(member(entry, "text"), limit=_TEXT),
        start=number(member(entry, "startTime", "start")),
        end=number(member(entry, "endTime", "end")),
        reason=text(member(entry, "reason"), limit=_TEXT),
        crop_url=url if url is not None and len(url) <= _URL else None,  # a URL cut short is a wrong URL
    )


def _read_error(document: object, phase: Phase) -> str | None:
    # An object by [JOBS1, SEED1], a string in every other answer of this API.
    error = member(document, "error")
    said = text(error, limit=_TITLE) or text(member(error, "message", "error", "code"), limit=_TITLE)
    if said is None and phase is Phase.FAILED:
        return text(member(document, "message"), limit=_TITLE)
    return said
