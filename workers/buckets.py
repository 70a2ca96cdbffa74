"""Artifacts in a bucket (S3, Google Cloud Storage, Azure), through obstore."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar

from workers.errors import StoreUnavailable

if TYPE_CHECKING:
    from obstore import WritableFile
    from obstore.store import ObjectStore

# The smallest part that S3 takes. A write holds at most three in memory; 10 000 parts make 50 GB.
_PART = 5 << 20
_PARTS_AT_ONCE = 2
_RETRIES = 4
_ROUNDS = 3
_RETRY_FOR = timedelta(seconds=60)


def connected(url: str) -> Callable[[], "ObjectStore"]:
    """Name a bucket; its credentials come from the provider's own environment variables."""

    def connect() -> "ObjectStore":
        from obstore.store import from_url  # noqa: PLC0415 - 6 MB that services with a disk never need

        return from_url(url, retry_config={"max_retries": _RETRIES, "retry_timeout": _RETRY_FOR})

    return connect


class Bucket:
    """``connect`` gives the store; it is called at the first use in this process. ``name`` stands in messages."""

    # The library runs its own threads, one set for all stores of a process. They do not live on in a fork: a child of a
    # process that has used them would wait for ever, with a new store as with the old one. So nothing is opened before
    # the first use, and a child that inherits a used library says so instead of hanging.
    _used_by: ClassVar[int | None] = None

    def __init__(self, name: str, connect: Callable[[], "ObjectStore"]) -> None:
        self._name = name
        self._connect = connect
        self._opened: ObjectStore | None = None

    def writer(self, path: str) -> AbstractContextManager["WritableFile"]:
        """Give a writer whose bytes appear under ``path`` when its block ends well, and are dropped if not."""
        store = self._store()
        import obstore  # noqa: PLC0415 - see connected

        return obstore.open_writer(store, path, buffer_size=_PART, max_concurrency=_PARTS_AT_ONCE)

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

    def _store(self) -> "ObjectStore":
        if Bucket._used_by not in {None, os.getpid()}:
            raise StoreUnavailable(
                f"{self._name}: the process that forked this one had used the bucket before; fork first, use it later"
            )
        Bucket._used_by = os.getpid()
        if self._opened is None:
            self._opened = self._connect()
        return self._opened
