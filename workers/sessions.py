"""Ending everything that a process left in its session, also what moved to a process group of its own."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")


def kill_session(session: int) -> None:
    """Send SIGKILL to every process of a session."""
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
