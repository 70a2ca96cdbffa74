"""gunicorn, with the settings that the door needs."""

import gc
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from flask import Flask
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from receiver.app import TALLY
from receiver.board import ROWS, Board
from receiver.broadcast import BROADCAST
from receiver.foyer import Foyer
from receiver.problems import LONGEST_HEADER, LONGEST_LINE, MOST_HEADERS
from receiver.tally import new_board
from receiver.wsgi import connected
from workers.notify import Notifier
from workers.pulse import LOOP_PATIENCE_S, keep_telling
from workers.settings import Settings

THREADS: Final = 8
# A client may be silent for so long in the middle of a request, or not take in any of its answer.
READ_TIMEOUT_S: Final = 8
WRITE_TIMEOUT_S: Final = 30
# A thread that computes gives way to the loop after so long. Python's own 5 ms would be added to a callback several
# times over while a page is made.
_GIVE_WAY_S: Final = 0.0001
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
    def __init__(self, settings: Settings, notifier: Notifier | None) -> None:
        self._settings = settings
        self._notifier = notifier
        self._board = new_board()  # once: told to read its settings anew, the arbiter counts on
        super().__init__(prog="swiftia-receiver web")

    def load_config(self) -> None:
        for name, value in options(self._settings, self._notifier, self._board).items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Called in each worker process, after the fork."""
        return connected(self._settings)


def run(settings: Settings, notifier: Notifier | None = None) -> None:
    """Serve until SIGTERM; then let requests end, for GRACE_SECONDS at most. Ends in SystemExit."""
    Server(settings, notifier).run()


def options(settings: Settings, notifier: Notifier | None = None, board: Board | None = None) -> dict[str, Any]:
    """Return gunicorn's settings by name. ``notifier``: who is told that its arbiter goes on. ``board``: where its
    processes count.
    """
    binds = [_bind(settings.host, settings.port)]
    if settings.metrics_port is not None:
        binds.append(_bind(settings.metrics_host, settings.metrics_port))
    found: dict[str, Any] = {
        "bind": binds,
        "workers": settings.web_concurrency,
        "worker_class": Foyer,
        "threads": THREADS,
        "timeout": 30,
        "graceful_timeout": max(1, round(settings.grace_seconds)),
        "keepalive": 5,
        "max_requests": 0,
        "forwarded_allow_ips": "",  # which proxies are believed: receiver/proxies.py
        "limit_request_line": LONGEST_LINE,
        "limit_request_fields": MOST_HEADERS,
        "limit_request_field_size": LONGEST_HEADER,
        "control_socket_disable": True,  # it can stop the service, and two services of one user share its path
        "accesslog": None,  # a request line holds a token
        "logger_class": PlainLogger,
        # At debug it writes down each request line, and a line that leads nowhere may hold a token all the same.
        "loglevel": "info" if settings.log_level == "debug" else settings.log_level,
        "pre_fork": give_row,
        "post_fork": limit_silence,
        "post_worker_init": beginning(new_board() if board is None else board),
    }
    if notifier is not None:
        # Its loop waits for the grace to end where it is told to read its settings anew.
        found["when_ready"] = telling(notifier, patience_s=LOOP_PATIENCE_S + settings.grace_seconds)
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


def give_row(arbiter: Any, worker: Any) -> None:
    """Give a new worker process a row of the board that none of the others has. One too many counts for itself."""
    taken = {other.row for other in arbiter.WORKERS.values()}
    worker.row = next((row for row in range(ROWS) if row not in taken), None)


def beginning(board: Board) -> Callable[[Any], None]:
    """Return a hook for each worker process, called when its application is there."""

    def post_worker_init(worker: Any) -> None:
        sys.setswitchinterval(_GIVE_WAY_S)
        # What is there by now stays: looking through all of it for garbage would stop everything for some 0.1 s.
        gc.freeze()
        parts = worker.wsgi.extensions
        # Listeners end with its stop: their connections are none of gunicorn's any more.
        parts[BROADCAST].stop_when(lambda: not worker.alive)
        row = getattr(worker, "row", None)  # somebody's own settings may have another hook in that place
        if row is not None:
            parts[TALLY].join(board, row)

    return post_worker_init


def _bind(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def telling(notifier: Notifier, *, patience_s: float) -> Callable[[Any], None]:
    """Return a hook for the arbiter, which watches its worker processes and is watched by nobody else."""

    def when_ready(arbiter: Any) -> None:
        def passed() -> bool:
            # In each turn of its loop it takes out of this queue whatever is there.
            taken = bool(arbiter.SIG_QUEUE.empty())
            if taken:
                arbiter.wakeup()
            return taken

        keep_telling(notifier, passed, patience_s=patience_s)

    return when_ready
