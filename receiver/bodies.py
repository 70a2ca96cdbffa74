"""Request bodies, read whole or not at all."""

import json
from typing import Final

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge

from workers.documents import parse_json
from workers.errors import InvalidInput, PermanentError, TooLarge

MAX_JSON_BYTES: Final = 1 << 20
# Far below what the interpreter follows: what is read here is written and read again elsewhere, on deeper stacks.
MAX_DEPTH: Final = 64


class BodyTooLarge(TooLarge):
    """The request's own body, as opposed to something that we fetched."""


class NotJson(PermanentError):
    """The body says of itself that it is something else than JSON."""


def read_body(request: Request, *, limit: int) -> bytes:
    """Return all of the body, or raise ``BodyTooLarge``, or ``InvalidInput`` for one that ended early.

    More than ``limit`` bytes are never held, whether the length was announced or not.
    """
    # One byte more than is allowed, for a chunked body is not refused but cut at this length.
    request.max_content_length = limit + 1
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise _too_large(limit) from None
    except Exception as error:  # noqa: BLE001 - whatever a server's stream raises, the body did not arrive
        raise InvalidInput(f"the body ended early or its chunks are malformed ({type(error).__name__})") from None
    if len(body) > limit:
        raise _too_large(limit)
    announced = request.content_length
    # A connection that breaks off leaves a short body and no error.
    if announced is not None and announced != len(body):
        raise InvalidInput(f"the body ended after {len(body)} of {announced} announced bytes; send it again")
    return body


def read_object(request: Request, *, optional: bool = False) -> dict[str, object]:
    """Read a JSON object of at most a megabyte and 64 levels. ``optional``: no body at all counts as ``{}``."""
    body = read_body(request, limit=MAX_JSON_BYTES)
    if optional and not body:
        return {}
    if request.mimetype and not request.is_json:
        raise NotJson("send the body as JSON, with the header Content-Type: application/json", got=request.mimetype)
    return checked(parse_json(body, what="the request body"))


def checked(document: object) -> dict[str, object]:
    """Raise ``InvalidInput`` for what is no object, or none that can be kept and sent on."""
    if not isinstance(document, dict):
        raise InvalidInput("the request body is no JSON object")
    _check_depth(document)
    if size_of(document) < 0:
        raise InvalidInput("the request body holds half a surrogate pair, which no UTF-8 text can")
    return document


def size_of(document: object) -> int:
    """How many bytes it has as compact UTF-8 JSON; -1 if it cannot be written as such."""
    try:
        return len(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode())
    except UnicodeEncodeError:
        return -1


def _check_depth(document: object) -> None:
    level = [document]
    for _ in range(MAX_DEPTH):
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return
    raise InvalidInput(f"the request body is nested deeper than {MAX_DEPTH} levels")


def _inside(value: object) -> list[object]:
    match value:
        case dict():
            return list(value.values())
        case list():
            return value
    return []


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body is larger than the {limit} bytes that are taken here", limit=limit)
