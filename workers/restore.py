"""Puts a backup back, and proves that what is here then is what is in it.

The file is read three times, piece by piece: is it whole, put it back, compare. Nothing is touched before the first is
done. A restore that was cut off is begun anew with ``replace``.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

from redis import Redis

from workers import keys
from workers.artifacts import Artifacts
from workers.backupfile import (
    DIGEST_BYTES,
    Copy,
    Part,
    batches,
    check_title,
    damaged,
    parts,
    read_copy,
    read_title,
    row_names,
    to_bytes,
    to_text,
)
from workers.copies import Copies, now_ms
from workers.errors import Conflict, InvalidInput
from workers.paths import artifact_path
from workers.presence import Presence
from workers.reader import Reader
from workers.records import Callback
from workers.spool import Spool
from workers.states import JobState
from workers.work import LANES

_AT_ONCE: Final = 64
_PIECE: Final = 1 << 20
_SHOWN: Final = 5
_NAMES: Final = 1000
_WRITES: Final = {"string": "SET", "hash": "HSET", "set": "SADD", "zset": "ZADD", "list": "LPUSH"}


@dataclass(frozen=True, slots=True)
class Row:
    what: str
    in_backup: int
    here: int


@dataclass(frozen=True, slots=True)
class Proof:
    """``compared``: jobs and submissions that were read back. ``differing``: the first of those that are not the same.

    Of files, and of callbacks in the spool, it is counted which are here.
    """

    rows: tuple[Row, ...]
    compared: int
    differing: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return self.ledger_holds and all(row.in_backup == row.here for row in self.rows)

    @property
    def ledger_holds(self) -> bool:
        return not self.differing and all(row.in_backup == row.here for row in self.rows if row.what != "files")


@dataclass(frozen=True, slots=True)
class Began:
    """What a backup says of itself. ``gone``: digests of what was erased while it was made."""

    facts: dict[str, Any]
    gone: frozenset[str]

    @property
    def at_ms(self) -> int:
        return int(self.facts["at"])


class Restore:
    """Raises ``LedgerUnavailable``, ``SpoolUnavailable`` and ``StoreUnavailable`` where one of these fails."""

    def __init__(self, redis: Redis, spool: Spool, artifacts: Artifacts, path: Path) -> None:
        self._redis = redis
        self._reader = Reader(redis)
        self._spool = spool
        self._artifacts = artifacts
        self._path = path

    def look(self) -> Began:
        """Read all of it and change nothing. Raises ``InvalidInput`` unless it is whole, and of a version we read."""
        with self._opened() as file:
            title = read_title(file)
            check_title(title)
            digest, left = hashlib.sha256(title), self._path.stat().st_size - len(title) - DIGEST_BYTES
            while left > 0 and (piece := file.read(min(_PIECE, left))):
                digest.update(piece)
                left -= len(piece)
            if left != 0 or file.read(DIGEST_BYTES + 1) != digest.digest():
                raise damaged()
        facts, gone = {}, frozenset[str]()
        for part in self._parts():
            if part[0] == "began":
                facts = part[1]
            elif part[0] == "gone":
                gone = frozenset(part[1])
        return Began(facts, gone)

    def run(self, *, replace: bool) -> Proof:
        """Raises ``InvalidInput`` for a file that cannot be used, and ``Conflict`` where something is in the way."""
        began = self.look()
        self._check_nobody_is_there()
        if self._reader.ask(partial(self._redis.exists, keys.COUNTS)):
            if not replace:
                raise Conflict("there is a ledger here already; with --replace all of it is removed first")
            self._remove_all()
        copies = Copies(self._redis, began_ms=began.at_ms)
        counts: Counter[str] = Counter()
        replaced = self._put(copies, began, counts)
        return self._prove(copies, began, counts, replaced)

    def _check_nobody_is_there(self) -> None:
        there = Presence(self._redis).all()
        if there:
            named = ", ".join(f"{one.kind} {one.pid} on {one.host}" for one in there[:_SHOWN])
            raise Conflict(f"stop the service first, everywhere; half a minute ago there was still: {named}")

    def _remove_all(self) -> None:
        for lane in LANES:  # of RQ's keys those of ours alone: others may use this Redis
            queue = f"rq:queue:{lane}"
            nudges = self._reader.ask(partial(self._redis.lrange, queue, 0, -1))
            self._reader.ask(partial(self._redis.unlink, queue, *(b"rq:job:" + nudge for nudge in nudges)))
        for names in batches(self._reader.names(keys.PREFIX), _NAMES):
            self._reader.ask(partial(self._redis.unlink, *names))

    # Putting back

    def _put(self, copies: Copies, began: Began, counts: Counter[str]) -> dict[str, bytes]:
        """Answers the digests of those that are in the file more than once, as they are last."""
        replaced: dict[str, bytes] = {}
        waiting: list[Copy] = []

        def put_waiting() -> None:
            for copy, fits in zip(waiting, copies.put(waiting) if waiting else (), strict=True):
                counts.update(copy.counts())
                if not fits:
                    older = copies.older(copy)
                    for one in older:
                        counts.subtract(one.counts())
                        replaced[str(one.owner)] = b""
                    copies.put_over(copy, older)
                    replaced[str(copy.owner)] = copy.digest()
            waiting.clear()

        left = self._parts()
        for part in left:
            if part[0] != "copy":
                self._put_other(part, left, began, counts)
            elif not _is_gone(part[1], began.gone):
                waiting.append(read_copy(part))
            if len(waiting) == _AT_ONCE:
                put_waiting()
        put_waiting()
        return replaced

    def _put_other(self, part: Part, left: Iterator[Part], began: Began, counts: Counter[str]) -> None:
        match part[0]:
            case "key":
                self._put_key(part, began)
            case "spooled":
                self._put_spooled(part)
                counts["in the spool"] += 1
            case "file":
                self._put_file(part, _pieces(left, part[2]) if began.facts["files"] else None)

    def _put_key(self, part: Part, began: Began) -> None:
        key, kind, expires_ms, texts = part[1:]
        words = [to_bytes(text) for text in texts]
        if not words or (expires_ms and expires_ms <= now_ms(self._redis)):
            return
        if key.startswith(keys.idempotency("")) and _is_gone(f"ref:{_ref_of_claim(words[0])}", began.gone):
            return
        if kind == "stream":
            self._put_entry(key, words, began)
        elif kind not in _WRITES:
            raise InvalidInput(
                f"the backup has a {kind}, which this version does not know; restore it with a newer one"
            )
        else:
            self._write(_WRITES[kind], key, *words)
        if expires_ms:
            self._write("PEXPIREAT", key, expires_ms)

    def _put_entry(self, key: str, words: list[bytes], began: Began) -> None:
        at, *fields = words
        if len(fields) == 1:  # the last: which ids are taken
            self._write("XSETID", key, at, "ENTRIESADDED", fields[0], "MAXDELETEDID", "0-0")
            return
        told = dict(zip(fields[::2], fields[1::2], strict=True))
        names = [to_text(told.get(name, b"")) for name in (b"subject", b"job")]
        if not any(_is_gone(name, began.gone) for name in names):
            self._write("XADD", key, at, *fields)

    def _write(self, command: str, *words: bytes | str | int) -> None:
        self._reader.ask(partial(self._redis.execute_command, command, *words))

    def _put_spooled(self, part: Part) -> None:
        receipt, ref, job, meta, body = part[1:]
        self._spool.keep(Callback(receipt=receipt, ref=ref, job_id=job, meta=meta, body=to_bytes(body)))

    def _put_file(self, part: Part, pieces: Iterator[bytes] | None) -> None:
        _, name, size, _ = part
        if pieces is None:
            return
        path = artifact_path(name)
        if self._artifacts.size(path) != size:
            self._artifacts.keep(path, pieces, expected_size=size)
        for _ in pieces:
            pass  # it is here already

    # Proving

    def _prove(self, copies: Copies, began: Began, counts: Counter[str], replaced: dict[str, bytes]) -> Proof:
        compared, absent, differing = 0, 0, list[str]()
        here: Counter[str] = Counter()

        def compare(batch: Sequence[Copy]) -> int:
            for there, found in zip(batch, copies.of([one.owner for one in batch]), strict=True):
                here.update(found.counts() if found else {})
                if not _is_same(there, found):
                    differing.append(str(there.owner))
            return len(batch)

        waiting: list[Copy] = []
        for part in self._parts():
            match part[0]:
                case "copy":
                    copy = read_copy(part)
                    if _is_last(copy, began, replaced):
                        waiting.append(copy)
                    if len(waiting) == _AT_ONCE:
                        compared += compare(waiting)
                        waiting.clear()
                case "file":
                    absent += self._is_absent(part)
                    here["files"] += 1
                case "spooled":
                    here["in the spool"] += self._spool.holds(part[1])
        compared += compare(waiting)
        counts["files"] = here["files"]
        here["files"] -= absent
        here.update({name: number - here[name] for name, number in self._stand().items()})
        rows = tuple(Row(name, counts[name], here[name]) for name in row_names(counts))
        return Proof(rows, compared, tuple(differing[:_SHOWN]))

    def _is_absent(self, part: Part) -> bool:
        size: int = part[2]
        return self._artifacts.size(artifact_path(part[1])) != size

    def _stand(self) -> Counter[str]:
        """What the indexes say, which is another way than the one that it was put back by."""
        found: Counter[str] = Counter()
        for state in JobState:
            found[f"jobs {state}"] = self._reader.ask(partial(self._redis.zcard, keys.jobs_in(state)))
        lines = set(self._reader.names(keys.due("")))
        found["due"] = sum(self._reader.ask(partial(self._redis.zcard, line)) for line in lines)
        return found

    @contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        try:
            with self._path.open("rb") as file:
                yield file
        except OSError as error:
            raise InvalidInput(f"{self._path} cannot be read: {error.strerror}") from error

    def _parts(self) -> Iterator[Part]:
        with self._opened() as file:
            check_title(read_title(file))
            yield from parts(file)


def _is_last(copy: Copy, began: Began, replaced: dict[str, bytes]) -> bool:
    """Whether it is what has to be there now: no older copy, no submission that is its job's by now, nothing erased."""
    name = str(copy.owner)
    return not _is_gone(name, began.gone) and replaced.get(name, copy.digest()) == copy.digest()


