"""What the body of a callback says. A hint only: nothing is decided by it but which job to ask about.

The body is not documented beyond "the generated content of the job" [W2]: it may be the whole job, its ``data``, its
shorts, one of these in an envelope, or nothing of use.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from workers.documents import member, parse_json, text
from workers.errors import InvalidInput
from workers.identifiers import is_job_id

_ENVELOPES = ("job", "data", "payload")
_LONGEST_STATUS = 64


@dataclass(frozen=True, slots=True)
class Hint:
    """``readable``: whether the body was JSON at all. ``status``: the sender's word, unchecked."""

    job_id: str | None = None
    status: str | None = None
    readable: bool = False


def read_hint(body: bytes) -> Hint:
    """Never raise, whatever the bytes."""
    try:
        document = parse_json(body, what="the callback")
    except InvalidInput:
        return Hint()
    # One level below the top at most: further down, an "id" is the id of a short.
    levels = [document, *(member(document, name) for name in _ENVELOPES)]
    words = (text(member(level, "status"), limit=_LONGEST_STATUS) for level in levels)
    return Hint(
        job_id=next(_job_ids(levels), None),
        status=next((word for word in words if word), None),
        readable=True,
    )


def _job_ids(levels: list[object]) -> Iterator[str]:
    # A name that can only mean the job comes first: the plain "id" of an envelope may be the id of the event.
    for names in (("jobId", "job_id"), ("id",)):
        for level in levels:
            for name in names:
                found = member(level, name)
                if isinstance(found, str) and is_job_id(found):
                    yield found
