"""What ``GET /api/uploads`` answers: how much of the storage at Swiftia is used, and which files are there.

Sizes of the whole are in MB, that of a file is in bytes [SEED1, FLIST, FGET]; numbers may come as text.
"""

import json
from dataclasses import dataclass
from typing import Final, Self

from workers.documents import member, number, parse_json, whole
from workers.errors import InvalidInput, UnreadableAnswer
from workers.identifiers import is_job_id

_WHOLE: Final = 100.0


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """``job_id``: the job that it came from, None for a file that somebody brought. ``size`` in bytes."""

    id: str
    job_id: str | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Uploads:
    """None for what was not said. ``count``: how many files are listed, also those without an id to ask for them by."""

    used_mb: float | None = None
    total_mb: float | None = None
    used_percent: float | None = None
    count: int | None = None
    files: tuple[UploadedFile, ...] = ()


def read_uploads(document: object) -> Uploads:
    """Raise ``UnreadableAnswer`` for a document that says neither how much is used nor which files there are."""
    used = _amount(member(document, "usedSize"))
    total = _amount(member(document, "subSize", "totalSize"))
    listed = member(document, "files")
    entries = listed if isinstance(listed, list) else None
    if used is None and entries is None:
        raise UnreadableAnswer(
            "Swiftia's answer about the storage has neither usedSize nor files; check SWIFTIA_BASE_URL"
        )
    stated = _amount(member(document, "usedSizePercent"))
    percent = stated if stated is not None else _percent(used, total)
    found = (_read_file(entry) for entry in entries or ())
    files = tuple(file for file in found if file is not None)
    return Uploads(used, total, percent, None if entries is None else len(entries), files)


def _read_file(entry: object) -> UploadedFile | None:
    name, job = member(entry, "id"), member(entry, "jobId")
    # Only such an id may become part of a URL.
    if not isinstance(name, str) or not is_job_id(name):
        return None
    return UploadedFile(name, job if isinstance(job, str) and is_job_id(job) else None, whole(member(entry, "size")))


def _amount(value: object) -> float | None:
    found = number(value)
    return None if found is None or found < 0 else found


def _percent(used: float | None, total: float | None) -> float | None:
    return round(_WHOLE * used / total, 2) if used is not None and total and used <= total * _WHOLE else None


@dataclass(frozen=True, slots=True)
class Stock:
    """The storage as it was seen ``at`` a moment, in Unix seconds. Without names, which are nobody's to keep."""

    used_mb: float | None
    total_mb: float | None
    used_percent: float | None
    files: int | None
    at: float

    @classmethod
    def of(cls, uploads: Uploads, at: float) -> Self:
        return cls(uploads.used_mb, uploads.total_mb, uploads.used_percent, uploads.count, at)

    def is_short(self, warn_percent: float) -> bool:
        return self.used_percent is not None and self.used_percent >= warn_percent

    def as_json(self) -> str:
        names = ("used_mb", "total_mb", "used_percent", "files", "at")
        return json.dumps({name: getattr(self, name) for name in names})


def read_stock(raw: bytes | None) -> Stock | None:
    """Read what ``as_json`` wrote; None for nothing, or for anything else."""
    try:
        kept = parse_json(raw or b"", what="the storage as it was seen")
    except InvalidInput:
        return None
    at = number(member(kept, "at"))
    if at is None:
        return None
    used, total, percent = (_amount(member(kept, name)) for name in ("used_mb", "total_mb", "used_percent"))
    return Stock(used, total, percent, whole(member(kept, "files")), at)
