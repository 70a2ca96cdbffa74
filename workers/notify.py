"""Signs of life from one process to another, in the words of systemd's ``sd_notify``.

The supervisor of ``up`` listens like this, and so does systemd: a process need not know which of the two started it.
"""

import contextlib
import os
import shutil
import socket
import tempfile
import weakref
from pathlib import Path
from typing import Final

VARIABLE: Final = "NOTIFY_SOCKET"
_READY: Final = b"READY=1"
_ALIVE: Final = b"WATCHDOG=1"
_STOPPING: Final = b"STOPPING=1"
_LONGEST_MESSAGE: Final = 4096
_MOST_AT_ONCE: Final = 1000
# A socket's path holds 103 bytes at most; where temporary files have a longer one, /tmp is there too.
_LONGEST_FOLDER: Final = 60
_SHORT_FOLDER: Final = "/tmp"  # noqa: S108 - mkdtemp makes a private folder in it
_PREFIX: Final = "swiftia-notify-"
_NAME: Final = "socket"


class Notifier:
    """``address``: what NOTIFY_SOCKET says, a path or ``@name``; None or empty: nobody listens.

    No call waits or raises: a listener that is gone, full or never was is none of the sender's trouble.
    """

    def __init__(self, address: str | None) -> None:
        self._address = b"\0" + os.fsencode(address[1:]) if address and address[0] == "@" else address

    @property
    def heard(self) -> bool:
        """Whether anybody may be listening."""
        return bool(self._address)

    def ready(self) -> None:
        self._send(_READY)

    def alive(self) -> None:
        self._send(_ALIVE)

    def stopping(self) -> None:
        self._send(_STOPPING)

    def _send(self, word: bytes) -> None:
        if not self._address:
            return
        # A socket for each word: nothing that a fork would share, and nothing to mend when the listener comes back.
        with (
            contextlib.suppress(OSError, ValueError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
        ):
            sender.setblocking(False)
            sender.sendto(word, self._address)


class Listener:
    """A socket in a private folder of its own, both gone with this object. ``address`` is for NOTIFY_SOCKET."""

    def __init__(self) -> None:
        base = tempfile.gettempdir()
        base = base if len(base) <= _LONGEST_FOLDER else _SHORT_FOLDER
        _sweep(Path(base))
        folder = tempfile.mkdtemp(prefix=_PREFIX, dir=base)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.close = weakref.finalize(self, _discard, self._socket, folder)
        self._socket.setblocking(False)
        self.address = str(Path(folder) / _NAME)
        self._socket.bind(self.address)

    def heard(self) -> bool:
        """Tell whether a sign of life came since the last call."""
        found = False
        with contextlib.suppress(OSError):
            for _ in range(_MOST_AT_ONCE):
                lines = self._socket.recv(_LONGEST_MESSAGE).split(b"\n")
                found = found or not {_READY, _ALIVE, _STOPPING}.isdisjoint(lines)
        return found


def _sweep(base: Path) -> None:
    """Remove what listeners left that were killed."""
    for folder in base.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.lstat().st_uid == os.geteuid() and _is_dead(folder / _NAME):
                shutil.rmtree(folder, ignore_errors=True)


def _is_dead(address: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(str(address))
        except ConnectionRefusedError:
            return True
    return False


def _discard(listener: socket.socket, folder: str) -> None:
    listener.close()
    shutil.rmtree(folder, ignore_errors=True)
