"""The geometry of charts: numbers in, boxes out, in percent of a picture's width and height. Pure.

A template draws them as SVG whose coordinates are percentages, so that a chart fills any width and its text keeps its
size. Nothing here knows a colour.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

# What is more than nothing is seen.
_LEAST: Final = 1.5
_FILLED: Final = 0.72
_STEPS: Final = (1, 2, 3, 4, 6, 8, 10)
# Marks of a scale of time.
_MARKS_S: Final = (0.1, 1, 10, 60, 600, 3600, 6 * 3600, 86_400, 7 * 86_400)


@dataclass(frozen=True, slots=True)
class Box:
    """``kind``: what it stands for. All in percent."""

    kind: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Column:
    """One hour: its boxes, and the whole height of it for who points there. ``index``: which one."""

    index: int
    x: float
    width: float
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """A line across, at ``y`` percent from above."""

    y: float
    value: float


@dataclass(frozen=True, slots=True)
class Chart:
    columns: tuple[Column, ...]
    marks: tuple[Mark, ...]

    @property
    def empty(self) -> bool:
        return not any(column.boxes for column in self.columns)


def top_of(most: float) -> int:
    """The end of a scale that holds ``most``: a round number.

    >>> [top_of(most) for most in (0, 1, 3, 7, 12, 205, 1e6)]
    [1, 1, 3, 8, 20, 300, 1000000]
    """
    if most <= 1:
        return 1
    power = 10 ** math.floor(math.log10(most))
    return next(int(step * power) for step in _STEPS if step * power >= most)


def bars(values: Mapping[str, Sequence[int]]) -> Chart:
    """Stack bars, the first kind at the bottom. ``values``: a number for each hour, by kind; all of one length."""
    hours = len(next(iter(values.values()), ()))
    top = top_of(max((sum(of[hour] for of in values.values()) for hour in range(hours)), default=0))
    parts = [{kind: of[hour] / top for kind, of in values.items()} for hour in range(hours)]
    columns = tuple(_stacked(hour, hours, of_hour) for hour, of_hour in enumerate(parts))
    middle = () if top % 2 else (Mark(50, top / 2),)
    return Chart(columns, (Mark(0, top), *middle))


def spans(values: Sequence[tuple[float, float] | None]) -> Chart:
    """Draw from a lower to an upper time, in seconds and on a scale of powers; None where there is nothing."""
    there = [pair for pair in values if pair is not None]
    low = _mark_below(min((lower for lower, _ in there), default=1))
    high = _mark_above(max((upper for _, upper in there), default=60))

    def height(seconds: float) -> float:
        return 100 * math.log(min(max(seconds, low), high) / low) / math.log(high / low)

    columns = tuple(
        _ranged(hour, len(values), None if pair is None else (height(pair[0]), height(pair[1])))
        for hour, pair in enumerate(values)
    )
    marks = [Mark(round(100 - height(mark), 2), mark) for mark in _MARKS_S if low < mark <= high]
    return Chart(columns, tuple(marks[::-1]))


def share(parts: Mapping[str, int]) -> tuple[Box, ...]:
    """Lay parts of a whole side by side. What there is of is seen, however little it is."""
    there = {kind: count for kind, count in parts.items() if count > 0}
    least = _LEAST / 2
    spare = 100 - least * len(there)
    whole = sum(there.values())
    boxes, x = [], 0.0
    for kind, count in there.items():
        width = least + spare * count / whole
        boxes.append(Box(kind, round(x, 2), 0, round(width, 2), 100))
        x += width
    return tuple(boxes)


def _stacked(hour: int, hours: int, parts: Mapping[str, float]) -> Column:
    boxes, above = [], 100.0
    for kind, part in parts.items():
        if part > 0:
            height = min(above, max(_LEAST, 100 * part))
            above -= height
            boxes.append(_box(kind, hour, hours, above, height))
    return _column(hour, hours, boxes)


def _ranged(hour: int, hours: int, ends: tuple[float, float] | None) -> Column:
    if ends is None:
        return _column(hour, hours, [])
    lower, upper = ends
    height = max(2 * _LEAST, upper - lower)
    return _column(hour, hours, [_box("span", hour, hours, min(100 - upper, 100 - height), height)])


def _box(kind: str, hour: int, hours: int, y: float, height: float) -> Box:
    width = 100 / hours
    x = (hour + (1 - _FILLED) / 2) * width
    return Box(kind, round(x, 2), round(max(y, 0.0), 2), round(width * _FILLED, 2), round(height, 2))


def _column(hour: int, hours: int, boxes: Sequence[Box]) -> Column:
    return Column(hour, round(100 * hour / hours, 2), round(100 / hours, 2), tuple(boxes))


def _mark_below(seconds: float) -> float:
    return max((mark for mark in _MARKS_S if mark < seconds), default=_MARKS_S[0] / 10)


def _mark_above(seconds: float) -> float:
    return min((mark for mark in _MARKS_S if mark >= seconds), default=max(seconds, _MARKS_S[-1]) * 2)
