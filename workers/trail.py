"""What one render, or one job, has shown in the looks so far: as much of it as a forecast needs. Pure values."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, Self

from workers.documents import number, parse_json, whole
from workers.errors import InvalidInput

_MARKS: Final = 4
# Progress comes in hundredths: less than this is no step back.
_WOBBLE: Final = 0.011
_DIGITS: Final = 4
_LONGEST_QUEUE: Final = 10_000


@dataclass(frozen=True, slots=True)
class Mark:
    """``share`` of the work, above 0.0 and up to 1.0, was first seen done at the age ``age_s``."""

    age_s: float
    share: float


@dataclass(frozen=True, slots=True)
class Trail:
    """``age_s``: at the last look, 0.0 before the first. ``idle_s``: at the last look that saw no work begun, None if
    there was none; ``place``: in the queue, if it was told, and ``placed_s`` the first look that told just that.
    ``marks``: the newest looks that saw it move. ``torn``: the work fell back and went on, so when it began is not
    known any more.
    """

    age_s: float = 0.0
    idle_s: float | None = None
    place: int | None = None
    placed_s: float = 0.0
    marks: tuple[Mark, ...] = ()
    torn: bool = False

    def seen(self, age_s: float, *, progress: float | None = None, place: int | None = None) -> "Trail":
        """Add a look. ``progress``: 0.0 to 1.0. ``place``: lower is sooner.

        >>> Trail().seen(5, progress=0.0, place=3).seen(20, progress=0.25).seen(30, progress=0.25)
        Trail(age_s=30, idle_s=5, place=3, placed_s=5, marks=(Mark(age_s=20, share=0.25),), torn=False)
        """
        now = replace(self, age_s=max(age_s, self.age_s))
        share = None if progress is None else round(min(max(progress, 0.0), 1.0), _DIGITS)
        if share is not None and share > 0.0:
            return _moved(now, share)
        if share is None and place is None:
            return now
        place = min(place, _LONGEST_QUEUE) if place is not None and place > 0 else None
        stands = not self.marks and self.idle_s is not None and place == self.place
        return replace(
            now,
            idle_s=now.age_s,
            place=place,
            placed_s=self.placed_s if stands else now.age_s,
            marks=(),
            torn=False,
        )

    @property
    def standing_s(self) -> float:
        """How long it has not moved, in the queue or in its work, as far as the looks can tell."""
        if self.marks:
            return self.age_s - self.marks[-1].age_s
        return self.age_s - self.placed_s if self.place else 0.0

    def as_json(self) -> str:
        """The values in the order of the fields."""
        marks = [[round(mark.age_s, 3), mark.share] for mark in self.marks]
        idle_s = None if self.idle_s is None else round(self.idle_s, 3)
        values = [round(self.age_s, 3), idle_s, self.place, round(self.placed_s, 3), marks, int(self.torn)]
        return json.dumps(values, separators=(",", ":"))

    @classmethod
    def read(cls, raw: bytes | str | None) -> Self:
        """Read what ``as_json`` wrote; anything else is a trail without a look.

        >>> Trail.read('[30,5,3,5,[[20,0.25]],0]') == Trail().seen(5, place=3).seen(20, progress=0.25).seen(30)
        True
        >>> Trail.read('[30,5,3,5,[[40,0.25]],0]') == Trail()
        True
        """
        try:
            found = parse_json(raw.encode("utf-8", "replace") if isinstance(raw, str) else raw or b"", what="a trail")
        except InvalidInput:
            return cls()
        match found:
            case [age, idle, place, placed, [*marks], torn]:
                trail = cls(
                    age_s=number(age) or 0.0,
                    idle_s=number(idle),
                    place=whole(place),
                    placed_s=number(placed) or 0.0,
                    marks=tuple(map(_mark, marks)),
                    torn=torn == 1,
                )
                return trail if trail._is_sound() else cls()
        return cls()

    def _is_sound(self) -> bool:
        idle_s = self.idle_s or 0.0
        shares = [0.0, *(mark.share for mark in self.marks)]
        return (
            _rises([0.0, self.placed_s, idle_s, *(mark.age_s for mark in self.marks), self.age_s])
            and _rises([*shares, 1.0])
            and len(set(shares)) == len(shares) <= _MARKS + 1
            and (self.place is None or (self.idle_s is not None and 0 < self.place <= _LONGEST_QUEUE))
        )


def _moved(trail: Trail, share: float) -> Trail:
    mark = Mark(trail.age_s, share)
    if not trail.marks or share > trail.marks[-1].share:
        return replace(trail, marks=(*trail.marks, mark)[-_MARKS:])
    if share < trail.marks[-1].share - _WOBBLE:
        return replace(trail, marks=(mark,), torn=True)
    return trail


def _mark(entry: object) -> Mark:
    match entry:
        case [age, share]:
            return Mark(number(age) or 0.0, round(number(share) or 0.0, _DIGITS))
    return Mark(0.0, 0.0)


def _rises(values: Sequence[float]) -> bool:
    return all(math.isfinite(low) and low <= high < math.inf for low, high in pairwise(values))
