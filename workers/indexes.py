"""The indexes of jobs: one for each state, in the order in which jobs became known. Writes nothing.

A job stands in that of its state alone. All jobs are all indexes, read together, so that none is given twice or left
out that moves from one to another meanwhile.
"""

from collections.abc import Sequence
from typing import Any

from redis import Redis

from workers import keys
from workers.cursors import Entry
from workers.filters import Wanted
from workers.identifiers import JobSubject, RefSubject
from workers.reader import Reader
from workers.states import JobState


class Indexes:
    """Raises ``LedgerUnavailable`` when Redis does not answer."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._reader = Reader(redis)

    def after(self, wanted: Wanted, start: Entry | None, most: int) -> list[Entry]:
        """Give up to ``most`` entries that stand after ``start``, newest first, as far as an index can tell."""
        names = _names(wanted)
        newest = None if start is None else start[0]
        found: list[Entry] = []
        for name, batch in zip(names, self._read(names, wanted, newest, 0, most), strict=True):
            found += self._behind(name, wanted, start, batch, most)
        return sorted(found, reverse=True)[:most]

    def entry(self, wanted: Wanted, subject: JobSubject | RefSubject) -> Entry | None:
        """Give that of one job, if it is among those that are wanted, as far as an index can tell."""
        scores = self._reader.many([("ZSCORE", name, (str(subject),)) for name in _names(wanted)])
        score = next((float(one) for one in scores if one is not None), None)
        return None if score is None or not is_within(wanted, score) else (score, str(subject).encode())

    def _behind(self, name: str, wanted: Wanted, start: Entry | None, batch: Sequence[Entry], most: int) -> list[Entry]:
        """Those of the very same millisecond as ``start`` may have been listed: their names decide."""
        if start is None:
            return list(batch)
        found: list[Entry] = []
        offset = 0
        while True:
            found += [entry for entry in batch if entry < start]
            offset += len(batch)
            if len(batch) < most or len(found) >= most:
                return found
            (batch,) = self._read([name], wanted, start[0], offset, most)

    def _read(
        self, names: Sequence[str], wanted: Wanted, newest: float | None, offset: int, most: int
    ) -> list[list[Entry]]:
        highest = "+inf" if newest is None else f"{newest:.0f}"
        if wanted.until_ms is not None and (newest is None or wanted.until_ms <= newest):
            highest = f"({wanted.until_ms}"
        lowest = "-inf" if wanted.since_ms is None else wanted.since_ms
        pipeline: Any = self._redis.pipeline(transaction=True)
        for name in names:
            pipeline.zrevrangebyscore(name, highest, lowest, start=offset, num=most, withscores=True)
        answers = self._reader.ask(pipeline.execute)
        return [[(float(score), member) for member, score in answer] for answer in answers]


def is_within(wanted: Wanted, at: float) -> bool:
    return (wanted.since_ms or 0) <= at < (wanted.until_ms or float("inf"))


def _names(wanted: Wanted) -> list[str]:
    return [keys.jobs_in(state) for state in JobState if wanted.state in (None, state)]
