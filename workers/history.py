"""What the finished renders of an account (or its finished jobs) say about the next ones: a small value that forgets.

Lengths and times per place are kept as natural logarithms of seconds, for what takes twice as long is as far off as
what takes half as long. Two writers at once may lose each other's lesson: the next render teaches the same again.
"""

import json
import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from workers.documents import member, number, parse_json
from workers.errors import InvalidInput

# About so many renders are remembered; older ones fade.
_MEMORY: Final = 16
_COUNT_CAP: Final = 1000.0
_LEAST_SPREAD: Final = 0.05
# What progress promises can be far more exact than how long something takes.
_LEAST_DRIFT: Final = 0.005
# One outlier moves the middle as far as any value at the edge of what is usual, and widens that edge a little.
_OUTLIER: Final = 5.0
_STEEPEST_SLOPE: Final = 1.5
_OF_A_NORMAL: Final = 1.25


@dataclass(frozen=True, slots=True)
class Level:
    """A running middle, and the mean distance from it."""

    middle: float
    spread: float

    @property
    def deviation(self) -> float:
        """The standard deviation, if the values were normally distributed."""
        return _OF_A_NORMAL * self.spread

    def moved(self, value: float, share: float, *, least: float = _LEAST_SPREAD) -> "Level":
        """Move towards ``value`` by ``share``. ``least``: the spread that is left at least.

        >>> Level(4.0, 0.5).moved(1000.0, 0.1)
        Level(middle=4.05, spread=0.7)
        """
        away = value - self.middle
        step = _between(-self.spread, away, self.spread)
        distance = min(abs(away), _OUTLIER * self.spread)
        return Level(self.middle + share * step, max(least, self.spread + share * (distance - self.spread)))


@dataclass(frozen=True, slots=True)
class Observation:
    """What one finished render taught, None where it taught nothing. Times in seconds.

    ``length_s``: from its start to its end, without waiting. ``wait_s``: before it, where no place was told.
    ``place_s``: per place in the queue. ``drift``: log of what was left by what its progress had promised.
    ``shown``: whether it showed progress before it was done. ``clip_s``: length of the short.
    """

    length_s: float
    wait_s: float | None = None
    place_s: float | None = None
    drift: float | None = None
    shown: bool | None = None
    clip_s: float | None = None


@dataclass(frozen=True, slots=True)
class History:
    """The fields are those of ``Observation``, as levels; ``slope`` is how much of a clip's length a render follows."""

    count: float = 0.0
    length: Level = Level(math.log(18.0), 1.2)
    wait: Level = Level(1.0, 1.0)
    place: Level = Level(math.log(5.0), 1.0)
    drift: Level = Level(0.0, 0.08)
    clip: Level = Level(math.log(30.0), 0.5)
    shown: float = 0.7
    slope: float = 0.0

    @property
    def ignorance(self) -> float:
        """1.0 for an account that has rendered nothing yet, towards nought with every render."""
        return 1.0 / (1.0 + self.count)

    def expected(self, clip_s: float | None = None) -> float:
        """Log of the seconds that the render of a clip of this length takes, once it has begun."""
        clip = _log(clip_s)
        return self.length.middle + (0.0 if clip is None else self.slope * _between(-3.0, clip - self.clip.middle, 3.0))

    def updated(self, seen: Observation) -> "History":
        """Learn from one more; the first ones count most."""
        share = max(1.0 / _MEMORY, 1.0 / (self.count + 1.5))
        length, clip = _log(seen.length_s), _log(seen.clip_s)
        if length is None:
            return self
        usual = length - (self.expected(seen.clip_s) - self.length.middle)
        return _bounded(
            replace(
                self,
                count=min(self.count + 1.0, _COUNT_CAP),
                length=self.length.moved(usual, share),
                wait=_learnt(self.wait, seen.wait_s, share),
                place=_learnt(self.place, _log(seen.place_s), share),
                drift=_learnt(self.drift, seen.drift, share, least=_LEAST_DRIFT),
                clip=_learnt(self.clip, clip, share),
                shown=self.shown if seen.shown is None else self.shown + share * (seen.shown - self.shown),
                slope=self.slope if clip is None else self._steered(usual - self.length.middle, clip, share),
            )
        )

    def _steered(self, error: float, clip: float, share: float) -> float:
        """Turn the slope towards what would have explained ``error``: least squares, one step at a time."""
        away = _between(-2.0, clip - self.clip.middle, 2.0)
        edge = 2.0 * self.length.spread
        return self.slope + share * _between(-edge, error, edge) * away / (self.clip.deviation**2 + 0.1)

    def as_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def read(cls, raw: bytes | str | None) -> "History":
        """Read what ``as_json`` wrote. Whatever else it is, what cannot be read is as in a new history.

        >>> History.read(b'{"shown": 7, "slope": "x", "count": 3}') == History(count=3.0, shown=1.0)
        True
        """
        new = cls()
        try:
            found = parse_json(raw.encode("utf-8", "replace") if isinstance(raw, str) else raw or b"", what="a history")
        except InvalidInput:
            return new
        known: dict[str, Any] = {name: _read(member(found, name), getattr(new, name)) for name in _RANGES}
        return _bounded(replace(new, **known))


# What a field may be, for levels what their middle may be: nothing learnt or read leads out of it.
_RANGES: Final[dict[str, tuple[float, float]]] = {
    "count": (0.0, _COUNT_CAP),
    "length": (math.log(0.1), math.log(1e6)),
    "wait": (0.0, 1e5),
    "place": (math.log(0.01), math.log(1e5)),
    "drift": (-1.5, 1.5),
    "clip": (math.log(0.1), math.log(1e6)),
    "shown": (0.0, 1.0),
    "slope": (0.0, _STEEPEST_SLOPE),
}
_WIDEST: Final = {"wait": 1e5}


def _bounded(history: History) -> History:
    fitted: dict[str, Any] = {name: _fitted(name, getattr(history, name)) for name in _RANGES}
    return replace(history, **fitted)


def _fitted(name: str, value: float | Level) -> float | Level:
    low, high = _RANGES[name]
    if isinstance(value, Level):
        spread = _between(_LEAST_DRIFT if name == "drift" else _LEAST_SPREAD, value.spread, _WIDEST.get(name, 2.0))
        return Level(_between(low, value.middle, high), spread)
    return _between(low, value, high)


def _read(found: object, new: float | Level) -> float | Level:
    if isinstance(new, Level):
        middle, spread = number(member(found, "middle")), number(member(found, "spread"))
        return new if middle is None or spread is None else Level(middle, spread)
    said = number(found)
    return new if said is None else said


def _learnt(level: Level, value: float | None, share: float, *, least: float = _LEAST_SPREAD) -> Level:
    return level if value is None or not math.isfinite(value) else level.moved(value, share, least=least)


def _log(seconds: float | None) -> float | None:
    """Log of what can be a length, None for anything else."""
    return math.log(seconds) if seconds is not None and 0.0 < seconds < math.inf else None


def _between(low: float, value: float, high: float) -> float:
    return max(low, min(value, high))
