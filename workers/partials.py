"""A file that is not whole yet, on this machine's disk: what a broken download or a killed process left is gone on with
by the next.

Two files stand for it, and neither is ever seen under the name of the whole one: ``.<name>.part`` holds the bytes, and
``.<name>.mark`` says how many of them count, their hash, and what they are the beginning of. Rules:

1. Bytes count as there only up to the mark, and only when their hash is the one in it: whatever a kill, a full disk or
   a power cut left behind it is cut off, and what does not fit is begun anew.
2. A mark names the render (``origin``) and the validator of the server's answer. Of another render it is nothing.
3. Who works on it holds a lock, which ends with the process.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import structlog

from workers.errors import StoreUnavailable

_MARK_EVERY: Final = 8 << 20
_PIECE: Final = 1 << 20
# A mark is written over itself in one write, so it works on a full disk too.
_MARK_BYTES: Final = 2048
_log = structlog.get_logger("partials")


@dataclass(frozen=True, slots=True)
class _Mark:
    """``total``: bytes of the whole file, None if nobody said. ``validator``: empty if it cannot be gone on with.
    ``size`` and ``sha256``: of the bytes that are there.
    """

    origin: str
    validator: str = ""
    total: int | None = None
    size: int = 0
    sha256: str = hashlib.sha256().hexdigest()


class Partial:
    """Made by ``opened``. Raises what the disk raises."""

    def __init__(self, part: Path, *, origin: str) -> None:
        self.path = part
        self._mark_path = _mark_of(part)
        self._file = _locked(part)
        try:
            self._mark_file = os.open(self._mark_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except BaseException:
            os.close(self._file)
            raise
        self._mark = _Mark(origin)
        self._digest = hashlib.sha256()
        self.size = 0
        self._over = False

    @property
    def validator(self) -> str:
        return self._mark.validator

    @property
    def total(self) -> int | None:
        return self._mark.total

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def begin(self, validator: str = "", total: int | None = None) -> None:
        """Empty it: what comes now is the beginning of this."""
        self._digest, self.size = hashlib.sha256(), 0
        os.ftruncate(self._file, 0)
        self._put_mark(_Mark(self._mark.origin, validator, total))

    def write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.pwrite(self._file, left, self.size + len(data) - len(left)) :]
        self._digest.update(data)
        self.size += len(data)
        if self.size - self._mark.size >= _MARK_EVERY:
            self.save()

    def save(self) -> None:
        """Let what is there be found by the next who opens it."""
        self._put_mark(replace(self._mark, size=self.size, sha256=self.sha256))

    def read(self) -> Iterator[bytes]:
        at = 0
        while piece := os.pread(self._file, _PIECE, at):
            yield piece
            at += len(piece)

    def move(self, target: Path) -> None:
        """Give it its name, whole and safe on the disk. The folders above are the caller's to sync."""
        os.fsync(self._file)
        self._over = True
        self._mark_path.unlink(missing_ok=True)
        self.path.replace(target)

    def remove(self) -> None:
        """Leave nothing behind: the bytes are somewhere else now, or of no use."""
        self._over = True
        self._mark_path.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def take_up(self) -> None:
        """Go on with what an earlier one left, as far as it is provably that."""
        mark = _read_mark(os.pread(self._mark_file, _MARK_BYTES, 0))
        if mark is None or mark.origin != self._mark.origin or not mark.validator:
            self.begin()
            return
        os.ftruncate(self._file, min(mark.size, os.fstat(self._file).st_size))
        for piece in self.read():
            self._digest.update(piece)
            self.size += len(piece)
        self._mark = mark
        if (self.size, self.sha256) != (mark.size, mark.sha256):
            _log.warning("partial.discarded", file=str(self.path), reason="its bytes are not those that were received")
            self.begin()

    def discard(self) -> None:
        self.remove()
        self.close()

    def close(self) -> None:
        if not self._over:
            with suppress(OSError):
                self.save()
        os.close(self._mark_file)
        os.close(self._file)

    def _put_mark(self, mark: _Mark) -> None:
        os.pwrite(self._mark_file, json.dumps(asdict(mark)).ljust(_MARK_BYTES).encode(), 0)
        self._mark = mark


@contextmanager
def opened(target: Path, *, origin: str) -> Iterator[Partial]:
    """Yield what is there of ``target``, in whose folder it lies. ``origin``: says of what it is, in 128 characters."""
    partial = Partial(target.with_name(f".{target.name}.part"), origin=origin)
    try:
        partial.take_up()
        yield partial
    finally:
        partial.close()


def remove_old(folder: Path, *, before: float) -> None:
    """Remove from ``folder`` what nobody has worked on since ``before``, in Unix seconds, nor does now."""
    for part in folder.glob(".*.part"):
        with suppress(OSError, StoreUnavailable):
            if part.stat().st_mtime < before:
                Partial(part, origin="").discard()


def _mark_of(part: Path) -> Path:
    return part.with_suffix(".mark")


def _locked(part: Path) -> int:
    while True:
        file = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Between the two, whoever had the lock may have given this very file its name: then it is ours no more.
            if _is_named(part, file):
                return file
        except BlockingIOError:
            os.close(file)
            raise StoreUnavailable(f"{part.name}: another process is at this file; trying later") from None
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _is_named(part: Path, file: int) -> bool:
    try:
        return part.stat().st_ino == os.fstat(file).st_ino
    except FileNotFoundError:
        return False


def _read_mark(text: bytes) -> _Mark | None:
    try:
        mark = _Mark(**json.loads(text))
    except (ValueError, TypeError):
        return None
    sound = isinstance(mark.size, int) and mark.size >= 0 and isinstance(mark.validator, str)
    return mark if sound and isinstance(mark.total, int | None) else None
