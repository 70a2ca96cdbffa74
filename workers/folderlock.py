"""One server per folder: a lock that lives exactly as long as the server that inherits it."""

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from workers.errors import AlreadyRunning

_RETRY_S = 0.02
_LEAST_S = 0.5


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a folder: process ids on ``host``, and the start time in UTC. For messages; the lock itself decides."""

    server: int
    launcher: int
    host: str
    started: str

    def seems_alive(self) -> bool:
        """Tell whether waiting is vain: server and launcher are both here, and both run.

        A launcher that was killed this moment, or that nobody has reaped yet, seems alive too.
        """
        return self.host == socket.gethostname() and _runs(self.server) and _runs(self.launcher)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


def acquire(folder: Path, *, grace_s: float) -> int:
    """Return the descriptor of the locked file ``folder/lock``; the lock ends when the last copy of it is closed.

    Waits up to ``grace_s`` seconds, or half a second when the holder seems alive: a server whose launcher was killed
    needs a moment to end. Raises AlreadyRunning.
    """
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    began = time.monotonic()
    while not take(lock):
        holder = read_holder(folder)
        patience_s = min(grace_s, _LEAST_S) if holder and holder.seems_alive() else grace_s
        if time.monotonic() - began >= patience_s:
            os.close(lock)
            raise AlreadyRunning(_refusal(folder, holder), folder=str(folder))
        time.sleep(_RETRY_S)
    return lock


def take(lock: int) -> bool:
    """Lock an open file without waiting; False if somebody else has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _refusal(folder: Path, holder: Holder | None) -> str:
    if holder is None:
        return f"another server holds {folder}; stop it, or set another DATA_DIR"
    who = f"process {holder.server} on {holder.host}, started {holder.started} by process {holder.launcher}"
    return (
        f"another server holds {folder}: {who}; stop process {holder.launcher}, "
        f"or `kill {holder.server}` if that one is gone already, or set another DATA_DIR"
    )


def write_holder(lock: int, *, server: int, now: Callable[[], float]) -> None:
    """Write who holds the lock, for the message to the next one; a full disk is no reason to fail here."""
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now()))
    holder = Holder(server=server, launcher=os.getpid(), host=socket.gethostname(), started=started)
    # Spaces at the end cover a longer text of before, so that a reader never meets an empty file.
    with contextlib.suppress(OSError):
        os.pwrite(lock, json.dumps(asdict(holder)).ljust(512).encode(), 0)


def read_holder(folder: Path) -> Holder | None:
    """Return what the last holder wrote; None when there is nothing readable."""
    with contextlib.suppress(OSError, ValueError, TypeError, RecursionError):
        values = json.loads((folder / "lock").read_text())
        holder = Holder(**values)
        return holder if isinstance(holder.server, int) and isinstance(holder.launcher, int) else None
    return None
