"""A command as a service of the supervisor: in a session of its own, gone with its launcher."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from workers.leash import leashed

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Child:
    """What to run. ``env``: the whole environment, ours by default. ``stop_seconds``: from SIGTERM to SIGKILL.

    ``ready``: whether what follows may start; None means at once.
    """

    name: str
    command: list[str]
    env: Mapping[str, str] | None = None
    stop_seconds: float | None = 30.0
    ready: Callable[[], bool] | None = None


class ProcessService:
    """Runs a Child in its own session: Ctrl-C in a terminal passes it by, and its descendants can be found."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        return self._child.name

    @property
    def stop_seconds(self) -> float | None:
        return self._child.stop_seconds

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def launch(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - the command comes from our own launcher
            leashed(self._child.command), env=self._child.env, stdin=subprocess.DEVNULL, start_new_session=True
        )

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
            _kill_session(self._process.pid)


def _kill_session(session: int) -> None:
    killed: set[int] = set()
    # Again until nobody new is found: the one that is about to be killed may have started another.
    while fresh := set(_members(session)) - killed:
        for pid in fresh:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        killed |= fresh
    if not _PROC.is_dir():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(session, signal.SIGKILL)


def _members(session: int) -> Iterator[int]:
    # By session, not by process group: RQ's work-horses make a group of their own.
    for entry in _PROC.glob("[0-9]*"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getsid(int(entry.name)) == session:
                yield int(entry.name)
