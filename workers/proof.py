"""The proof that what is here is what is in a backup: everything is read back, and compared."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from redis import Redis

from workers import keys
from workers.artifacts import Artifacts
from workers.backupfile import Part
from workers.backupreader import BackupReader, Began
from workers.copies import Copies
from workers.jobcopy import Copy, read_copy, row_names
from workers.paths import artifact_path
from workers.reader import Reader
from workers.spool import Spool
from workers.states import JobState

_AT_ONCE: Final = 64
_SHOWN: Final = 5


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


class Prover:
    """``backup``: that which was put back."""

    def __init__(self, redis: Redis, spool: Spool, artifacts: Artifacts, backup: BackupReader) -> None:
        self._redis = redis
        self._reader = Reader(redis)
        self._spool = spool
        self._artifacts = artifacts
        self._backup = backup

    def prove(self, copies: Copies, began: Began, put: Mapping[str, int], replaced: Mapping[str, bytes]) -> Proof:
        """``put``: how much was put back, by the names of the table. ``replaced``: digests of what is in the file more
        than once, as it is last.
        """
        counts = Counter(put)
        compared, absent, differing = 0, 0, list[str]()
        here: Counter[str] = Counter()

        def compare(batch: Sequence[Copy]) -> int:
            for there, found in zip(batch, copies.of([one.owner for one in batch]), strict=True):
                here.update(found.counts() if found else {})
                if not _is_same(there, found):
                    differing.append(str(there.owner))
            return len(batch)

        waiting: list[Copy] = []
        for part in self._backup.parts():
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


def _is_last(copy: Copy, began: Began, replaced: Mapping[str, bytes]) -> bool:
    """Whether it is what has to be there now: no older copy, no submission that is its job's by now, nothing erased."""
    name = str(copy.owner)
    return not began.lacks(name) and replaced.get(name, copy.digest()) == copy.digest()


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
