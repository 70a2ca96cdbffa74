"""Request bodies, read strictly: what is wrong is refused with a 400 that names the field."""

import json
from typing import Any
from urllib.parse import urlsplit

from workers.sandbox.answers import Refused, invalid

_LONGEST_URL = 2048
_LARGEST_NUMBER = 1e9


def read_object(body: bytes, content_type: str) -> dict[str, Any]:
    """Read a JSON object, or refuse."""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise Refused(invalid("Send JSON with the header Content-Type: application/json."))
    try:
        document = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Refused(invalid("The request body is not valid JSON.")) from None
    if not isinstance(document, dict):
        raise Refused(invalid("The request body must be a JSON object."))
    return document


def section(document: dict[str, Any], name: str) -> dict[str, Any]:
    """Return an optional object; {} where it is absent."""
    value = document.get(name, {})
    if not isinstance(value, dict):
        raise Refused(invalid(f"The '{name}' parameter must be an object."))
    return value


def text(document: dict[str, Any], name: str) -> str:
    """Return an optional string; "" where it is absent."""
    value = document.get(name, "")
    if not isinstance(value, str):
        raise Refused(invalid(f"The '{name}' parameter must be a string."))
    return value


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST_NUMBER


def is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LARGEST_NUMBER


def is_url(value: str) -> bool:
    """Whether it is an http(s) URL that a request line can carry."""
    if len(value) > _LONGEST_URL or not value.isascii() or not value.isprintable() or " " in value:
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _no_constant(name: str) -> float:
    raise ValueError(name)
