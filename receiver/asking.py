"""Asking the web process of this machine."""

import contextlib
import http.client
from typing import Final

from workers.settings import Settings

_PROBE_S: Final = 2.0


def ask(settings: Settings, path: str) -> int | None:
    """Ask the web process on this machine, without a proxy; None when nobody answers."""
    host = settings.own_url.partition("://")[2].rpartition(":")[0].strip("[]")
    connection = http.client.HTTPConnection(host, settings.port, timeout=_PROBE_S)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", path)
        with connection.getresponse() as response:
            return response.status
    return None
