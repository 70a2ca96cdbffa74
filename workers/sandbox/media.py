"""Serve films, whole or a range of them (RFC 9110, one range)."""

import re

from workers.sandbox.answers import Answer, error
from workers.sandbox.films import Film
from workers.sandbox.replies import Reply, plain

_RANGE = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})", re.ASCII)


def serve(route: str, key: str, film: Film, wanted: str, *, manner: str) -> Reply:
    """Answer with the film. ``wanted``: the Range header, "" for none; one that is not understood is ignored."""
    span = read_range(wanted, film.size)
    if span is None:
        return plain(route, _unsatisfiable(film.size))
    start, stop = span
    partial = (start, stop) != (0, film.size) or _RANGE.fullmatch(wanted) is not None
    ranges = (("Content-Range", f"bytes {start}-{stop - 1}/{film.size}"),) if partial else ()
    return Reply(
        route=route,
        status=206 if partial else 200,
        kind="video/mp4",
        headers=(("Accept-Ranges", "bytes"), ("ETag", f'"{key.rpartition("/")[2]}-{film.size}"'), *ranges),
        length=stop - start,
        pieces=film.read(start, stop),
        manner=manner,
        film=key,
    )


def read_range(wanted: str, size: int) -> tuple[int, int] | None:
    """Return the bytes wanted, from (inclusive) and to (exclusive), or None if there are none of these."""
    match = _RANGE.fullmatch(wanted)
    if match is None or match.groups() == ("", ""):
        return 0, size
    first, last = match.groups()
    if not first:
        return (max(0, size - int(last)), size) if int(last) else None
    start = int(first)
    stop = min(int(last) + 1, size) if last else size
    if last and int(last) < start:
        return 0, size
    return (start, stop) if start < size else None


def _unsatisfiable(size: int) -> Answer:
    return error(416, "No such range", headers=(("Content-Range", f"bytes */{size}"),))
