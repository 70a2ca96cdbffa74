"""The files we keep: result documents, rendered videos, callback bodies."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self
from urllib.parse import unquote, urlsplit

from workers.buckets import Bucket, connected
from workers.disk import Disk
from workers.errors import DownloadFailed, InvalidInput, NotFound, TooLarge
from workers.paths import ArtifactPath, job_folder

_ALL = 1 << 62


@dataclass(frozen=True, slots=True)
class Kept:
    """``size`` in bytes; ``sha256`` in hexadecimal."""

    size: int
    sha256: str


class Writer(Protocol):
    def write(self, data: bytes, /) -> object: ...


class Store(Protocol):
    """What a place for artifacts must do. All of it runs inside ``failures``, which speaks for the place."""

    def writer(self, path: str) -> AbstractContextManager[Writer]: ...
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
    def open(cls, url: str) -> Self:
        """Open ``file:///absolute/folder`` (made if missing) or ``s3://bucket/prefix``, ``gs://…``, ``az://…``."""
        parts = urlsplit(url)
        match parts.scheme:
            case "file" if parts.path.startswith("/") and parts.netloc in {"", "localhost"}:
                return cls(Disk(Path(unquote(parts.path))))
            case "s3" | "gs" | "az" if parts.netloc:
                return cls(Bucket(f"{parts.scheme}://{parts.hostname}{parts.path}", connected(url)))
        raise InvalidInput("STORAGE_URL is file:///absolute/folder, s3://bucket/prefix, gs://… or az://…")

    def put(self, path: ArtifactPath, body: bytes) -> Kept:
        """Keep ``body``. What was there under this name is replaced at once or not at all."""
        return self.keep(path, [body], expected_size=len(body))

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