def _is_same(there: Copy, found: Copy | None) -> bool:
    if found is None:
        return False
    if _fields(there, b"state") == [b"linked"]:
        # It is its job's, and compared whole with that.
        return _fields(found, b"state", b"job_id") == _fields(there, b"state", b"job_id")
    return found == there


def _fields(copy: Copy, *names: bytes) -> list[bytes | None]:
    words = next(words for key, _, words in copy.keys if key == keys.record(copy.owner))
    fields = dict(zip(words[::2], words[1::2], strict=True))
    return [fields.get(name) for name in names]


def _is_gone(subject: str, gone: frozenset[str]) -> bool:
    """``subject``: of a job, a submission, or of something that is one's."""
    if not gone or not subject:
        return False
    name = subject.removeprefix("ref:").partition("/")[0].partition("!")[0]
    return hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest() in gone


def _ref_of_claim(text: bytes) -> str:
    try:
        return str(json.loads(text).get("ref", ""))
    except (ValueError, AttributeError):
        return ""


def _pieces(left: Iterator[Part], size: int) -> Iterator[bytes]:
    """Take the pieces of a file off what is left of the backup."""
    while size > 0:
        kind, text = next(left)
        if kind != "piece":
            raise damaged()
        size -= len(text)
        yield to_bytes(text)
