"""Artifacts in a folder of this machine: what was written survives a power cut, and is never seen half written.

Plain files, without the library that speaks to buckets: it does not sync what it writes, and it never answers in a
process that was forked after its first use, which is how workers are made.
"""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO

from workers import partials
from workers.partials import Partial
from workers.volumes import Volume, sync

_PIECE = 1 << 16
_STAGED = ".staged"


class Disk:
    """Makes ``root`` if it is missing. Every path is relative to it. ``spare``: bytes that are to stay free."""

    holds_files = True

    def __init__(self, root: Path, *, spare: int = 0) -> None:
        self._root = self.root = root
        self._base = os.fspath(root)
        self._settled: set[tuple[str, int]] = set()
        self.volume = Volume(root, spare=spare)
        with self.failures():
            missing = [folder for folder in (root, *root.parents) if not folder.exists()]
            root.mkdir(parents=True, exist_ok=True)
            for folder in missing:
                sync(folder.parent)

    @contextmanager
    def writer(self, path: str) -> Iterator[IO[bytes]]:
        """Yield a file that takes the name ``path`` when the block ends well, and is gone when it does not."""
        with self._staged(path) as file:
            yield file
        self._sync_names(path)

    def write_all(self, files: Iterable[tuple[str, bytes]]) -> None:
        """Write several, and sync a folder that they share once."""
        paths = []
        for path, body in files:
            with self._staged(path) as file:
                file.write(body)
            paths.append(path)
        self._sync_names(*paths)

    @contextmanager
    def _staged(self, path: str) -> Iterator[IO[bytes]]:
        target = f"{self._base}/{path}"
        folder, _, name = target.rpartition("/")
        _make_way(folder, name)
        staged = f"{folder}/.{name}.{secrets.token_hex(8)}{_STAGED}"
        with open(staged, "xb", opener=_private) as file:
            try:
                # The name stays locked as long as its writer lives: what can be locked belongs to nobody any more.
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield file
                file.flush()
                os.fsync(file.fileno())
                os.replace(staged, target)
            except BaseException:
                with suppress(FileNotFoundError):
                    os.unlink(staged)
                raise

    def partial(self, path: str, origin: str) -> AbstractContextManager[Partial]:
        """Give what is there of a file that is fetched piece by piece. It lies beside its name."""
        target = self._root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        return partials.opened(target, origin=origin)

    def take(self, path: str, partial: Partial) -> None:
        target = self._root / path
        partial.move(target)
        self._sync_names(path)

    def signed_url(self, _path: str, _expires_s: float) -> None:
        return None

    def stream(self, path: str, start: int, end: int) -> Iterator[bytes]:
        with (self._root / path).open("rb") as file:
            file.seek(start)
            left = end - start
            while left > 0 and (piece := file.read(min(_PIECE, left))):
                left -= len(piece)
                yield piece

    def size(self, path: str) -> int | None:
        try:
            return (self._root / path).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def list(self, folder: str) -> list[str]:
        files = (file for file in (self._root / folder).rglob("*") if file.is_file())
        # A hidden name is that of something unfinished.
        return sorted(str(file.relative_to(self._root)) for file in files if not file.name.startswith("."))

    def delete(self, folder: str) -> None:
        target = self._root / folder
        with suppress(FileNotFoundError):
            shutil.rmtree(target)
            sync(target.parent)

    def failures(self) -> AbstractContextManager[None]:
        """Turn what the disk says into StoreUnavailable."""
        return self.volume.failures()

    def _sync_names(self, *paths: str) -> None:
        # Each name and every folder above it may be new; whoever made a folder may not have synced it yet.
        folders: set[str] = set()
        for path in paths:
            while (path := path.rpartition("/")[0]) and path not in folders:
                folders.add(path)
        # What is deep has more slashes: the name of a folder counts once it is there.
        for folder in sorted(folders, key=lambda folder: folder.count("/"), reverse=True):
            sync(f"{self._base}/{folder}")
        self._sync_root({path.partition("/")[0] for path in paths})

    def _sync_root(self, names: Iterable[str]) -> None:
        # A folder right in the root is there for all jobs, and stays: its name is synced once.
        places = {name: (name, os.stat(f"{self._base}/{name}").st_ino) for name in names}
        if not self._settled.issuperset(places.values()):
            sync(self._base)
            self._settled.update(place for name, place in places.items() if os.path.isdir(f"{self._base}/{name}"))


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)


def _make_folders(folder: str) -> None:
    try:
        os.mkdir(folder)
    except FileExistsError:
        return
    except FileNotFoundError:
        _make_folders(folder.rpartition("/")[0])
        _make_folders(folder)


def _make_way(folder: str, name: str) -> None:
    """Make the folder, or remove what killed writers of the same name left in it. What another process writes right now
    stays.
    """
    try:
        with os.scandir(folder) as found:
            names = [entry.name for entry in found if entry.name.startswith(f".{name}.")]
    except FileNotFoundError:
        _make_folders(folder)
        return
    for staged in (f"{folder}/{name}" for name in names if name.endswith(_STAGED)):
        with suppress(OSError), open(staged, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(staged)
