"""The table of callbacks in SQLite: its shape, how it is opened, and what can be read of a damaged one."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Final

_BUSY_S: Final = 5.0
_WAL_BYTES: Final = 4 << 20
_COLUMNS: Final = "receipt, ref, job_id, meta, body, size"
# The totals are kept by the database itself: adding up a hundred thousand rows for each callback would take too long.
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS callbacks (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, receipt TEXT NOT NULL UNIQUE, ref TEXT NOT NULL, job_id TEXT NOT NULL,
  meta TEXT NOT NULL, size INTEGER NOT NULL, aside INTEGER NOT NULL DEFAULT 0, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS totals (one INTEGER PRIMARY KEY CHECK (one = 1), count INTEGER NOT NULL,
  bytes INTEGER NOT NULL, tried INTEGER NOT NULL);
INSERT OR IGNORE INTO totals VALUES (1, 0, 0, 0);
CREATE TRIGGER IF NOT EXISTS added AFTER INSERT ON callbacks
  BEGIN UPDATE totals SET count = count + 1, bytes = bytes + NEW.size; END;
CREATE TRIGGER IF NOT EXISTS removed AFTER DELETE ON callbacks
  BEGIN UPDATE totals SET count = count - 1, bytes = bytes - OLD.size; END;
"""
_UNREADABLE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)


class _Foreign(sqlite3.DatabaseError):
    """A database of another shape than ours."""


def connect(path: Path) -> sqlite3.Connection:
    """Open the database of an existing file for any one thread at a time. Raises sqlite3.Error, see ``is_damage``.

    A commit is on the disk when it returns. Only one process may do this at a time.
    """
    # Python would begin transactions by itself; here they are begun by hand.
    database = sqlite3.connect(
        path, isolation_level=None, timeout=_BUSY_S, check_same_thread=False, cached_statements=32
    )
    try:
        _prepare(database)
    except BaseException:
        database.close()
        raise
    return database


def _prepare(database: sqlite3.Connection) -> None:
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("PRAGMA fullfsync=ON")  # macOS: its plain fsync stops at the disk's own cache
    database.execute(f"PRAGMA journal_size_limit={_WAL_BYTES}")
    database.execute("PRAGMA secure_delete=ON")  # what is removed is overwritten, so that erasing a job leaves nothing
    database.text_factory = lambda text: text.decode("utf-8", "replace")
    try:
        database.executescript(_SCHEMA)
        database.execute(f"SELECT {_COLUMNS}, aside FROM callbacks LIMIT 0")  # noqa: S608 - our own words
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_ERROR:
            raise _Foreign(str(error)) from error
        raise


def salvage(aside: Path, fresh: sqlite3.Connection) -> int:
    """Copy what can be read, in order, up to the first damage. Answers how much that is."""
    saved = 0
    fresh.execute("BEGIN IMMEDIATE")
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(aside)) as damaged:
        for row in damaged.execute(f"SELECT {_COLUMNS} FROM callbacks ORDER BY seq"):  # noqa: S608 - our own words
            fresh.execute(f"INSERT OR IGNORE INTO callbacks ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", row)  # noqa: S608
            saved += 1
    fresh.execute("COMMIT")
    return saved


def is_damage(error: sqlite3.Error) -> bool:
    # Python sets the code only on what SQLite itself says; the lowest byte is the kind.
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, _Foreign) or (code is not None and code & 0xFF in _UNREADABLE)
