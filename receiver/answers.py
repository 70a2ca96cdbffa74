"""What leaves the HTTP edge: JSON with the headers that every answer of the API bears."""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Final

from flask import Request, Response

# No answer is anybody's to keep, and none is to be taken for anything else than it says it is.
GUARDED: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
# May be kept by who asked, and has to be asked about each time.
TAGGED: Final = {**GUARDED, "Cache-Control": "private, no-cache"}
_COMPACT: Final = (",", ":")


def json_text(body: object) -> str:
    return json.dumps(body, separators=_COMPACT) + "\n"


def json_answer(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(json_text(body), status, {**GUARDED, **(headers or {})}, content_type="application/json")


def tagged_json(request: Request, seen: object, make: Callable[[], object]) -> Response:
    """``seen``: what decides whether the answer has changed. ``make`` is not called for who has it already."""
    text = json.dumps(seen, separators=_COMPACT, sort_keys=True)
    tag = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    # Weak: it says that the same is told, not that it is told in the same bytes.
    headers = {**TAGGED, "ETag": f'W/"{tag}"'}
    if request.if_none_match.contains_weak(tag):
        return Response(status=304, headers=headers)
    return json_answer(make(), headers=headers)


def empty_answer() -> Response:
    """204"""
    return Response(status=204, headers=GUARDED)
