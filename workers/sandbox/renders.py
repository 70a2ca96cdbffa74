"""A render of the sandbox; like a job, it is decided when it is made and moves with the clock alone."""

import math
from dataclasses import dataclass

from workers.sandbox.films import Film

_STALL_FROM, _STALL_TO = 0.35, 0.7


@dataclass(frozen=True, slots=True)
class Render:
    """Times are epoch seconds. ``number`` counts the failed forms through; ``size`` is the one announced, in bytes."""

    id: str
    job_id: str
    short: int | str
    dialect: str
    number: int
    created_at: float
    starts_at: float
    ends_at: float
    fails: bool
    stalls: bool
    film: Film
    url: str
    size: int

    def phase(self, now: float) -> str:
        """``queued``, ``running``, ``done`` or ``failed``."""
        if now >= self.ends_at:
            return "failed" if self.fails else "done"
        return "running" if now >= self.starts_at else "queued"

    def progress(self, now: float) -> float:
        """From 0.0 to 1.0, never falling; a render that stalls stands still for a third of its time."""
        part = (now - self.starts_at) / max(self.ends_at - self.starts_at, 1e-9)
        part = min(max(part, 0.0), 0.99)
        if self.stalls and _STALL_FROM < part < _STALL_TO:
            part = _STALL_FROM
        return round(part, 2)

    def position(self, now: float) -> int:
        """Place in the queue: 1 is next."""
        wait = self.starts_at - self.created_at
        return max(1, math.ceil(5 * (self.starts_at - now) / max(wait, 1e-9)))
