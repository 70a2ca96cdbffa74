"""Writes the whole ledger, the spool of this machine and the list of its files into one file, while the service runs.

Rules that make it whole:

1. A job, with its renders, deliveries, lists and places in the indexes, is copied by one script: as it stood at one
   moment, with what is due. So is a submission that has no job yet.
2. What points to something is copied before it: the spool before the ledger, the claims of Idempotency-Keys before
   the submissions, those before the jobs. So nothing in the file leads nowhere, and nothing passes by unseen.
3. What was there when the backup began is in it. What came later may be.
4. What was erased meanwhile is named at the end, and not put back.
5. The file takes its name when all of it is on the disk.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from redis import Redis

from workers import keys
from workers.backupfile import Part, to_text, written
from workers.backupkeys import is_of_all
from workers.copies import Copies, now_ms
from workers.disk import Disk
from workers.errors import StoreUnavailable
from workers.identifiers import JobSubject, RefSubject, is_job_id, is_ref
from workers.jobcopy import Owner
from workers.reader import Reader
from workers.spool import Spool
from workers.upkeep import ERASED_REMEMBERED_S

_ROWS: Final = 20
_WORDS: Final = 1000
_ENTRIES: Final = 200
_BODIES: Final = 4
_PIECE: Final = 1 << 20


class Backup:
    """``facts``: what the file says of itself. ``files``: the folder of files, None where they lie in a bucket."""

    def __init__(self, redis: Redis, spool: Spool, *, files: Path | None, facts: Mapping[str, object]) -> None:
        self._redis = redis
        self._reader = Reader(redis)
        self._spool = spool
        self._files = files
        self._facts = facts

    def write(self, path: Path, *, with_files: bool) -> Counter[str]:
        """Answers what is in it, as the table names it. Raises ``StoreUnavailable``, ``LedgerUnavailable``, and
        ``SpoolUnavailable``; there is no file then, or the one that was there.
        """
        counts: Counter[str] = Counter()
        try:
            # Only for its owner, as it holds what customers have sent.
            with Disk(path.parent).writer(path.name) as file:
                for piece in written(self.parts(counts, with_files=with_files)):
                    file.write(piece)
        except OSError as error:
            raise StoreUnavailable(f"{path} cannot be written: {error.strerror}; name another place") from error
        return counts

    def parts(self, counts: Counter[str], *, with_files: bool) -> Iterator[Part]:
        """Give what is in it, bit by bit, and count it."""
        began_ms = now_ms(self._redis)
        yield ["began", {**self._facts, "at": began_ms, "files": with_files and self._files is not None}]
        for part in self._spooled():
            counts["in the spool"] += 1
            yield part
        for key in self._reader.names(keys.PREFIX):
            if is_of_all(key) and key != keys.ERASED:
                yield from self._key(key)
        copies = Copies(self._redis, began_ms=began_ms)
        for owners in (self._refs(), self._jobs()):
            for copy in copies.of(owners):
                if copy is not None:
                    counts.update(copy.counts())
                    yield copy.part()
        yield from self._key(keys.ERASED)
        yield ["gone", self._erased_since(began_ms)]
        for part in self._kept(with_files=with_files):
            counts["files"] += part[0] == "file"
            yield part

    def _spooled(self) -> Iterator[Part]:
        if not self._spool.path.exists():
            return
        seq = 0
        while rows := self._spool.after(seq, _ROWS):
            for seq, callback in rows:  # noqa: B007 - the next ones are those behind the last
                meta, body = dict(callback.meta), to_text(callback.body)
                yield ["spooled", callback.receipt, callback.ref, callback.job_id, meta, body]

    def _refs(self) -> Iterator[Owner]:
        names = (key.rpartition(":")[2] for key in self._reader.names(f"{keys.PREFIX}ref:"))
        return (RefSubject(name) for name in names if is_ref(name))

    def _jobs(self) -> Iterator[Owner]:
        names = (key.rpartition(":")[2] for key in self._reader.names(f"{keys.PREFIX}job:"))
        return (JobSubject(name) for name in names if is_job_id(name))

    def _key(self, key: str) -> Iterator[Part]:
        """One key, in pieces where it may be large."""
        kind, left = self._reader.at_once([("TYPE", key, ()), ("PTTL", key, ())])
        kind = kind if isinstance(kind, str) else to_text(kind)
        expires_ms = 0 if left < 0 else now_ms(self._redis) + left
        for words in self._words(key, kind):
            yield ["key", key, kind, expires_ms, [to_text(_bytes(word)) for word in words]]

    def _words(self, key: str, kind: str) -> Iterator[list[Any]]:
        ask, redis = self._reader.ask, self._redis
        match kind:
            case "string":
                value = ask(partial(redis.get, key))
                if value is not None:
                    yield [value]
            case "hash":
                yield [word for pair in ask(partial(redis.hgetall, key)).items() for word in pair]
            case "set":
                yield list(ask(partial(redis.smembers, key)))
            case "zset":
                yield from self._members(key)
            case "list":
                # From its end, where nothing is added: it is put back from there as well.
                at = -1
                while words := ask(partial(redis.lrange, key, at - _BODIES + 1, at)):
                    yield words[::-1]
                    at -= len(words)
            case "stream":
                yield from self._entries(key)

    def _members(self, key: str) -> Iterator[list[Any]]:
        cursor: Any = 0
        while True:
            cursor, found = self._reader.ask(partial(self._redis.zscan, key, cursor, count=_WORDS))
            yield [word for member, score in found for word in (f"{score:.0f}", member)]
            if cursor == 0:
                return

    def _entries(self, key: str) -> Iterator[list[Any]]:
        """Each entry behind its id, and in the end what a stream knows of its past."""
        ask, redis, after = self._reader.ask, self._redis, "-"
        while found := ask(partial(redis.xrange, key, min=after, count=_ENTRIES)):
            for at, fields in found:
                yield [at, *(word for pair in fields.items() for word in pair)]
            after = f"({to_text(found[-1][0])}"
        info = ask(partial(redis.xinfo_stream, key))
        yield [info["last-generated-id"], str(info["entries-added"])]

    def _erased_since(self, began_ms: int) -> list[str]:
        since = began_ms + ERASED_REMEMBERED_S * 1000
        found = self._reader.ask(partial(self._redis.zrangebyscore, keys.ERASED, since, "+inf"))
        return [to_text(digest) for digest in found]

    def _kept(self, *, with_files: bool) -> Iterator[Part]:
        for path in _walk(self._files) if self._files else ():
            try:
                with path.open("rb") as file:
                    size, digest = os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()
                    yield ["file", str(path.relative_to(self._files or path)), size, digest]
                    file.seek(0)
                    while with_files and (piece := file.read(_PIECE)):
                        yield ["piece", to_text(piece)]
            except FileNotFoundError:
                continue  # erased meanwhile


def _walk(root: Path) -> Iterator[Path]:
    """Give every file that has its name. A hidden one is something unfinished."""
    for folder, folders, names in os.walk(root / "jobs"):
        folders.sort()
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


def _bytes(word: Any) -> bytes:
    return word if isinstance(word, bytes) else str(word).encode()
