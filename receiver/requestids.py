"""Gives each request an id: the caller's own in ``X-Request-Id``, or a new one.

The answer bears it, and so does each line of the log about the request and about all that it sets going.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from workers.origin import begin, end, is_request_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication

HEADER: Final = "X-Request-Id"
_BYTES: Final = 8
_ENVIRON: Final = "HTTP_X_REQUEST_ID"


def named(application: WSGIApplication) -> WSGIApplication:
    """Stand before ``application``. An id that is not well-formed is dropped, and nobody is told."""

    def serve(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        request_id = id_of(environ.get(_ENVIRON, ""))

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            return start_response(status, [*headers, (HEADER, request_id)], exc_info)

        token = begin(request_id)
        try:
            return application(environ, start)
        finally:
            end(token)

    return serve


def id_of(asked: str) -> str:
    return asked if is_request_id(asked) else secrets.token_hex(_BYTES)
