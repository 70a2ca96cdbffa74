"""The mark that a restore leaves where it has begun and not ended: whoever meets it knows that not all is there.

It stands twice, in the ledger and in DATA_DIR: either may be met without the other, as by a second machine, or by one
whose Redis was emptied since. It is set before the first change, and taken away when everything was read back.
"""

import contextlib
from pathlib import Path
from typing import Final

from redis import Redis

from workers import keys
from workers.disk import Disk
from workers.errors import Conflict, StoreUnavailable
from workers.reader import Reader, text
from workers.volumes import sync

_NAME: Final = "restoring"


class RestoreMark:
    """Raises ``LedgerUnavailable`` and ``StoreUnavailable`` where Redis, or the folder, cannot be asked."""

    def __init__(self, redis: Redis, data_dir: Path) -> None:
        self._redis = redis
        self._reader = Reader(redis)
        self._file = data_dir.absolute() / _NAME

    def set(self, backup: Path) -> None:
        """``backup``: what is being put back."""
        try:
            with Disk(self._file.parent).writer(_NAME) as file:
                file.write(str(backup).encode())
        except OSError as error:
            raise StoreUnavailable(f"{self._file} cannot be written: {error.strerror}; see to DATA_DIR") from error
        self._reader.ask(lambda: self._redis.set(keys.RESTORING, str(backup)))

    def remove(self) -> None:
        self._reader.ask(lambda: self._redis.delete(keys.RESTORING))
        try:
            self._file.unlink(missing_ok=True)
            sync(self._file.parent)
        except OSError as error:
            raise StoreUnavailable(f"{self._file} cannot be removed: {error.strerror}; remove it") from error

    def refuse(self) -> None:
        """Raise ``Conflict`` with what happened and what to do, if it is there."""
        said = self._of_folder()
        if said is None:
            said = self._reader.ask(lambda: self._redis.get(keys.RESTORING))
        if said is not None:
            raise Conflict(
                f"a restore of {text(said)} was cut off, or ended with something missing, so this is no whole ledger; "
                "repeat it, with all of the service stopped: swiftia-receiver restore --replace FILE"
            )

    def _of_folder(self) -> bytes | None:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            try:
                return self._file.read_bytes()
            except PermissionError as error:
                raise StoreUnavailable(f"{self._file} cannot be read: {error.strerror}; see to DATA_DIR") from error
        return None
