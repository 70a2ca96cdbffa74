"""What was counted on the way. Times are seconds unless they say milliseconds."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """``sent_ms``: every request there was; the rest is of the jobs that count. ``requests``: by class.

    ``noticed_s``: from done upstream to noticed, by render; ``took_s``: the renders themselves; ``looks``: at each.
    ``ended_s``: a job from its coming to its last render noticed. While they came, from ``from_ms`` to ``until_ms``;
    ``waiting`` requests were due at the end of that.
    """

    requests: Counter[str] = field(default_factory=Counter)
    jobs: int = 0
    started: int = 0
    noticed_s: list[float] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    looks: list[int] = field(default_factory=list)
    ended_s: list[float] = field(default_factory=list)
    sent_ms: list[int] = field(default_factory=list)
    from_ms: int = 0
    until_ms: int = 0
    waiting: int = 0

    @property
    def requests_per_job(self) -> float:
        return self.requests.total() / max(self.jobs, 1)

    @property
    def sent_per_s(self) -> float:
        """Requests a second, while the jobs that count came."""
        sent = sum(self.from_ms <= at < self.until_ms for at in self.sent_ms)
        return 1000.0 * sent / max(self.until_ms - self.from_ms, 1)


def part(values: list[float], share: float) -> float:
    """The value that this share of them does not exceed; nought if there are none.

    >>> part([3.0, 1.0, 2.0], 0.5)
    2.0
    """
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0


def mean(values: list[float] | list[int]) -> float:
    return sum(values) / len(values) if values else 0.0
