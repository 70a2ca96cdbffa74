"""The database file under the spool: private, written through to the disk, shared by processes and threads.

Rules that keep acknowledged callbacks:

1. A commit is on the disk when it returns (a write-ahead log with ``synchronous=FULL``).
2. Every use holds a shared lock of the folder; opening and moving aside hold it alone. So nobody commits into a file
   that is no longer the spool.
3. A file that cannot be read is moved aside, never deleted; what can still be read of it goes into the fresh one.
4. A connection is used by the process that opened it, by one thread at a time.
"""

import contextlib
import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import structlog

from workers.errors import SpoolUnavailable
from workers.spooltable import connect, is_damage, salvage

T = TypeVar("T")
# Connections that a parent opened: closing one in its child would take the parent's locks away.
_of_parents: list[sqlite3.Connection] = []
_log = structlog.get_logger("spool")


class _Own:
    """What one process has open."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = threading.Lock()
        self.connection: sqlite3.Connection | None = None
        self.inode: int | None = None

    def close(self) -> None:
        if self.connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self.connection.close()
        self.connection, self.inode = None, None


class SpoolFile:
    """``path``: made at first use, with its folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._own = _Own()

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what ``work`` finds. Raises SpoolUnavailable."""
        return self._use(work)

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do ``work`` whole or not at all; it is on the disk when this returns. Raises SpoolUnavailable."""

        def transaction(database: sqlite3.Connection) -> T:
            database.execute("BEGIN IMMEDIATE")
            try:
                done = work(database)
                database.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    database.execute("ROLLBACK")
                raise
            return done

        return self._use(transaction)

    def close(self) -> None:
        with self._mine() as own:
            own.close()

    @contextlib.contextmanager
    def _mine(self) -> Iterator[_Own]:
        if self._own.pid != os.getpid():
            if self._own.connection is not None:
                _of_parents.append(self._own.connection)
            self._own = _Own()
        own = self._own
        with own.lock:
            yield own

    def _use(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._mine() as own:
            try:
                return self._try(own, work)
            except sqlite3.Error as error:
                own.close()
                if not is_damage(error):
                    raise SpoolUnavailable(f"{self._path}: {error}; see to the disk of DATA_DIR") from error
                _log.critical("spool.damaged", file=str(self._path), error=str(error))
            except OSError as error:
                own.close()
                raise SpoolUnavailable(f"{self._path}: {error.strerror}; see to the disk of DATA_DIR") from error
            try:
                return self._mend(own, work)
            except (sqlite3.Error, OSError) as error:
                own.close()
                raise SpoolUnavailable(f"{self._path} cannot be made anew: {error}; move it away") from error

    def _try(self, own: _Own, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._folder_lock() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            while own.connection is None or own.inode != _inode(self._path):
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._open(own)
                # Another process may have its turn between the two locks, and move the file aside.
                fcntl.flock(lock, fcntl.LOCK_SH)
            return work(own.connection)

    def _mend(self, own: _Own, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._folder_lock() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                # Another process may have done it by now.
                self._open(own)
                return work(_opened(own))
            except sqlite3.DatabaseError as error:
                own.close()
                if not is_damage(error):
                    raise
            aside = self._move_aside()
            self._open(own)
            saved = salvage(aside, _opened(own))
            _log.critical("spool.moved_aside", file=str(aside), saved=saved, fix="look into it; it is not read again")
            return work(_opened(own))

    def _open(self, own: _Own) -> None:
        own.close()
        _create(self._path)
        own.inode = _inode(self._path)
        own.connection = connect(self._path)

    def _move_aside(self) -> Path:
        number = 1
        while (aside := self._path.with_name(f"{self._path.name}.damaged-{number}")).exists():
            number += 1
        # The log first: with it, a later look at the damaged file finds all that was committed.
        for suffix in ("-wal", "-shm", ""):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self._path}{suffix}").rename(f"{aside}{suffix}")
        _sync(self._path.parent)
        return aside

    @contextlib.contextmanager
    def _folder_lock(self) -> Iterator[int]:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield lock
        finally:
            os.close(lock)


def _create(path: Path) -> None:
    # Only when it is missing: opening and closing a file takes away the locks that SQLite has on it in this process.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        for folder in (path.parent, path.parent.parent):
            _sync(folder)


def _opened(own: _Own) -> sqlite3.Connection:
    if own.connection is None:
        raise sqlite3.ProgrammingError("the spool is not open")
    return own.connection


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
