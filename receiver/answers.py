"""What leaves the HTTP edge: JSON with the headers that every answer of the API bears."""

import json
from collections.abc import Mapping
from typing import Final

from flask import Response

# No answer is anybody's to keep, and none is to be taken for anything else than it says it is.
GUARDED: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def json_answer(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    text = json.dumps(body, separators=(",", ":")) + "\n"
    return Response(text, status, {**GUARDED, **(headers or {})}, content_type="application/json")


def empty_answer() -> Response:
    """204"""
    return Response(status=204, headers=GUARDED)
