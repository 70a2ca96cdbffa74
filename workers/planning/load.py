"""What comes: jobs, their renders and how long everything takes. Luck is an argument."""

import math
from dataclasses import dataclass
from typing import Final, Protocol

from workers.limits import TRANSIT_S, RateLimit

DAY_S: Final = 86_400.0
# A stalled render tells the same progress for this part of its time.
_STALL_FROM, _STALL_TO = 0.35, 0.7
_LAST_TOLD: Final = 0.99
# Renders take from two fifths to eight times the median.
_SHORTEST, _LONGEST = 0.4, 8.0
_SPREAD: Final = 0.3


class Chance(Protocol):
    """As ``random.Random``."""

    def random(self) -> float: ...

    def gauss(self, mu: float, sigma: float) -> float: ...

    def expovariate(self, lambd: float) -> float: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One account's. Jobs come at any time of the day, independently of each other.

    Renders take log-normal times: ``render_median_s``, ``render_deviation`` of the logarithm; the progress of
    ``stalls`` of them stands still for a third of their time. ``job_s``: from a submission to its callback, give or
    take three tenths. ``answer_s``: from sending a request to its answer.
    """

    limit: RateLimit
    jobs_per_day: float
    shorts: int
    render_median_s: float = 75.0
    render_deviation: float = 0.9
    job_s: float = 180.0
    stalls: float = 0.2
    answer_s: float = 0.1
    reconcile_after_s: float = 600.0

    @property
    def most_per_s(self) -> float:
        """Requests a second that the window lets through: a slot counts from its answer on."""
        return self.limit.requests / (self.limit.window_ms / 1000 + min(self.answer_s, TRANSIT_S))

    def gap_s(self, chance: Chance) -> float:
        """Until the next job comes."""
        return chance.expovariate(self.jobs_per_day / DAY_S)

    def job_takes_s(self, chance: Chance) -> float:
        return self.job_s * (1.0 + _SPREAD * (2.0 * chance.random() - 1.0))

    def render(self, chance: Chance) -> "Takes":
        factor = math.exp(chance.gauss(0.0, self.render_deviation))
        seconds = self.render_median_s * min(max(factor, _SHORTEST), _LONGEST)
        return Takes(seconds, stalls=chance.random() < self.stalls)


@dataclass(frozen=True, slots=True)
class Takes:
    """How long a render takes at Swiftia, and whether its progress stalls."""

    seconds: float
    stalls: bool

    def progress(self, age_s: float) -> float:
        """What is told, in hundredths."""
        part = min(max(age_s / max(self.seconds, 1e-9), 0.0), _LAST_TOLD)
        if self.stalls and _STALL_FROM < part < _STALL_TO:
            part = _STALL_FROM
        return round(part, 2)
