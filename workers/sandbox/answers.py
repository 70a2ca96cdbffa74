"""Answers and refusals of the API, in the shapes the docs show."""

import json
from dataclasses import dataclass
from typing import Any, Self

from workers.sandbox.limiter import Rate, Verdict, whole_seconds

JSON = "application/json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """``subject``: the job or render that the request made, for the books."""

    status: int
    body: bytes
    kind: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    subject: str = ""

    def with_headers(self, first: tuple[tuple[str, str], ...]) -> Self:
        """Give a copy with these before its own. By hand: ``replace`` takes several times as long."""
        return type(self)(self.status, self.body, self.kind, (*first, *self.headers), self.subject)


class Refused(Exception):
    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def answer(status: int, document: Any, *, headers: tuple[tuple[str, str], ...] = (), subject: str = "") -> Answer:
    return Answer(status, json.dumps(document).encode(), headers=headers, subject=subject)


def error(status: int, message: str, code: str = "", *, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """Answer in the general form, in which ``code`` is optional [ERR1]."""
    codes = {"code": code} if code else {}
    return answer(status, {"status": status, "message": message, **codes}, headers=headers)


def invalid(message: str) -> Answer:
    return error(400, message, "INVALID_INPUT")


def not_found(message: str) -> Answer:
    return error(404, message, "NOT_FOUND")


def wrong_method(allowed: tuple[str, ...]) -> Answer:
    return error(405, "Method not allowed", headers=(("Allow", ", ".join(allowed)),))


def unauthorized(path: str) -> Answer:
    """The file endpoints have a 401 of their own [FGET, FDEL]."""
    if path.startswith("/api/uploads"):
        return answer(401, {"error": "Unauthorized"})
    return error(401, "Unauthorized", "UNAUTHORIZED")


def server_error() -> Answer:
    return error(500, "Please try again later.", "INTERNAL_SERVER_ERROR")


def html_error() -> Answer:
    """What a proxy in front says when the service behind it is away."""
    page = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
    return Answer(502, page, kind="text/html")


def rate_headers(rate: Rate, verdict: Verdict) -> tuple[tuple[str, str], ...]:
    """``X-RateLimit-Reset`` has 13 digits in the example, hence epoch milliseconds [RL2]."""
    return (
        ("X-RateLimit-Limit", str(rate.count)),
        ("X-RateLimit-Remaining", str(verdict.remaining)),
        ("X-RateLimit-Reset", str(round(verdict.resets_at * 1000))),
    )


def rate_limited(rate: Rate, verdict: Verdict, *, honest: bool) -> Answer:
    """The example says 1 second where the window is longer [RL3]; ``honest`` says the true wait."""
    wait = whole_seconds(verdict.wait) if honest else 1
    body = {
        "status": 429,
        "message": "Rate limit exceeded. Please try again later.",
        "code": "RATE_LIMIT_EXCEEDED",
        "retryAfter": wait,
    }
    return answer(429, body, headers=(("Retry-After", str(wait)), *rate_headers(rate, verdict)))


def forbidden(word: str, storage_mb: int) -> Answer:
    """The three refusals of POST /api/jobs, which have neither ``status`` nor ``code`` [SEED1]."""
    match word:
        case "full-storage":
            room = {"usedSize": storage_mb, "totalSize": storage_mb, "availableSize": 0}
            message = "Your storage is full. Delete files or upgrade your plan."
            return answer(403, {"error": "fullStorage", "message": message, "storageInfo": room})
        case "no-phone":
            message = "Verify your phone number before you create jobs."
            body = {"error": "Phone verification required", "message": message, "phoneNumber": "+15550100"}
            return answer(403, body)
        case _:
            return answer(403, {"error": "noEnoughCredit", "message": "You do not have enough credits for this job."})
