"""Artifacts in a bucket (S3, Google Cloud Storage, Azure), through obstore.

What is fetched piece by piece lies on this machine's disk until it is whole, and is uploaded then. An upload in parts
ends with the process that made it, and the library gives no handle to go on with it: straight into the bucket, a kill
or a broken connection would cost all that was fetched. So it costs the upload at most, and no second download.
"""

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from workers import partials
from workers.errors import StoreUnavailable
from workers.partials import Partial
from workers.volumes import Volume

if TYPE_CHECKING:
    from obstore import WritableFile
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

# The smallest part that S3 takes; it takes 10 000 of them. A write holds at most three in memory.
_PART = 5 << 20
_MOST_PARTS = 9_999
_PARTS_AT_ONCE = 2
# By then the job of what still lies there is archived at Swiftia, or another machine has brought it home.
_STAGED_FOR_S = 3 * 86_400
_RETRIES = 4
_ROUNDS = 3
_RETRY_FOR = timedelta(seconds=60)
# How long one request may take. S3 takes minutes to put a large file together from its parts, and a slow line as long
# for one part; whoever reads does not want to wait for a server that hangs.
_READING_S = 30
_WRITING_S = 300

Connect = Callable[[int], "ObjectStore"]


def connected(url: str) -> Connect:
    """Name a bucket; its credentials come from the provider's own environment variables."""

    def connect(timeout_s: int) -> "ObjectStore":
        from obstore.store import from_url  # noqa: PLC0415 - 6 MB that services with a disk never need

        retries: RetryConfig = {"max_retries": _RETRIES, "retry_timeout": _RETRY_FOR}
        # These replace what the library takes from AWS_ALLOW_HTTP: who names an address without TLS means it.
        options: ClientConfig = {"timeout": timedelta(seconds=timeout_s), "allow_http": True}
        return from_url(url, retry_config=retries, client_options=options)

    return connect


class Bucket:
    """``connect`` gives a store whose requests end within so many seconds; called at the first use in this process.

    ``name`` stands in messages. ``staging``: a folder of this machine for what is not whole yet; nothing is fetched
    piece by piece without one. ``spare``: bytes that are to stay free there. ``now``: Unix seconds.
    """

    holds_files = False

    # The library runs its own threads, one set for all stores of a process. They do not live on in a fork: a child of a
    # process that has used them would wait for ever, with a new store as with the old one. So nothing is opened before
    # the first use, and a child that inherits a used library says so instead of hanging.
    _used_by: ClassVar[int | None] = None

    def __init__(
        self,
        name: str,
        connect: Connect,
        *,
        staging: Path | None = None,
        spare: int = 0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._name = name
        self._connect = connect
        self._now = now
        self._opened: dict[int, ObjectStore] = {}
        self.volume = None if staging is None else Volume(staging, spare=spare)

    def writer(self, path: str, *, size: int = 0) -> AbstractContextManager["WritableFile"]:
        """Give a writer whose bytes appear under ``path`` when its block ends well, and are dropped if not."""
        store = self._store(_WRITING_S)
        import obstore  # noqa: PLC0415 - see connected

        part = max(_PART, -(-size // _MOST_PARTS))
        return obstore.open_writer(store, path, buffer_size=part, max_concurrency=_PARTS_AT_ONCE)

    def write_all(self, files: Iterable[tuple[str, bytes]]) -> None:
        for path, body in files:
            with self.writer(path) as writer:
                writer.write(body)

    @contextmanager
    def partial(self, path: str, origin: str) -> Iterator[Partial]:
        """Give what is there of a file that is fetched piece by piece; it lies in ``staging``."""
        if self.volume is None:
            raise StoreUnavailable(f"{self._name}: no folder was named for files that are not whole yet")
        with self.volume.failures():
            self.volume.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            partials.remove_old(self.volume.folder, before=self._now() - _STAGED_FOR_S)
            with partials.opened(self.volume.folder / _flat(path), origin=origin) as partial:
                yield partial

    def take(self, path: str, partial: Partial) -> None:
        partial.save()
        with self.writer(path, size=partial.size) as writer:
            for piece in partial.read():
                writer.write(piece)
        partial.remove()

    def signed_url(self, path: str, expires_s: float) -> str | None:
        """Give a URL that anybody may read ``path`` with for a while, or None where there are no such URLs."""
        store = self._store()
        import obstore  # noqa: PLC0415 - see connected
        from obstore.store import AzureStore, GCSStore, S3Store  # noqa: PLC0415 - see connected

        if not isinstance(store, AzureStore | GCSStore | S3Store):
            return None
        return obstore.sign(store, "GET", path, timedelta(seconds=expires_s))

    def stream(self, path: str, start: int, end: int) -> Iterator[bytes]:
        """Give the bytes in pieces, each its own request: a slow reader then holds no connection open."""
        store = self._store()
        meta = store.head(path)
        end = min(end, meta["size"])
        while start < end:
            stop = min(start + _PART, end)
            # Pieces of two different files must not be joined when the file is replaced meanwhile.
            yield bytes(store.get(path, options={"range": (start, stop), "if_match": meta["e_tag"]}).bytes())
            start = stop

    def size(self, path: str) -> int | None:
        try:
            return self._store().head(path)["size"]
        except FileNotFoundError:
            return None

    def list(self, folder: str) -> list[str]:
        return sorted(found["path"] for batch in self._store().list(folder) for found in batch)

    def delete(self, folder: str) -> None:
        if self.volume is not None:
            with self.volume.failures():
                for staged in self.volume.folder.glob(f".{_flat(folder)}{_flat('/')}*"):
                    staged.unlink(missing_ok=True)
        for _ in range(_ROUNDS):
            if not (paths := self.list(folder)):
                return
            # Somebody else may be deleting the same; what is left is seen in the next round.
            with suppress(FileNotFoundError):
                self._store().delete(paths)
        if left := self.list(folder):
            raise StoreUnavailable(f"{self._name}: {len(left)} files of {folder} are still there; trying later")

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Turn what the bucket says into StoreUnavailable."""
        from obstore.exceptions import BaseError  # noqa: PLC0415 - see connected

        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            # The first line tells it all; addresses in it may carry signatures.
            said = re.sub(r"(://\S*?)\?\S*", r"\1?…", str(error).split("\n", 1)[0])[:300]
            fix = "check STORAGE_URL, its credentials and that the bucket exists"
            raise StoreUnavailable(f"{self._name}: {said}; {fix}") from error

    def _store(self, timeout_s: int = _READING_S) -> "ObjectStore":
        if Bucket._used_by not in {None, os.getpid()}:
            raise StoreUnavailable(
                f"{self._name}: the process that forked this one had used the bucket before; fork first, use it later"
            )
        Bucket._used_by = os.getpid()
        if timeout_s not in self._opened:
            self._opened[timeout_s] = self._connect(timeout_s)
        return self._opened[timeout_s]


def _flat(path: str) -> str:
    """One name for a path, so that no empty folders stay behind. No part of a path has a plus in it."""
    return path.replace("/", "+")
