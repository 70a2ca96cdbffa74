"""Whether the rest of a file may follow what is there of it: validators and ranges of HTTP (RFC 9110), read strictly.

Names of headers are in small letters.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

_STRONG_TAG: Final = re.compile(r'"[\x21\x23-\x7e]{0,254}"', re.ASCII)
_DATE: Final = re.compile(r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT", re.ASCII)
_SPAN: Final = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})", re.ASCII)
_LENGTH: Final = re.compile(r"[0-9]{1,20}", re.ASCII)
# A date counts in seconds, and a file may change twice in one. One that is a minute old when it is sent does not.
_SETTLED_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes from ``start`` up to, not including, ``stop`` of a file of ``total`` bytes."""

    start: int
    stop: int
    total: int


def validator(headers: Mapping[str, str]) -> str:
    """What an answer gives ``If-Range``: a strong ETag, else a date that is old enough, else nothing."""
    tag = headers.get("etag", "").strip()
    if _STRONG_TAG.fullmatch(tag):
        return tag
    modified = headers.get("last-modified", "").strip()
    changed, sent = _moment(modified), _moment(headers.get("date", "").strip())
    if changed is None or sent is None or (sent - changed).total_seconds() < _SETTLED_S:
        return ""
    return modified


def is_same(known: str, headers: Mapping[str, str]) -> bool:
    """Whether an answer is of the very file that ``known``, from ``validator``, came with."""
    return known != "" and known == headers.get("etag" if known.startswith('"') else "last-modified", "").strip()


def span(content_range: str) -> Span | None:
    """Read ``Content-Range``. None for what cannot be, and for a file whose length it leaves open.

    >>> span("bytes 100-199/1000")
    Span(start=100, stop=200, total=1000)
    """
    match = _SPAN.fullmatch(content_range.strip())
    if match is None:
        return None
    first, last, total = (int(number) for number in match.groups())
    return Span(first, last + 1, total) if first <= last < total else None


def length(content_length: str) -> int | None:
    return int(content_length) if _LENGTH.fullmatch(content_length) else None


def _moment(text: str) -> datetime | None:
    if not _DATE.fullmatch(text):
        return None
    try:
        return parsedate_to_datetime(text).astimezone(UTC)
    except ValueError:
        return None
