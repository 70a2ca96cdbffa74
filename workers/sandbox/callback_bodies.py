"""Bodies of a callback: the docs promise "the generated content of the job" [PJ1] and show none, hence so many."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Notice:
    """``document``: what GET would say about the job; ``huge_bytes``: about how long a huge body is."""

    job_id: str
    document: dict[str, Any]
    huge_bytes: int


def write(form: str, notice: Notice) -> tuple[str, bytes]:
    """Return content type ("" for none) and body."""
    return FORMS[form](notice)


def _dump(value: object) -> bytes:
    return json.dumps(value).encode()


def _data(notice: Notice) -> Any:
    return notice.document.get("data", {"shorts": notice.document.get("shorts", [])})


def _shorts(notice: Notice) -> Any:
    return _data(notice)["shorts"]


def _huge(notice: Notice) -> bytes:
    return _dump(notice.document | {"transcription": "word " * (notice.huge_bytes // 5)})


def _truncated(notice: Notice) -> bytes:
    whole = _dump(notice.document)
    return whole[: len(whole) // 2]


FORMS: dict[str, Callable[[Notice], tuple[str, bytes]]] = {
    "whole": lambda notice: (_JSON, _dump(notice.document)),
    "data": lambda notice: (_JSON, _dump(_data(notice))),
    "shorts": lambda notice: (_JSON, _dump(_shorts(notice))),
    "event": lambda notice: (_JSON, _dump({"event": "job.completed", "data": notice.document})),
    "job": lambda notice: (_JSON, _dump({"job": notice.document})),
    "payload": lambda notice: (_JSON, _dump({"payload": notice.document})),
    "empty": lambda _: ("", b""),
    "null": lambda _: (_JSON, b"null"),
    "text": lambda notice: ("text/plain", f"job {notice.job_id} is done".encode()),
    "form": lambda notice: ("application/x-www-form-urlencoded", f"jobId={notice.job_id}&status=COMPLETED".encode()),
    "wrong-type": lambda notice: ("text/html; charset=iso-8859-1", _dump(notice.document)),
    "wrong-text": lambda _: (_JSON, b"<xml>done</xml>"),
    "bad-utf8": lambda notice: (_JSON, _dump(notice.document).replace(b'"status"', b'"\xff\xfe\xc3": 1, "status"', 1)),
    "bom": lambda notice: ("application/json; charset=utf-8", b"\xef\xbb\xbf" + _dump(notice.document)),
    "huge": lambda notice: (_JSON, _huge(notice)),
    "deep": lambda _: (_JSON, b'{"data":' + b"[" * 50_000 + b"]" * 50_000 + b"}"),
    "truncated": lambda notice: (_JSON, _truncated(notice)),
}
"""Name to content type and body; "mixed" goes through them in this order."""
