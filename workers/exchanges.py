"""One request, one bounded answer: bytes capped as they arrive, every ending observed, network errors made ours."""

import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http import HTTPStatus

import httpx2
import structlog
from structlog.typing import FilteringBoundLogger

from workers import tracing
from workers.documents import whole
from workers.errors import TooLarge, UnreadableAnswer, UpstreamUnavailable

_MAX_ERROR_BYTES = 1 << 16
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)
_LOG: FilteringBoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Answer:
    """How one exchange went, for the books of the budget. ``status`` is None and ``headers`` empty where none came.
    ``headers`` finds a name in any case. ``elapsed_s``: seconds until the last byte.
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
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES


def ignore(_answer: Answer) -> None:
    """Observe nothing."""


class Exchanges:
    """``answered`` sees every exchange once, whatever becomes of it; what it raises is logged and goes no further."""

    def __init__(
        self,
        client: httpx2.Client,
        *,
        answered: Callable[[Answer], None] = ignore,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._answered = answered
        self._clock = clock

    def get(self, path: str, *, route: str, doing: str, limit: int) -> Reply:
        return self._send(self._client.build_request("GET", path), f"GET {route}", doing, limit)

    def post(self, path: str, content: bytes, *, doing: str, limit: int) -> Reply:
        headers = {"Content-Type": "application/json"}
        request = self._client.build_request("POST", path, content=content, headers=headers)
        return self._send(request, f"POST {path}", doing, limit)

    def delete(self, path: str, *, route: str, doing: str, limit: int) -> Reply:
        return self._send(self._client.build_request("DELETE", path), f"DELETE {route}", doing, limit)

    def _send(self, request: httpx2.Request, route: str, doing: str, limit: int) -> Reply:
        with tracing.span("upstream.request", kind="client", route=route) as span:
            return self._exchange(request, route, doing, limit, span)

    def _exchange(self, request: httpx2.Request, route: str, doing: str, limit: int, span: tracing.Span) -> Reply:
        started = self._clock()
        status: int | None = None
        headers: Mapping[str, str] = {}
        try:
            with closing(self._client.send(request, stream=True)) as response:
                status, headers = response.status_code, response.headers
                span.set(**{"http.response.status_code": status})
                body = _entire(response, doing, limit) if response.is_success else _beginning(response)
                return Reply(status, headers, body)
        except _NOT_SENT as error:
            problem, sent = f"Swiftia cannot be reached ({_why(error)}); check the network and SWIFTIA_BASE_URL", False
        except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL) as error:
            problem, sent = f"Swiftia's answer did not come through ({type(error).__name__}); try again later", True
        finally:
            self._tell(Answer(route, status, headers, self._clock() - started))
        # Raised here and not where it was caught: errors of the library carry the request, and with it the key.
        raise UpstreamUnavailable(f"{doing}: {problem}", sent=sent)

    def _tell(self, answer: Answer) -> None:
        _LOG.debug("upstream.answered", route=answer.route, status=answer.status, ms=round(answer.elapsed_s * 1000))
        # The answer may hold the id of something that was paid for: no trouble with the books may lose it.
        try:
            self._answered(answer)
        except Exception:  # noqa: BLE001 - see above
            _LOG.exception("answer.unobserved", route=answer.route, status=answer.status)


def _why(error: httpx2.RequestError) -> str:
    # What the system says of a connection that was not made; it holds nothing that was sent.
    return f"{type(error).__name__}: {error}"[:200].strip(": ")


def _entire(response: httpx2.Response, doing: str, limit: int) -> bytes:
    if (whole(response.headers.get("content-length")) or 0) > limit:
        raise _too_large(doing, limit)
    if _encoded(response):
        raise UnreadableAnswer(f"{doing}: Swiftia's answer is compressed though none was asked for; look for a proxy")
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > limit:
            raise _too_large(doing, limit)
    return bytes(body)


def _beginning(response: httpx2.Response) -> bytes:
    """Return what comes of an error's body: the status counts without it, and nobody needs more of a long one."""
    body = bytearray()
    if not _encoded(response):
        with suppress(httpx2.HTTPError):
            for chunk in response.iter_bytes():
                body += chunk[: _MAX_ERROR_BYTES - len(body)]
                if len(body) >= _MAX_ERROR_BYTES:
                    break
    return bytes(body)


def _encoded(response: httpx2.Response) -> bool:
    return response.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity")


def _too_large(doing: str, limit: int) -> TooLarge:
    return TooLarge(
        f"{doing}: Swiftia's answer is larger than {limit} bytes; raise MAX_RESULT_BYTES if it is a result",
        limit=limit,
    )
