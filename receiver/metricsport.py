"""METRICS_PORT: a second port, on which the numbers are given without a token, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flask import Response

from receiver.answers import GUARDED
from receiver.problems import KINDS, document

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication

# In the environment of a request that came this way. No header can put it there.
OPEN: Final = "swiftia_receiver.open"
_PATH: Final = "/metrics"
_SOCKETS: Final = ("gunicorn.socket", "werkzeug.socket")


def opened(application: WSGIApplication, port: int) -> WSGIApplication:
    """Stand before ``application`` and know by the port what a request may ask for."""
    text = str(port)

    def serve(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        # Compared first: it is what most requests differ in, and it may be what a header says.
        if environ.get("SERVER_PORT") != text or not _came_to(environ, port):
            return application(environ, start_response)
        if environ.get("PATH_INFO") != _PATH:
            return _nothing_else()(environ, start_response)
        return application({**environ, OPEN: True}, start_response)

    return serve


def _came_to(environ: dict[str, Any], port: int) -> bool:
    """Ask the connection itself: on a unix socket the port in the environment is that of the header Host."""
    connection = next((environ[name] for name in _SOCKETS if name in environ), None)
    name = None if connection is None else connection.getsockname()
    return isinstance(name, tuple) and name[1] == port


def _nothing_else() -> Response:
    kind = KINDS["not-found"]
    text = document(kind, f"this port has {_PATH} alone")
    return Response(text, kind.status, GUARDED, content_type="application/problem+json")
