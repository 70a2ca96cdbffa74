"""One request, one bounded answer: bytes capped as they arrive, every ending observed, network errors made ours."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus

import structlog
from structlog.typing import FilteringBoundLogger

from workers import tracing
from workers.documents import whole
from workers.errors import TooLarge, UnreadableAnswer, UpstreamUnavailable
from workers.talk import Broken
from workers.wire import Incoming, Unsent, Wire

_MAX_ERROR_BYTES = 1 << 16
_LOG: FilteringBoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Answer:
    """How one exchange went, for the books of the budget. ``status`` is None and ``headers`` empty where none came.
    ``headers``: by their names in lower case. ``elapsed_s``: seconds until the last byte.
    """

    route: str
    status: int | None
    headers: Mapping[str, str] = field(repr=False)
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer. Of one that is no success the body is what could be had of it, which may be nothing."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def ok(self) -> bool:
        return is_success(self.status)


def ignore(_answer: Answer) -> None:
    """Observe nothing."""


class Exchanges:
    """``answered`` sees every exchange once, whatever becomes of it; what it raises is logged and goes no further."""

    def __init__(
        self, wire: Wire, *, answered: Callable[[Answer], None] = ignore, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._wire = wire
        self._answered = answered
        self._clock = clock
        self._log: FilteringBoundLogger = _LOG.bind()  # once: asking for it takes longer than a line that is not wanted

    def get(self, path: str, *, route: str, doing: str, limit: int) -> Reply:
        return self._send(self._wire.exchange("GET", path), f"GET {route}", doing, limit)

    def post(self, path: str, content: bytes, *, doing: str, limit: int) -> Reply:
        exchange = self._wire.exchange("POST", path, content, [("Content-Type", "application/json")])
        return self._send(exchange, f"POST {path}", doing, limit)

    def delete(self, path: str, *, route: str, doing: str, limit: int) -> Reply:
        return self._send(self._wire.exchange("DELETE", path), f"DELETE {route}", doing, limit)

    def _send(self, exchange: AbstractContextManager[Incoming], route: str, doing: str, limit: int) -> Reply:
        with tracing.span("upstream.request", kind="client", route=route) as span:
            return self._exchange(exchange, route, doing, limit, span)

    def _exchange(
        self, exchange: AbstractContextManager[Incoming], route: str, doing: str, limit: int, span: tracing.Span
    ) -> Reply:
        started = self._clock()
        status: int | None = None
        headers: Mapping[str, str] = {}
        try:
            with exchange as answer:
                status, headers = answer.status, answer.headers
                span.set(**{"http.response.status_code": status})
                body = _entire(answer, doing, limit) if is_success(status) else _beginning(answer)
                return Reply(status, headers, body)
        except Unsent as error:
            sent = False
            problem = f"Swiftia cannot be reached ({str(error)[:200]}); check the network and SWIFTIA_BASE_URL"
        except Broken as error:
            sent = True
            problem = f"Swiftia's answer did not come through ({error}); try again later"
        finally:
            self._tell(Answer(route, status, headers, self._clock() - started))
        raise UpstreamUnavailable(f"{doing}: {problem}", sent=sent)

    def _tell(self, answer: Answer) -> None:
        ms = round(answer.elapsed_s * 1000)
        self._log.debug("upstream.answered", route=answer.route, status=answer.status, ms=ms)
        # The answer may hold the id of something that was paid for: no trouble with the books may lose it.
        try:
            self._answered(answer)
        except Exception:  # noqa: BLE001 - see above
            self._log.exception("answer.unobserved", route=answer.route, status=answer.status)


def is_success(status: int | None) -> bool:
    return status is not None and HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def _entire(answer: Incoming, doing: str, limit: int) -> bytes:
    if (whole(answer.headers.get("content-length")) or 0) > limit:
        raise _too_large(doing, limit)
    if _encoded(answer):
        raise UnreadableAnswer(f"{doing}: Swiftia's answer is compressed though none was asked for; look for a proxy")
    body = bytearray()
    for chunk in answer.chunks:
        body += chunk
        if len(body) > limit:
            raise _too_large(doing, limit)
    return bytes(body)


def _beginning(answer: Incoming) -> bytes:
    """Return what comes of an error's body: the status counts without it, and nobody needs more of a long one."""
    body = bytearray()
    if not _encoded(answer):
        with suppress(Broken):
            for chunk in answer.chunks:
                body += chunk[: _MAX_ERROR_BYTES - len(body)]
                if len(body) >= _MAX_ERROR_BYTES:
                    break
    return bytes(body)


def _encoded(answer: Incoming) -> bool:
    return answer.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity")


def _too_large(doing: str, limit: int) -> TooLarge:
    return TooLarge(
        f"{doing}: Swiftia's answer is larger than {limit} bytes; raise MAX_RESULT_BYTES if it is a result",
        limit=limit,
    )
