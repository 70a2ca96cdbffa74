"""What a run of the limiter comes to, beside its bar, and the table of all."""

import os
import sys
from dataclasses import dataclass, field
from typing import Any

from tests.bench.looks import Shares
from workers.work import CLASSES, UPSTREAM

ALLOWED = 5  # requests a second
# One slot in ten goes to what is below the most important that waits; some of these to classes in between.
LEAST_BELOW = 0.05


@dataclass(frozen=True)
class Bar:
    """``used``: the least share. ``avoidable``: the most refusals for 1,000 requests."""

    used: float
    avoidable: float


@dataclass
class Score:
    """``used``: share of the allowed requests. ``waiting``: share of the looks that found work waiting.

    ``load``: how many wanted the machine's cores, on average. ``others``: how the requests of the other accounts ended.
    """

    name: str
    used: float
    waiting: float
    requests: int
    refused: int
    avoidable: int
    slots: Shares
    load: float
    bar: Bar
    looks: list[dict[str, Any]] = field(repr=False)
    others: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def per_thousand(self) -> float:
        return 1000 * self.avoidable / max(1, self.requests)

    @property
    def holds(self) -> bool:
        fair = not self.slots.starved and (self.slots.below is None or self.slots.below >= LEAST_BELOW)
        return self.used >= self.bar.used and self.per_thousand <= self.bar.avoidable and fair

    def row(self) -> list[str]:
        return [
            self.name,
            f"{self.used:.1%}",
            f"{self.bar.used:.0%}",
            f"{self.waiting:.0%}",
            str(self.requests),
            str(self.refused),
            f"{self.per_thousand:.1f}",
            " ".join(str(count) for count in self.slots.given.values()),
            "-" if self.slots.below is None else f"{self.slots.below:.0%}",
            ", ".join(self.slots.starved) or "none",
            f"{self.load:.1f}",
            "holds" if self.holds else "MISSED",
        ]


HEADS = [
    "", "used", "bar", "work waits", "requests", "429", "avoidable/1000", "/".join(CLASSES[UPSTREAM]),
    "below the first", "starved", "load", "",
]  # fmt: skip


def show(scores: list[Score], seconds: float) -> None:
    sys.stdout.write(f"\n{ALLOWED} requests a second allowed, {seconds:g} s, {os.cpu_count()} cores\n")
    rows = [HEADS, *(score.row() for score in scores)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    for row in rows:
        sys.stdout.write("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n")
