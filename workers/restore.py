"""Puts a backup back, and proves that what is here then is what is in it.

The file is read three times, piece by piece: is it whole, put it back, compare. Nothing is touched before the first is
done. A restore that was cut off leaves its mark, and is begun anew with ``replace``.
"""

import json
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from redis import Redis

from workers import keys
from workers.artifacts import Artifacts
from workers.backupfile import Part, batches, to_bytes, to_text
from workers.backupreader import BackupReader, Began, pieces
from workers.copies import Copies, now_ms
from workers.errors import Conflict, InvalidInput
from workers.jobcopy import Copy, read_copy
from workers.paths import artifact_path
from workers.presence import Presence
from workers.proof import Proof, Prover
from workers.reader import Reader
from workers.records import Callback
from workers.restoremark import RestoreMark
from workers.spool import Spool
from workers.work import LANES

_AT_ONCE: Final = 64
_SHOWN: Final = 5
_NAMES: Final = 1000
_WRITES: Final = {"string": "SET", "hash": "HSET", "set": "SADD", "zset": "ZADD", "list": "LPUSH"}


class Restore:
    """Raises ``LedgerUnavailable``, ``SpoolUnavailable`` and ``StoreUnavailable`` where one of these fails."""

    def __init__(self, redis: Redis, spool: Spool, artifacts: Artifacts, path: Path, mark: RestoreMark) -> None:
        self._redis = redis
        self._reader = Reader(redis)
        self._spool = spool
        self._artifacts = artifacts
        self._backup = BackupReader(path)
        self._mark = mark
        self._prover = Prover(redis, spool, artifacts, self._backup)

    def look(self) -> Began:
        """Read all of it and change nothing. Raises ``InvalidInput`` unless it is whole, and of a version we read."""
        return self._backup.look()

    def run(self, *, replace: bool) -> Proof:
        """Raises ``InvalidInput`` for a file that cannot be used, and ``Conflict`` where something is in the way.

        The mark of it stays where it does not return, and where the ledger is not what is in the backup.
        """
        began = self.look()
        self._check_nobody_is_there()
        if not replace:
            self._check_nothing_is_there()
        self._mark.set(self._backup.path)
        if replace:
            self._remove_all()
        copies = Copies(self._redis, began_ms=began.at_ms)
        counts: Counter[str] = Counter()
        replaced = self._put(copies, began, counts)
        proof = self._prover.prove(copies, began, counts, replaced)
        if proof.ledger_holds:
            self._mark.remove()
        return proof

    def _check_nobody_is_there(self) -> None:
        there = Presence(self._redis).all()
        if there:
            named = ", ".join(f"{one.kind} {one.pid} on {one.host}" for one in there[:_SHOWN])
            raise Conflict(f"stop the service first, everywhere; half a minute ago there was still: {named}")

    def _check_nothing_is_there(self) -> None:
        self._mark.refuse()
        if self._reader.ask(partial(self._redis.exists, keys.COUNTS)):
            raise Conflict("there is a ledger here already; with --replace all of it is removed first")

    def _remove_all(self) -> None:
        for lane in LANES:  # of RQ's keys those of ours alone: others may use this Redis
            queue = f"rq:queue:{lane}"
            nudges = self._reader.ask(partial(self._redis.lrange, queue, 0, -1))
            self._reader.ask(partial(self._redis.unlink, queue, *(b"rq:job:" + nudge for nudge in nudges)))
        ours = (name for name in self._reader.names(keys.PREFIX) if name != keys.RESTORING)
        for names in batches(ours, _NAMES):
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

        left = self._backup.parts()
        for part in left:
            if part[0] != "copy":
                self._put_other(part, left, began, counts)
            elif not began.lacks(part[1]):
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
                self._put_file(part, pieces(left, part[2]) if began.facts["files"] else None)

    def _put_key(self, part: Part, began: Began) -> None:
        key, kind, expires_ms, texts = part[1:]
        words = [to_bytes(text) for text in texts]
        if not words or (expires_ms and expires_ms <= now_ms(self._redis)):
            return
        if key.startswith(keys.idempotency("")) and began.lacks(f"ref:{_ref_of_claim(words[0])}"):
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
        if not any(began.lacks(name) for name in names):
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


def _ref_of_claim(text: bytes) -> str:
    try:
        return str(json.loads(text).get("ref", ""))
    except (ValueError, AttributeError):
        return ""
