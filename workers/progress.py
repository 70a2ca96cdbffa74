"""How far a job has come: 0.0 to 1.0 over all of it, and a count of its renders."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

from workers.states import RENDER_SETTLED, JobState, RenderState

# How much of a job is done when Swiftia is done with it; what follows are its renders.
UPSTREAM_SHARE: Final = 0.4
_RENDERED_SHARE: Final = 0.9


@dataclass(frozen=True, slots=True)
class RenderCounts:
    """``kept`` counts what is done as well, where videos are not kept. The rest of ``total`` is under way."""

    total: int = 0
    kept: int = 0
    failed: int = 0
    parked: int = 0

    @classmethod
    def of(cls, states: Iterable[str]) -> Self:
        count = Counter(states)
        return cls(
            total=count.total(),
            kept=sum(count[state] for state in (RenderState.KEPT, RenderState.DONE)),
            failed=count[RenderState.FAILED],
            parked=count[RenderState.PARKED],
        )


def render_progress(state: str, said: float) -> float:
    """0.0 to 1.0; a file that is being downloaded is nearly there, a settled render has nothing left to do."""
    if state in RENDER_SETTLED:
        return 1.0
    if state == RenderState.KEEPING:
        return 0.95
    return _RENDERED_SHARE * said if state == RenderState.RENDERING else 0.0


def job_progress(state: str, *, upstream: float, renders: Sequence[float], planned: bool) -> float:
    """Swiftia's own work counts 0.4 of a job, its renders the rest. A finished job has 1.0."""
    if state == JobState.FINISHED:
        return 1.0
    if not planned:
        return round(UPSTREAM_SHARE * upstream, 4)
    average = sum(renders) / len(renders) if renders else 0.0
    return round(UPSTREAM_SHARE + (1 - UPSTREAM_SHARE) * average, 4)
