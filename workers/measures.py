"""Histograms and counters that the scripts keep in Redis (``lua/measures.lua``): what there is, and how it is read.

One hash holds those of the ledger, one those of each account's budget. What is not as it is written here is left out.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

# Upper bounds of the buckets, by family: milliseconds, but of ``polls``.
BOUNDS: Final[Mapping[str, tuple[int, ...]]] = {
    "step": (10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 1_800_000),
    "result": (50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 1_800_000),
    "kept": (1000, 2500, 5000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000, 14_400_000),
    "delivered": (50, 100, 250, 500, 1000, 2500, 5000, 15_000, 60_000, 300_000, 3_600_000, 86_400_000),
    "polls": (1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 100),
    "request": (25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 20_000, 60_000),
}
# What the labels of each family are called, histograms and counters alike.
LABELS: Final[Mapping[str, tuple[str, ...]]] = {
    "step": ("step", "outcome"),
    "result": (),
    "kept": (),
    "delivered": (),
    "polls": (),
    "request": ("route",),
    "requests": ("route", "code"),
    "parked": ("subject", "state"),
    "bytes": ("kind",),
}
_LABEL: Final = re.compile(r"[A-Za-z0-9_./{} -]{1,64}", re.ASCII)
_NUMBER: Final = re.compile(rb"[0-9]{1,18}")
_SUM: Final = "sum"


@dataclass(frozen=True, slots=True)
class Histogram:
    """``counts``: what fell into each bucket, the last one without a bound. ``sum`` as its bounds, milliseconds."""

    counts: tuple[int, ...]
    sum: int

    @property
    def cumulative(self) -> tuple[int, ...]:
        return tuple(accumulate(self.counts))


@dataclass(frozen=True, slots=True)
class Measures:
    """Each by its family, and by its labels in their order."""

    histograms: Mapping[str, Mapping[tuple[str, ...], Histogram]]
    counters: Mapping[str, Mapping[tuple[str, ...], int]]


def read_measures(found: Mapping[bytes, bytes]) -> Measures:
    """Read a whole hash. Every family is there, also without a sample."""
    counts: dict[str, dict[tuple[str, ...], dict[str, int]]] = {family: {} for family in BOUNDS}
    counters: dict[str, dict[tuple[str, ...], int]] = {family: {} for family in LABELS if family not in BOUNDS}
    for name, value in sorted(found.items()):
        family, *labels = name.decode("ascii", "replace").split("|")
        last = labels.pop() if family in BOUNDS and labels else ""
        if not _NUMBER.fullmatch(value) or not _is_ours(family, labels):
            continue
        if family in counters:
            counters[family][tuple(labels)] = int(value)
        elif last in _buckets(family):
            counts[family].setdefault(tuple(labels), {})[last] = int(value)
    histograms = {
        family: {labels: _histogram(family, parts) for labels, parts in of_family.items()}
        for family, of_family in counts.items()
    }
    return Measures(histograms, counters)


def _is_ours(family: str, labels: list[str]) -> bool:
    known = LABELS.get(family)
    return known is not None and len(labels) == len(known) and all(_LABEL.fullmatch(label) for label in labels)


def _buckets(family: str) -> set[str]:
    return {*map(str, range(1, len(BOUNDS[family]) + 2)), _SUM}


def _histogram(family: str, parts: Mapping[str, int]) -> Histogram:
    counts = tuple(parts.get(str(n), 0) for n in range(1, len(BOUNDS[family]) + 2))
    return Histogram(counts, parts.get(_SUM, 0))
