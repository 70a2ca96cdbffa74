"""What happened hour by hour: the counters of an hour as values, and the series and percentiles made of them. Pure.

An hour is one hash of Redis, counted by the ledger's scripts in the writes that they make anyway (``lua/prelude.lua``).
How long something took is counted in log-spaced buckets: bucket 0 takes all up to ``SHORTEST_MS``, each further one is
a quarter of a doubling wide, and the last one takes all that is left. So a percentile is off by a tenth at most.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

HOUR_S: Final = 3600
KEPT_S: Final = 49 * HOUR_S
SHORTEST_MS: Final = 50
PER_DOUBLING: Final = 4
LAST_BUCKET: Final = 96  # from ten days on

# The counters of an hour by their names in Redis.
FINISHED: Final = "finished"
FAILED: Final = "failed"
PARKED: Final = "parked"
CALLBACKS: Final = "callbacks"
REPEATED: Final = "repeated"
KEPT: Final = "kept"
COUNTERS: Final = (FINISHED, FAILED, PARKED, CALLBACKS, REPEATED, KEPT)
_BUCKET = re.compile(rb"took:([0-9]{1,2})")
_COUNT = re.compile(rb"[0-9]{1,15}")


@dataclass(frozen=True, slots=True)
class Hour:
    """``start``: Unix seconds. ``counts``: by counter. ``took``: from a callback to a kept video, by bucket."""

    start: int
    counts: Mapping[str, int] = field(default_factory=dict)
    took: Mapping[int, int] = field(default_factory=dict)

    def __getitem__(self, counter: str) -> int:
        return self.counts.get(counter, 0)

    @property
    def ended(self) -> int:
        """Jobs that came to an end, or to a person."""
        return self[FINISHED] + self[FAILED] + self[PARKED]


def numbers(now_s: float, hours: int) -> list[int]:
    """The numbers of the last ``hours`` hours, the one that has just begun last.

    >>> numbers(7300, 3)
    [0, 1, 2]
    """
    last = int(now_s // HOUR_S)
    return list(range(last - hours + 1, last + 1))


def read_hour(number: int, fields: Mapping[bytes, bytes]) -> Hour:
    """Read the hash of an hour; what is none of ours is left out."""
    whole = {name: int(value) for name, value in fields.items() if _COUNT.fullmatch(value)}
    buckets = {int(match[1]): count for name, count in whole.items() if (match := _BUCKET.fullmatch(name))}
    return Hour(
        start=number * HOUR_S,
        counts={name: whole[name.encode()] for name in COUNTERS if name.encode() in whole},
        took={bucket: count for bucket, count in sorted(buckets.items()) if bucket <= LAST_BUCKET},
    )


def bucket_of(milliseconds: float) -> int:
    """As ``lua/prelude.lua`` says it: the tests hold one against the other.

    >>> bucket_of(50), bucket_of(51), bucket_of(100), bucket_of(1e12)
    (0, 1, 4, 96)
    """
    if milliseconds <= SHORTEST_MS:
        return 0
    return min(LAST_BUCKET, math.ceil(PER_DOUBLING * math.log(milliseconds / SHORTEST_MS) / math.log(2) - 1e-9))


def upper_s(bucket: int) -> float:
    """Seconds up to which a bucket goes."""
    return SHORTEST_MS / 1000 * 2 ** (bucket / PER_DOUBLING)


def together(hours: Iterable[Hour]) -> Hour:
    """Add them up; the start is that of the first."""
    start: int | None = None
    counts: dict[str, int] = {}
    took: dict[int, int] = {}
    for hour in hours:
        start = hour.start if start is None else start
        for name, count in hour.counts.items():
            counts[name] = counts.get(name, 0) + count
        for bucket, count in hour.took.items():
            took[bucket] = took.get(bucket, 0) + count
    return Hour(start or 0, counts, took)


def percentile_s(took: Mapping[int, int], part: float) -> float | None:
    """Seconds within which ``part`` (0 to 1) of them were done, None where there are none.

    >>> percentile_s({}, 0.5) is None, percentile_s({0: 9, 40: 1}, 0.5)
    (True, 0.05)
    """
    rank = part * sum(took.values())
    seen = 0
    for bucket, count in sorted(took.items()):
        if not count:
            continue
        if seen + count >= rank:
            return _within(bucket, (rank - seen) / count)
        seen += count
    return None


def series(hours: Sequence[Hour], counter: str) -> list[int]:
    return [hour[counter] for hour in hours]


def _within(bucket: int, part: float) -> float:
    """Go ``part`` of the way through a bucket, by the same law by which buckets are spaced."""
    if bucket == 0:
        return upper_s(0)
    return upper_s(bucket - 1) * 2 ** (min(max(part, 0.0), 1.0) / PER_DOUBLING)
