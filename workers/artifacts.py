"""The files we keep: result documents, rendered videos, callback bodies."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self
from urllib.parse import unquote, urlsplit

from workers.buckets import Bucket, connected
from workers.disk import Disk
from workers.errors import DownloadFailed, InvalidInput, NotFound, TooLarge
from workers.partials import Partial
from workers.paths import ArtifactPath, job_folder
from workers.volumes import Space, Volume

_ALL = 1 << 62


@dataclass(frozen=True, slots=True)
class Kept:
    """``size`` in bytes; ``sha256`` in hexadecimal."""

    size: int
    sha256: str


class Writer(Protocol):
    def write(self, data: bytes, /) -> object: ...


class Store(Protocol):
    """What a place for artifacts must do. All of it runs inside ``failures``, which speaks for the place.

    ``volume``: the disk that what is fetched piece by piece lies on. ``holds_files``: it stays there when it is whole.
    """

    holds_files: bool

    @property
    def volume(self) -> Volume | None: ...
    def partial(self, path: str, origin: str, /) -> AbstractContextManager[Partial]: ...
    def take(self, path: str, partial: Partial, /) -> None: ...
    def signed_url(self, path: str, expires_s: float, /) -> str | None: ...
    def writer(self, path: str) -> AbstractContextManager[Writer]: ...
    def write_all(self, files: Iterable[tuple[str, bytes]], /) -> None: ...
    def stream(self, path: str, start: int, end: int) -> Iterator[bytes]: ...
    def size(self, path: str) -> int | None: ...
    def list(self, folder: str) -> list[str]: ...
    def delete(self, folder: str) -> None: ...
    def failures(self) -> AbstractContextManager[None]: ...


class Artifacts:
    """Raises StoreUnavailable from every method when the store cannot be used, with the fix in the message."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @classmethod
    def open(cls, url: str, *, staging: Path | None = None, spare: int = 0) -> Self:
        """Open ``file:///absolute/folder`` (made if missing) or ``s3://bucket/prefix``, ``gs://…``, ``az://…``.

        ``staging``: where files on their way to a bucket lie until they are whole. ``spare``: bytes that are to stay
        free on the disk that is written to.
        """
        parts = urlsplit(url)
        match parts.scheme:
            case "file" if parts.path.startswith("/") and parts.netloc in {"", "localhost"}:
                return cls(Disk(Path(unquote(parts.path)), spare=spare))
            case "s3" | "gs" | "az" if parts.netloc:
                name = f"{parts.scheme}://{parts.hostname}{parts.path}"
                return cls(Bucket(name, connected(url), staging=staging, spare=spare))
        raise InvalidInput("STORAGE_URL is file:///absolute/folder, s3://bucket/prefix, gs://… or az://…")

    def local_root(self) -> Path | None:
        """The folder that everything lies in, or None where it lies in a bucket."""
        return self._store.root if isinstance(self._store, Disk) else None

    def put(self, path: ArtifactPath, body: bytes) -> Kept:
        """Keep ``body``. What was there under this name is replaced at once or not at all."""
        return self.keep(path, [body], expected_size=len(body))

    def put_all(self, files: Iterable[tuple[ArtifactPath, bytes]]) -> list[Kept]:
        """Keep several at less cost than one by one. What fails leaves some of them there."""
        files = list(files)
        with self._store.failures():
            self._store.write_all(files)
        return [Kept(len(body), hashlib.sha256(body).hexdigest()) for _, body in files]

    def keep(self, path: ArtifactPath, chunks: Iterable[bytes], *, expected_size: int | None) -> Kept:
        """Keep what ``chunks`` gives; nothing is seen under ``path`` before all of it is there and safe.

        Raises DownloadFailed when the size is not ``expected_size``, and whatever ``chunks`` raises.
        """
        digest = hashlib.sha256()
        size = 0
        with self._store.failures(), self._store.writer(path) as writer:
            for chunk in chunks:
                writer.write(chunk)
                digest.update(chunk)
                size += len(chunk)
            if expected_size is not None and size != expected_size:
                raise DownloadFailed(f"{path} should have {expected_size} bytes and has {size}; trying later")
        return Kept(size, digest.hexdigest())

    @contextmanager
    def unfinished(self, path: ArtifactPath, *, origin: str) -> Iterator[Partial]:
        """Yield what is there of a file that comes piece by piece; what is added stays, whatever ends the block.

        ``origin``: of what it is (a render's id): what an earlier one left of something else is not gone on with.
        """
        with self._store.failures(), self._store.partial(path, origin) as partial:
            yield partial

    def finish(self, path: ArtifactPath, partial: Partial) -> Kept:
        """Give a file that is whole its name. Before that nothing is seen under ``path``, or what was there."""
        kept = Kept(partial.size, partial.sha256)
        with self._store.failures():
            self._store.take(path, partial)
        return kept

    def signed_url(self, path: ArtifactPath, expires_s: float) -> str | None:
        """Give a URL under which anybody may read ``path`` for so many seconds. None for files on a disk.

        Whether anything is kept there is not looked up.
        """
        with self._store.failures():
            return self._store.signed_url(path, expires_s)

    def need(self, size: int, *, from_spare: bool = False) -> None:
        """Raise StoreFull unless the disk that is written to has room for ``size`` bytes more (see ``Volume.need``)."""
        if self._store.volume is not None:
            self._store.volume.need(size, from_spare=from_spare)

    def space(self) -> Space | None:
        """Tell the room on the disk of this machine that is written to. None if there is none, or it does not tell."""
        return None if self._store.volume is None else self._store.volume.glance()

    @property
    def holds_files(self) -> bool:
        """Whether ``space`` is of the place where files are kept, and so the same wherever it is asked for. A bucket
        always has room: files only pass over the disk, and whether that is full is each machine's own affair.
        """
        return self._store.holds_files

    def get(self, path: ArtifactPath, *, max_bytes: int = 64 << 20) -> bytes:
        """Read a whole file. Raises NotFound, and TooLarge above ``max_bytes``."""
        body = b"".join(self.stream(path, end=max_bytes + 1))
        if len(body) > max_bytes:
            raise TooLarge(f"{path} is larger than the {max_bytes} bytes that are read at once")
        return body

    def stream(self, path: ArtifactPath, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Read the bytes from ``start`` up to, not including, ``end``. Raises NotFound with the first piece."""
        if start < 0 or (end is not None and end < start):
            raise InvalidInput(f"bytes {start} to {end} are no range")
        return self._pieces(path, start, _ALL if end is None else end)

    def size(self, path: ArtifactPath) -> int | None:
        """Give the size in bytes, or None if nothing is kept under ``path``."""
        with self._store.failures():
            return self._store.size(path)

    def list_job(self, job_id: str) -> list[str]:
        """Give the sorted paths of everything that is kept for a job."""
        with self._store.failures():
            return self._store.list(job_folder(job_id))

    def delete_job(self, job_id: str) -> None:
        """Erase everything of a job, half-written files included. A job of which nothing is kept is no error."""
        with self._store.failures():
            self._store.delete(job_folder(job_id))

    def _pieces(self, path: ArtifactPath, start: int, end: int) -> Iterator[bytes]:
        with self._store.failures():
            try:
                yield from self._store.stream(path, start, end)
            except FileNotFoundError:
                raise NotFound(f"nothing is kept under {path}") from None
