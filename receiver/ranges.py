"""Byte ranges of a file (RFC 9110, section 14): which part a request wants, and which headers go with it."""

from dataclasses import dataclass

from werkzeug.datastructures import IfRange, Range

from workers.errors import PermanentError


class NotSatisfiable(PermanentError):
    """``size``: of the whole file, in bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the range lies outside the file, which has {size} bytes")
        self.size = size


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes ``start`` up to, not including, ``end`` of ``size``. ``whole``: no range is served, the file is."""

    start: int
    end: int
    size: int
    whole: bool

    @property
    def status(self) -> int:
        return 200 if self.whole else 206

    @property
    def headers(self) -> dict[str, str]:
        headers = {"Content-Length": str(self.end - self.start), "Accept-Ranges": "bytes"}
        if not self.whole:
            headers["Content-Range"] = f"bytes {self.start}-{self.end - 1}/{self.size}"
        return headers


def part_of(size: int, *, wanted: Range | None, only_if: IfRange, etag: str | None) -> Part:
    """Several ranges at once, other units and a stale If-Range get the whole file, as the RFC allows."""
    everything = Part(0, size, size, whole=True)
    if wanted is None or wanted.units != "bytes" or len(wanted.ranges) != 1:
        return everything
    if (only_if.date is not None or only_if.etag is not None) and (etag is None or only_if.etag != etag):
        return everything
    start, end = wanted.ranges[0]
    if start < 0 < size:  # the last so many bytes, and all of them where there are not so many
        return Part(max(0, size + start), size, size, whole=False)
    if not 0 <= start < size:
        raise NotSatisfiable(size)
    return Part(start, size if end is None else min(end, size), size, whole=False)
