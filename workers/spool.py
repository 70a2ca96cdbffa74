"""Callbacks that wait on this machine's disk for Redis: kept in order of arrival until the ledger has them."""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from workers.errors import SpoolUnavailable
from workers.records import Callback
from workers.spoolfile import SpoolFile

# What a row takes besides body and meta, so that empty bodies count as well.
_ROW_BYTES: Final = 256
_SELECT: Final = "SELECT receipt, ref, job_id, meta, body FROM callbacks WHERE aside = 0 ORDER BY seq LIMIT ?"
_AFTER: Final = "SELECT seq, receipt, ref, job_id, meta, body FROM callbacks WHERE seq > ? ORDER BY seq LIMIT ?"
_INSERT: Final = "INSERT OR IGNORE INTO callbacks (receipt, ref, job_id, meta, body, size) VALUES (?, ?, ?, ?, ?, ?)"

_FORGET: Final = "DELETE FROM callbacks WHERE ref = ?1 AND job_id = coalesce(?2, job_id)"


@dataclass(frozen=True, slots=True)
class Depth:
    """``bytes``: what the entries take. ``aside``: how many of them wait for a person (see ``set_aside``)."""

    count: int
    bytes: int
    aside: int = 0


class Spool:
    """Shared by all web processes of a machine. ``max_bytes``: no more than this is kept, bodies and notes together.

    The file stays as large as it ever was; its pages are used again. Every method raises SpoolUnavailable.
    """

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._file = SpoolFile(path)

    def keep(self, callback: Callback) -> None:
        """Keep a callback; it survives a power cut when this returns. The same receipt again changes nothing."""
        meta = json.dumps(dict(callback.meta))
        size = len(callback.body) + len(meta) + _ROW_BYTES
        row = (callback.receipt, callback.ref, callback.job_id, meta, callback.body, size)

        def insert(database: sqlite3.Connection) -> None:
            self._check_room(database, size)
            database.execute(_INSERT, row)

        self._file.write(insert)

    def oldest(self, most: int) -> list[Callback]:
        """Return the first that came, without those that are set aside."""
        rows = self._file.read(lambda database: database.execute(_SELECT, (most,)).fetchall())
        return [_callback(row) for row in rows]

    def after(self, seq: int, most: int) -> list[tuple[int, Callback]]:
        """Return what came behind number ``seq``, with the numbers, also what is set aside."""
        rows = self._file.read(lambda database: database.execute(_AFTER, (seq, most)).fetchall())
        return [(row[0], _callback(row[1:])) for row in rows]

    def holds(self, receipt: str) -> bool:
        found = self._file.read(
            lambda database: database.execute("SELECT 1 FROM callbacks WHERE receipt = ?", (receipt,)).fetchone()
        )
        return found is not None

    def remove(self, receipts: Iterable[str]) -> None:
        names = [(receipt,) for receipt in receipts]
        if names:
            self._file.write(lambda database: database.executemany("DELETE FROM callbacks WHERE receipt = ?", names))

    def forget(self, *, job_id: str, refs: Iterable[str]) -> None:
        """Remove what waits for a job, and every trace of it in the file. ``job_id`` may be empty."""
        if not self.path.exists():
            return
        names: list[tuple[str, str | None]] = [("", job_id)] if job_id else []
        names += [(ref, None) for ref in refs]
        self._file.write(lambda database: database.executemany(_FORGET, names))
        # What was removed stands in the log until that is written into the file, where it is overwritten.
        self._file.read(lambda database: database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())

    def set_aside(self, receipt: str) -> None:
        """Let the others pass one that the ledger refuses while it takes others. It stays here."""
        self._file.write(
            lambda database: database.execute("UPDATE callbacks SET aside = 1 WHERE receipt = ?", (receipt,))
        )

    def take_back(self) -> None:
        """Put what was set aside back into its place."""
        if self.depth().aside:
            self._file.write(lambda database: database.execute("UPDATE callbacks SET aside = 0 WHERE aside = 1"))

    def waits(self) -> bool:
        """Tell whether there is anything to hand on."""
        found = self._file.read(
            # Where nothing is left the totals say so at once; this is asked for every callback.
            lambda database: database.execute(
                "SELECT (SELECT count FROM totals) > 0 AND EXISTS (SELECT 1 FROM callbacks WHERE aside = 0)"
            ).fetchone()
        )
        return bool(found[0])

    def depth(self) -> Depth:
        def ask(database: sqlite3.Connection) -> tuple[int, int, int]:
            count, used = database.execute("SELECT count, bytes FROM totals").fetchone()
            aside = database.execute("SELECT count(*) FROM callbacks WHERE aside = 1").fetchone()[0] if count else 0
            return count, used, aside

        return Depth(*self._file.read(ask))

    def check(self, size: int) -> None:
        """Raise SpoolUnavailable unless a body of ``size`` bytes could be kept now. Writes to find out."""

        def attempt(database: sqlite3.Connection) -> None:
            self._check_room(database, size + _ROW_BYTES)
            database.execute("UPDATE totals SET tried = 1 - tried")

        self._file.write(attempt)

    def close(self) -> None:
        self._file.close()

    def _check_room(self, database: sqlite3.Connection, size: int) -> None:
        (used,) = database.execute("SELECT bytes FROM totals").fetchone()
        if used + size > self._max_bytes:
            raise SpoolUnavailable(
                f"the spool is full with {used} bytes; bring Redis back, or raise SPOOL_MAX_BYTES", used=used
            )


def _callback(row: Any) -> Callback:
    receipt, ref, job_id, meta, body = row
    try:
        noted = json.loads(meta)
    except ValueError:
        noted = {}  # a rotten note is no reason to hold back the callback and all behind it
    return Callback(receipt=receipt, ref=ref, job_id=job_id, meta=noted, body=body)
