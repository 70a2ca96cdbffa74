"""Errors as HTTP: the one table, and ``application/problem+json`` answers (RFC 9457).

A 4xx says that the caller can mend it, a 5xx that it is our fault or Swiftia's. What tells of our inside (addresses,
tracebacks) goes to the log only. What each problem means and what to do: ``receiver/explanations.py``.

``type`` is a path, ``/problems/<slug>``, on every installation: whoever compares it needs no address of ours, and
whoever asks for it, relative to what was asked first, gets the page that explains it.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import structlog
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from receiver.answers import GUARDED
from receiver.bodies import BodyTooLarge, NotJson
from receiver.console.refused import FormRefused, ReadOnly, TooManyTries
from receiver.ranges import NotSatisfiable
from workers import errors
from workers.errors import ServiceError, TemporaryError, UpstreamRefused, UpstreamUnavailable
from workers.idempotency import IdempotencyMismatch

# What gunicorn lets in at all.
LONGEST_LINE: Final = 2048
MOST_HEADERS: Final = 50
LONGEST_HEADER: Final = 4096
_RESERVED: Final = frozenset({"type", "title", "status", "detail", "instance"})
_LONGEST_VALUE = 300
_log = structlog.get_logger("receiver")


@dataclass(frozen=True, slots=True)
class Kind:
    """``detail`` replaces an error's own message where that is not for strangers, ``advice`` follows it.
    ``retry_after``: seconds.
    """

    status: int
    slug: str
    title: str
    detail: str | None = None
    retry_after: float | None = None
    advice: str = ""


class Unidentified(errors.PermanentError):
    """A callback for the shared URL that names no job."""


# The most fitting class counts, so the bases at the end catch what is not named.
TABLE: Final[Mapping[type[ServiceError], Kind]] = {
    errors.InvalidInput: Kind(400, "invalid-input", "The request cannot be used"),
    errors.Unauthorized: Kind(401, "unauthorized", "Not authorized"),
    ReadOnly: Kind(403, "read-only", "This token is for looking"),
    FormRefused: Kind(403, "form-refused", "The form is not from here"),
    errors.NotFound: Kind(404, "not-found", "Nothing here under that name"),
    errors.Conflict: Kind(409, "conflict", "The state does not allow it"),
    IdempotencyMismatch: Kind(422, "idempotency-key-reused", "The Idempotency-Key belongs to another request"),
    Unidentified: Kind(422, "unidentifiable", "The callback names no job"),
    BodyTooLarge: Kind(413, "too-large", "The body is too large"),
    NotJson: Kind(415, "unsupported-media-type", "The body is not JSON"),
    NotSatisfiable: Kind(416, "range-not-satisfiable", "The range lies outside the file"),
    TooManyTries: Kind(429, "too-many-tries", "Too many tries", retry_after=300),
    errors.Busy: Kind(429, "busy", "The request budget is spent for now", retry_after=5),
    errors.RateLimited: Kind(429, "swiftia-rate-limit", "Swiftia's rate limit is reached", retry_after=1),
    errors.CredentialsRefused: Kind(502, "swiftia-credentials", "Swiftia refuses the API key of this service"),
    errors.UpstreamUnavailable: Kind(502, "swiftia-unavailable", "Swiftia does not answer as it should"),
    errors.UnreadableAnswer: Kind(502, "swiftia-unreadable", "Swiftia's answer cannot be read"),
    errors.TooLarge: Kind(502, "swiftia-too-large", "An answer is larger than is allowed"),
    errors.DownloadFailed: Kind(502, "download-failed", "A download failed"),
    errors.TargetRefused: Kind(502, "target-refused", "An address must not be connected to"),
    errors.LedgerUnavailable: Kind(
        503, "ledger-unavailable", "Nothing can be stored now", "the store behind this service does not answer", 5
    ),
    errors.SpoolUnavailable: Kind(
        503, "spool-unavailable", "Nothing can be stored now", "neither the store nor the spool takes anything", 10
    ),
    errors.StoreUnavailable: Kind(
        503, "store-unavailable", "Files cannot be reached now", "the file store behind this service cannot be used", 30
    ),
    errors.Crowded: Kind(503, "crowded", "Too many read or listen already", retry_after=10),
    TemporaryError: Kind(503, "unavailable", "Not possible now", retry_after=5),
    ServiceError: Kind(500, "internal", "A fault of this service", "the log of the service tells more"),
}

_REFUSED: Final = {
    "bad-request": Kind(400, "swiftia-bad-request", "Swiftia refuses the request"),
    "not-found": Kind(404, "swiftia-not-found", "Swiftia does not know it"),
    "storage-full": Kind(403, "storage-full", "Swiftia's storage is full"),
    "phone-verification": Kind(403, "phone-verification", "Swiftia wants the account's phone number verified"),
    "no-credit": Kind(403, "no-credit", "Too little credit at Swiftia"),
    "forbidden": Kind(403, "swiftia-forbidden", "Swiftia forbids it"),
}
_REFUSED_ELSE: Final = Kind(422, "swiftia-refused", "Swiftia refuses the request")
# Nothing has reached Swiftia: unlike after the others, the same request may be sent again without a thought.
_NOT_SENT: Final = Kind(503, "swiftia-unreachable", "Swiftia cannot be reached", retry_after=10)
# A submission whose answer was lost: the error carries its ref.
_UNSURE: Final = Kind(
    502,
    "submission-unsure",
    "Whether Swiftia took the job is not known",
    advice=". If it did, the job appears under this ref: look there before sending it again, which may pay twice",
)
NO_STREAMS: Final = Kind(501, "no-streams", "This server has no event streams")
# What Flask, or gunicorn before it, finds out before any code of ours runs.
_OF_HTTP: Final = {
    400: Kind(400, "bad-request", "The request is malformed", "the request cannot be read"),
    404: Kind(
        404, "not-found", "Nothing here under that name", "there is no such route; GET /docs shows what there is"
    ),
    405: Kind(
        405,
        "method-not-allowed",
        "This route does not take that method",
        "this route does not take that method; the header Allow lists those it takes",
    ),
    413: TABLE[BodyTooLarge],
    414: Kind(
        414, "uri-too-long", "The address is too long", f"the first line of a request has {LONGEST_LINE} bytes at most"
    ),
    431: Kind(
        431,
        "headers-too-large",
        "The headers are too large",
        f"{MOST_HEADERS} headers are taken, of {LONGEST_HEADER} bytes each",
    ),
}
KINDS: Final[Mapping[str, Kind]] = {
    kind.slug: kind
    for kind in (*_OF_HTTP.values(), *TABLE.values(), *_REFUSED.values(), _REFUSED_ELSE, _NOT_SENT, _UNSURE, NO_STREAMS)
}


def type_of(slug: str) -> str:
    return f"/problems/{slug}"


@dataclass(frozen=True, slots=True)
class Problem:
    """``values`` ride beside the standard members and never replace one."""

    kind: Kind
    detail: str
    values: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def answer(self) -> Response:
        beside = {
            "upstream_status" if name == "status" else name: _plain(value)
            for name, value in self.values.items()
            if name == "status" or name not in _RESERVED
        }
        return Response(
            document(self.kind, self.detail, beside),
            self.kind.status,
            {**GUARDED, **self.headers},
            content_type="application/problem+json",
        )


def install(app: Flask, show: Callable[[Problem], Response] = Problem.answer) -> None:
    """``show``: makes the answer of what an error is told as."""
    app.register_error_handler(ServiceError, lambda error: show(of_error(error)))
    app.register_error_handler(HTTPException, lambda error: show(of_http(error)))
    app.register_error_handler(Exception, lambda error: show(of_fault(error)))


def problem(kind: Kind, detail: str, *, headers: Mapping[str, str] | None = None) -> Response:
    return Problem(kind, detail, headers=headers or {}).answer()


def document(kind: Kind, detail: str, beside: Mapping[str, object] | None = None) -> str:
    # A status that means nothing in particular here has no page either.
    kind_type = type_of(kind.slug) if kind.slug else "about:blank"
    body = {"type": kind_type, "title": kind.title, "status": kind.status, "detail": detail, **(beside or {})}
    return json.dumps(body) + "\n"


def kind_of(error: ServiceError) -> Kind:
    match error:
        case UpstreamRefused():
            return _REFUSED.get(error.kind, _REFUSED_ELSE)
        case UpstreamUnavailable(sent=False):
            return _NOT_SENT
        case UpstreamUnavailable() | errors.UnreadableAnswer() | errors.TooLarge() | errors.LedgerUnavailable() if (
            "ref" in error.values
        ):
            return _UNSURE
    return next(TABLE[cls] for cls in type(error).__mro__ if cls in TABLE)


def of_error(error: ServiceError) -> Problem:
    kind = kind_of(error)
    if kind.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.warning("request.failed", problem=kind.slug, reason=error.message, endpoint=request.endpoint)
    wait = getattr(error, "retry_after", None) or kind.retry_after
    headers = {} if wait is None else {"Retry-After": str(max(1, math.ceil(wait)))}
    if isinstance(error, NotSatisfiable):
        headers["Content-Range"] = f"bytes */{error.size}"
    if kind.detail:
        return Problem(kind, kind.detail, headers=headers)
    return Problem(kind, error.message + kind.advice, error.values, headers)


def of_http(error: HTTPException) -> Problem:
    """Flask's own: no such route, no such method, a request that cannot be read."""
    status = int(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    headers = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
    kind = _OF_HTTP.get(status, Kind(status, "", error.name))
    return Problem(kind, kind.detail or error.name, headers=headers)


def of_fault(error: Exception) -> Problem:
    _log.error("request.crashed", endpoint=request.endpoint, exc_info=error)
    kind = TABLE[ServiceError]
    return Problem(kind, kind.detail or "")


def _plain(value: object) -> object:
    if value is None or isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)[:_LONGEST_VALUE]
