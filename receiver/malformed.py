"""Requests that gunicorn refuses before any route is asked are answered with problems too, not with a page of HTML."""

import re
from typing import Any, Final

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from receiver.problems import KINDS, Kind, document

_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")
_BY_STATUS: Final = {414: KINDS["uri-too-long"], 431: KINDS["headers-too-large"], 500: KINDS["internal"]}


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        super().handle_error(req, _Rewriting(client), addr, exc)


class _Rewriting:
    """The client's socket. gunicorn writes its page to it in one piece; what leaves is a problem of the same class."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def sendall(self, page: bytes) -> None:
        self._client.sendall(rewritten(page))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def rewritten(page: bytes) -> bytes:
    """What gunicorn says of the request stays in its log: it may quote a token."""
    found = _STATUS_LINE.match(page)
    kind = _BY_STATUS.get(int(found[1]) if found else 500, KINDS["bad-request"])
    return _answer(kind)


def _answer(kind: Kind) -> bytes:
    body = document(kind, kind.detail or kind.title).encode()
    lines = [
        f"HTTP/1.1 {kind.status} {kind.title}",
        "Connection: close",
        "Content-Type: application/problem+json",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body
