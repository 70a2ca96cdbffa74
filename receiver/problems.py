"""Errors as HTTP: the one table, and ``application/problem+json`` answers (RFC 9457).

A 4xx says that the caller can mend it, a 5xx that it is our fault or Swiftia's. What tells of our inside (addresses,
tracebacks) goes to the log only.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import structlog
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from receiver.answers import GUARDED
from receiver.bodies import BodyTooLarge
from workers import errors
from workers.errors import ServiceError, TemporaryError, UpstreamRefused, UpstreamUnavailable
from workers.submissions import Busy, IdempotencyMismatch

TYPE_PREFIX: Final = "urn:swiftia-receiver:problem:"
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
    errors.NotFound: Kind(404, "not-found", "Nothing here under that name"),
    errors.Conflict: Kind(409, "conflict", "The state does not allow it"),
    IdempotencyMismatch: Kind(422, "idempotency-key-reused", "The Idempotency-Key belongs to another request"),
    Unidentified: Kind(422, "unidentifiable", "The callback names no job"),
    BodyTooLarge: Kind(413, "too-large", "The body is too large"),
    Busy: Kind(429, "busy", "The request budget is spent for now", retry_after=5),
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


def install(app: Flask) -> None:
    app.register_error_handler(ServiceError, of_error)
    app.register_error_handler(HTTPException, of_http)
    app.register_error_handler(Exception, of_fault)


def problem(
    kind: Kind, detail: str, *, values: Mapping[str, object] | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """``values`` ride beside the standard members and never replace one."""
    beside = {
        "upstream_status" if name == "status" else name: _plain(value)
        for name, value in (values or {}).items()
        if name == "status" or name not in _RESERVED
    }
    body = {"type": TYPE_PREFIX + kind.slug, "title": kind.title, "status": kind.status, "detail": detail, **beside}
    return Response(
        json.dumps(body) + "\n",
        kind.status,
        {**GUARDED, **(headers or {})},
        content_type="application/problem+json",
    )


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


def of_error(error: ServiceError) -> Response:
    kind = kind_of(error)
    if kind.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.warning("request.failed", problem=kind.slug, reason=error.message, endpoint=request.endpoint)
    wait = getattr(error, "retry_after", None) or kind.retry_after
    headers = {} if wait is None else {"Retry-After": str(max(1, math.ceil(wait)))}
    if kind.detail:
        return problem(kind, kind.detail, headers=headers)
    return problem(kind, error.message + kind.advice, values=error.values, headers=headers)


def of_http(error: HTTPException) -> Response:
    """Flask's own: no such route, no such method, a request that cannot be read."""
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    headers = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
    kind = Kind(int(status), error.name.lower().replace(" ", "-"), error.name)
    return problem(kind, _SAID.get(int(status), error.name), headers=headers)


def of_fault(error: Exception) -> Response:
    _log.error("request.crashed", endpoint=request.endpoint, exc_info=error)
    kind = TABLE[ServiceError]
    return problem(kind, kind.detail or "")


_SAID: Final = {
    404: "there is no such route; GET / lists what there is",
    405: "this route does not take that method; the header Allow lists those it takes",
}


def _plain(value: object) -> object:
    if value is None or isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)[:_LONGEST_VALUE]
