"""Parameters that several routes share."""

from typing import Final

from receiver.description.routes import Parameter, Schema
from workers.moments import LATEST_MS

JOB_ID: Final[Schema] = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,128}$"}
REF: Final[Schema] = {"type": "string", "pattern": "^[A-Za-z0-9_-]{22,64}$"}
ACCOUNT: Final[Schema] = {"type": "string", "pattern": "^[a-z0-9_-]{1,32}$"}
RECEIPT: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
MOMENT: Final[Schema] = {
    "anyOf": [{"type": "string", "format": "date-time"}, {"type": "integer", "minimum": 0, "maximum": LATEST_MS}]
}

# By name, wherever a path has it.
PATH: Final = {
    "name": Parameter(
        "name",
        {"type": "string", "pattern": "^(ref:)?[A-Za-z0-9_-]{1,128}$"},
        "A job's id, or the ref of its submission or of its callback URL.",
        example="job_7Qa1",
    ),
    "n": Parameter(
        "n",
        {"type": "integer", "minimum": 1, "maximum": 999_999},
        "The number of a render, or of a delivery, within its job, from 1.",
        example=1,
    ),
    "receipt": Parameter(
        "receipt",
        RECEIPT,
        "A callback's receipt, as the door answered it and as the job lists it.",
        example="019b0c7e5a10d3b1f0a94c5e7f2281aa",
    ),
    "token": Parameter(
        "token",
        {"type": "string", "pattern": r"^[A-Za-z0-9_~-]{6,64}\.[A-Za-z0-9_-]{43}$"},
        "The last part of a callback URL: a ref and its signature, or the shared one. It is the door's only key.",
    ),
    "slug": Parameter("slug", {"type": "string"}, "A problem's name.", example="not-found"),
}

IF_NONE_MATCH: Final = Parameter(
    "If-None-Match", {"type": "string"}, "ETags of what you have; if one of them still holds, the answer is a bare 304."
)
RANGE: Final = Parameter(
    "Range",
    {"type": "string"},
    "One range of bytes. Several at once, or anything that is no range of bytes, gets the whole file.",
    example="bytes=0-1048575",
)
IF_RANGE: Final = Parameter(
    "If-Range", {"type": "string"}, "An ETag: the range is served only if it still holds, else the whole file."
)
PREFER: Final = Parameter(
    "Prefer",
    {"type": "string"},
    "`respond-async`: answer before the job is submitted, with 202 and the ref. Anything else is not heeded.",
    example="respond-async",
)
IDEMPOTENCY_KEY: Final = Parameter(
    "Idempotency-Key",
    {"type": "string", "pattern": "^[!-~]([ -~]{0,253}[!-~])?$"},
    "Your name for this submission, for a day. Sent again with the same body it submits nothing and answers what "
    "became of the first one; with another body it is refused.",
    example="order-1",
)
ETAG: Final = {"ETag": "Changes when the answer does."}
TAGGED: Final = {**ETAG, "Cache-Control": "`private, no-cache`: may be kept, and has to be asked about each time."}
