"""gunicorn, with the settings that the door needs."""

import socket
import struct
import sys
from pathlib import Path
from typing import Any, Final

from flask import Flask
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from receiver.wsgi import connected
from workers.settings import Settings

THREADS: Final = 8
# A client may be silent for so long in the middle of a request, or not take in any of its answer.
READ_TIMEOUT_S: Final = 8
WRITE_TIMEOUT_S: Final = 30
_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - gunicorn makes a private file in it


class PlainLogger(Logger):  # type: ignore[misc]  # gunicorn has no types
    """Sends gunicorn's own words the way of all others, where secrets are taken out: a request line holds a token."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True

    def exception(self, msg: object, *args: object, **kwargs: Any) -> None:
        # A timeout of ``limit_silence`` surfaces as this; anybody can cause it, so it gets a line and no traceback.
        if isinstance(sys.exc_info()[1], BlockingIOError):
            self.info("a client fell silent in the middle of a request or of its answer")
        else:
            super().exception(msg, *args, **kwargs)


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__(prog="swiftia-receiver web")

    def load_config(self) -> None:
        for name, value in options(self._settings).items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Called in each worker process, after the fork."""
        return connected(self._settings)


def run(settings: Settings) -> None:
    """Serve until SIGTERM; then let requests end, for GRACE_SECONDS at most. Ends in SystemExit."""
    Server(settings).run()


def options(settings: Settings) -> dict[str, Any]:
    """Return gunicorn's settings by name."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    found: dict[str, Any] = {
        "bind": [f"{host}:{settings.port}"],
        "workers": settings.web_concurrency,
        "worker_class": "gthread",
        "threads": THREADS,
        "timeout": 30,
        "graceful_timeout": max(1, round(settings.grace_seconds)),
        "keepalive": 5,
        "max_requests": 0,
        "limit_request_line": 2048,
        "limit_request_fields": 50,
        "limit_request_field_size": 4096,
        "control_socket_disable": True,  # it can stop the service, and two services of one user share its path
        "accesslog": None,  # a request line holds a token
        "logger_class": PlainLogger,
        "loglevel": settings.log_level,
        "post_fork": limit_silence,
    }
    if _SHARED_MEMORY.is_dir():
        found["worker_tmp_dir"] = str(_SHARED_MEMORY)  # a slow disk under the heartbeat file looks like a hung worker
    return found


def limit_silence(_server: object, worker: Any) -> None:
    """Let no client hold a thread by sending half a request and then nothing: gthread itself waits without end.

    Accepted connections inherit these from the listening socket.
    """
    for listener in worker.sockets:
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", READ_TIMEOUT_S, 0))
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", WRITE_TIMEOUT_S, 0))
