"""The disk under a folder: what room it has left, and what its errors mean."""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from workers.errors import StoreFull, StoreUnavailable


@dataclass(frozen=True, slots=True)
class Space:
    """``free``: bytes that this process may still write. ``spare``: bytes that files leave free for everything else."""

    free: int
    spare: int

    @property
    def paused(self) -> bool:
        """Whether no file is brought home until there is room again."""
        return self.free < self.spare


class _Look(threading.Thread):
    def __init__(self, space: Callable[[], Space]) -> None:
        super().__init__(name="disk", daemon=True)
        self._space = space
        self.seen: Space | None = None

    def run(self) -> None:
        with suppress(StoreUnavailable):
            self.seen = self._space()


class Volume:
    """``folder`` need not be there yet. ``spare``: bytes that are to stay free."""

    def __init__(self, folder: Path, *, spare: int = 0) -> None:
        self.folder = folder
        self._spare = spare
        self._last: _Look | None = None
        self._turn = threading.Lock()

    def space(self) -> Space:
        """Look now. Without a free inode there is no room either. A quota is not seen here: writing meets it."""
        with self.failures():
            found = self._statvfs()
        no_inode = found.f_files > 0 and found.f_favail == 0
        return Space(0 if no_inode else found.f_bavail * found.f_frsize, self._spare)

    def _statvfs(self) -> os.statvfs_result:
        try:
            return os.statvfs(self.folder)
        except FileNotFoundError:
            return os.statvfs(next(place for place in self.folder.parents if place.exists()))

    def glance(self, patience_s: float = 0.5) -> Space | None:
        """Look, and wait no longer than that: None for a disk that fails or hangs, as a share does without its server.

        For those who must go on whatever a disk does. A look that hangs is waited for again, not begun once more.
        """
        with self._turn:
            look = self._last
            if look is None or not look.is_alive():
                look = self._last = _Look(self.space)
                look.start()
        look.join(patience_s)
        return look.seen

    def need(self, size: int, *, from_spare: bool = False) -> None:
        """Raise StoreFull unless ``size`` bytes more fit; what is small and dear may go into the spare bytes."""
        space = self.space()
        left = space.free - size
        if left < (0 if from_spare else space.spare):
            raise StoreFull(
                f"{self.folder}: {space.free} bytes are free, {size} are needed and {space.spare} are to stay free; "
                "it goes on by itself once there is room: free some space there, or lower MIN_FREE_BYTES"
            )

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Turn what the disk says into StoreUnavailable, and that it is full into StoreFull."""
        try:
            yield
        except OSError as error:
            kind = StoreFull if error.errno in {errno.ENOSPC, errno.EDQUOT} else StoreUnavailable
            raise kind(f"{self.folder}: {error.strerror or error}; {_fix(error.errno)}") from error


def sync(folder: Path | str) -> None:
    """See that the names in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _fix(code: int | None) -> str:
    match code:
        case errno.ENOSPC | errno.EDQUOT:
            return "free some space there or move STORAGE_URL to a larger disk"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return "let the service's user write there or point STORAGE_URL elsewhere"
        case errno.ENOTDIR | errno.EEXIST:
            return "something that is no folder is in the way; remove it or point STORAGE_URL elsewhere"
        case _:
            return "check the disk that STORAGE_URL names"
