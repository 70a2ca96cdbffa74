"""What an HTTP answer of Swiftia that is no success means for us: one of our errors, with the remedy in its message.

Error bodies come in five shapes: ``{status, message, code?}``, ``{error, message, ...}``, ``{message}``, ``{error}``
and ``{id, deleted, error}`` [ERR1, ERR2, SEED1, FGET, FDEL]; anything else (a proxy's page, nothing) is judged by the
status alone. A refusal may name a phone number: none gets into an error.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from workers.documents import member, number, parse_json, text
from workers.errors import (
    CredentialsRefused,
    InvalidInput,
    RateLimited,
    ServiceError,
    UpstreamRefused,
    UpstreamUnavailable,
)
from workers.waits import retry_after

# The pause holds for the whole organization, so no single answer may ask for more than this.
MAX_RETRY_AFTER_S: Final = 3600.0
DEFAULT_RETRY_AFTER_S: Final = 1.0  # "default 1 s if missing" [RL1]
_LONGEST_MESSAGE = 300
_PHONE = re.compile(r"\+?\(?\d(?:[\s().\-\u2010-\u2015\u2212_/]{0,5}\d){6,}")
_KEY_REMEDY = "set a valid SWIFTIA_API_KEY; everything waits until then and nothing is lost"

# By status: kind, and what to do.
_REFUSED = {
    400: ("bad-request", "correct the request"),
    404: ("not-found", "check the id and SWIFTIA_BASE_URL; a job is gone once Swiftia has archived it"),
}
# By the word in ``error``, 403 only [SEED1, ERR2]: kind, what is the matter, what to do.
_DENIED = {
    "fullstorage": ("storage-full", "Swiftia's storage is full", "delete files there or take a bigger plan"),
    "noenoughcredit": ("no-credit", "the organization has too little credit", "buy credits at Swiftia"),
}
_STORAGE = {"used": "usedSize", "total": "totalSize", "available": "availableSize"}
# These two say themselves that the same request may pass later.
_PASSING = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY)


def refusal(status_code: int, headers: Mapping[str, str], body: bytes, *, doing: str) -> ServiceError:
    """Return the error that an answer without success stands for; never raise.

    ``doing`` opens the message: "reading job x". A redirect is ``UpstreamUnavailable``, as 408, 425 and 5xx are: none
    is followed, and mending SWIFTIA_BASE_URL helps. Whether such a POST took effect is unknown: ``sent`` is true.
    """
    document = _document(body)
    if status_code == HTTPStatus.TOO_MANY_REQUESTS:
        return _limited(_retry_after(headers, document) or DEFAULT_RETRY_AFTER_S, doing)
    if status_code == HTTPStatus.UNAUTHORIZED:
        return CredentialsRefused(f"{doing}: Swiftia refuses the API key; {_KEY_REMEDY}", status=status_code)
    if status_code == HTTPStatus.FORBIDDEN:
        return _forbidden(document, doing)
    if status_code in _PASSING or not HTTPStatus.BAD_REQUEST <= status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        return _unavailable(status_code, document, doing, _retry_after(headers, document))
    kind, remedy = _REFUSED.get(status_code, ("refused", "change the request, or the same will be answered again"))
    message = f"{doing}: Swiftia refuses the request with status {status_code}; {remedy}{_quoted(document)}"
    return UpstreamRefused(message, status=status_code, kind=kind)


def _limited(wait: float, doing: str) -> RateLimited:
    return RateLimited(
        f"{doing}: Swiftia's rate limit is used up; wait {wait:g} s. If this happens often, set SWIFTIA_RATE_LIMIT to "
        "the plan's limit, less what other programs of the organization use",
        retry_after=wait,
        status=int(HTTPStatus.TOO_MANY_REQUESTS),
    )


def _unavailable(status_code: int, document: object, doing: str, retry_after: float | None) -> UpstreamUnavailable:
    redirect = HTTPStatus.MULTIPLE_CHOICES <= status_code < HTTPStatus.BAD_REQUEST
    remedy = "set SWIFTIA_BASE_URL to the address it redirects to" if redirect else "try again later"
    return UpstreamUnavailable(
        f"{doing}: Swiftia answered with status {status_code}; {remedy}{_quoted(document)}",
        sent=True,
        retry_after=retry_after,
        status=status_code,
    )


def _forbidden(document: object, doing: str) -> ServiceError:
    word = (text(member(document, "error")) or "").strip().casefold()
    if "organization id mismatch" in (text(member(document, "message")) or "").casefold():
        return CredentialsRefused(f"{doing}: the API key is of another organization; {_KEY_REMEDY}", status=403)
    if "phone" in word or member(document, "phoneNumber") is not None:
        message = f"{doing}: Swiftia wants the account's phone number verified; verify it in its account settings"
        return UpstreamRefused(message, status=403, kind="phone-verification")
    if word in _DENIED:
        kind, matter, remedy = _DENIED[word]
        return UpstreamRefused(f"{doing}: {matter}; {remedy}", status=403, kind=kind, **_storage(document))
    message = f"{doing}: Swiftia forbids this; check the key's rights and the plan{_quoted(document)}"
    return UpstreamRefused(message, status=403, kind="forbidden")


def _storage(document: object) -> dict[str, float]:
    """Return ``used``, ``total`` and ``available`` as far as they are given; in MB, by the plans' limits."""
    info = member(document, "storageInfo")
    sizes = {name: number(member(info, key)) for name, key in _STORAGE.items()}
    return {name: size for name, size in sizes.items() if size is not None}


def _document(body: bytes) -> object:
    try:
        return parse_json(body, what="an error of Swiftia")
    except InvalidInput:
        return None


def _quoted(document: object) -> str:
    """Return Swiftia's own words as the end of a message, on one line, without anything like a phone number."""
    # A body with a number in it may spell it out in its message in a way that no pattern foresees.
    if member(document, "phoneNumber") is not None:
        return ""
    error = member(document, "error")
    said = text(member(document, "message")) or text(error) or text(member(error, "message")) or ""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in said).split())
    line = _PHONE.sub("[number]", line)
    shown = line if len(line) <= _LONGEST_MESSAGE else line[: _LONGEST_MESSAGE - 1] + "\u2026"
    return f". Swiftia says: {shown}" if shown else ""


def _retry_after(headers: Mapping[str, str], document: object) -> float | None:
    """Return the longer of the two waits that header and body may ask for, in seconds; None if neither does."""
    asked = [retry_after(headers), number(member(document, "retryAfter"))]
    longest = max((seconds for seconds in asked if seconds is not None), default=0.0)
    return min(longest, MAX_RETRY_AFTER_S) if longest > 0 else None
