"""What is parked, by why: each group with how many there are and how long the oldest waits. Writes nothing.

The ledger keeps an index for each group, so that a look costs the same with ten parked jobs and with a million.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis

from workers import keys
from workers.identifiers import JobSubject, RefSubject, parse_subject
from workers.listing import Listing
from workers.parking import is_group
from workers.reader import Reader
from workers.states import JobState
from workers.summaries import JobSummary


@dataclass(frozen=True, slots=True)
class Group:
    """``name``: see ``workers/parking.py``. ``since_ms``: when the first of them was parked, Unix milliseconds."""

    name: str
    count: int
    since_ms: float


@dataclass(frozen=True, slots=True)
class Slice:
    """Some of a group, the longest parked first, and how many there are behind them."""

    subjects: tuple[JobSubject | RefSubject, ...]
    left: int


class Parked:
    """Raises ``LedgerUnavailable`` from every method when Redis does not answer."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._reader = Reader(redis)
        self._listing = Listing(redis)

    def count(self) -> int:
        return int(self._reader.ask(lambda: self._redis.zcard(keys.jobs_in(JobState.PARKED))))

    def groups(self) -> list[Group]:
        """Give all of them, the largest first."""
        found = self._reader.ask(lambda: self._redis.smembers(keys.GROUPS))
        names = sorted(name for name in (raw.decode("ascii", "replace") for raw in found) if is_group(name))
        pipeline: Any = self._redis.pipeline(transaction=False)
        for name in names:
            pipeline.zcard(keys.parked_in(name)).zrange(keys.parked_in(name), 0, 0, withscores=True)
        answers = iter(self._reader.ask(pipeline.execute))
        groups = []
        for name in names:
            count, oldest = next(answers), next(answers)
            if oldest:  # else the last of them went on just now
                groups.append(Group(name, int(count), float(oldest[0][1])))
        return sorted(groups, key=lambda group: (-group.count, group.name))

    def first(self, groups: Sequence[Group], *, each: int) -> dict[str, tuple[JobSummary, ...]]:
        """Give the longest parked of each group, by its name."""
        wanted = [("ZRANGE", keys.parked_in(group.name), ("0", str(each - 1))) for group in groups]
        members = self._reader.many(wanted)
        return {group.name: self._listing.summaries(names) for group, names in zip(groups, members, strict=True)}

    def slice(self, group: str | None, *, skip: int, most: int) -> Slice:
        """``group``: its name, or None for all that is parked. ``skip``: so many at the beginning are left out."""
        key = keys.jobs_in(JobState.PARKED) if group is None else keys.parked_in(group)
        names, total = self._reader.many([("ZRANGE", key, (str(skip), str(skip + most - 1))), ("ZCARD", key, ())])
        parsed = [parse_subject(name.decode()) for name in names]
        subjects = tuple(subject for subject in parsed if isinstance(subject, JobSubject | RefSubject))
        return Slice(subjects, max(0, int(total) - skip - len(names)))
