"""A command as a service of the supervisor: in a session of its own, gone with its launcher."""

import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog
from structlog.typing import FilteringBoundLogger

from workers import notify
from workers.leash import leashed
from workers.sessions import kill_session

_LOG: FilteringBoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Child:
    """What to run. ``env``: the whole environment, ours by default. ``stop_seconds``: from SIGTERM to SIGKILL.

    ``ready``: whether what follows may start; None means at once. ``watchdog_seconds``: how long it may be silent once
    it has sent a sign of life to NOTIFY_SOCKET (``workers/notify.py``); None: it sends none.
    """

    name: str
    command: list[str]
    env: Mapping[str, str] | None = None
    stop_seconds: float | None = 30.0
    ready: Callable[[], bool] | None = None
    watchdog_seconds: float | None = None


class ProcessService:
    """Runs a Child in its own session: Ctrl-C in a terminal passes it by, and its descendants can be found."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._process: subprocess.Popen[bytes] | None = None
        self._listener: notify.Listener | None = None

    @property
    def name(self) -> str:
        return self._child.name

    @property
    def stop_seconds(self) -> float | None:
        return self._child.stop_seconds

    @property
    def watchdog_seconds(self) -> float | None:
        return None if self._listener is None else self._child.watchdog_seconds

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def launch(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - the command comes from our own launcher
            leashed(self._child.command), env=self._env(), stdin=subprocess.DEVNULL, start_new_session=True
        )

    def _env(self) -> dict[str, str]:
        env = dict(os.environ if self._child.env is None else self._child.env)
        # Where we ourselves report to is none of its business.
        env.pop(notify.VARIABLE, None)
        self._listen_anew()
        if self._listener is not None:
            env[notify.VARIABLE] = self._listener.address
        return env

    def _listen_anew(self) -> None:
        """Forget what an earlier process said, or still says: it is not the word of this one."""
        if self._listener is not None:
            self._listener.close()
        self._listener = None
        if self._child.watchdog_seconds is None:
            return
        try:
            self._listener = notify.Listener()
        except OSError as error:
            # A full disk under the temporary files is no reason not to run it.
            _LOG.warning("process.unwatched", service=self.name, error=str(error))

    def heard(self) -> bool:
        return self._listener is not None and self._listener.heard()

    def ready(self) -> bool:
        return self._child.ready is None or self._child.ready()

    def poll(self) -> int | None:
        return self._process.poll() if self._process else None

    def terminate(self) -> None:
        """Send SIGTERM to the process alone: what it started is its own to stop."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to the process and to everything it left behind."""
        if self._process:
            kill_session(self._process.pid)
