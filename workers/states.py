"""What a job, a render and a delivery can be, and every legal move between: one table each; anything else is refused.

The Lua scripts that write the ledger get these tables as arguments, so there is no second copy of the rules.
"""

from enum import StrEnum
from typing import Final

from workers.errors import InvalidInput


class JobState(StrEnum):
    WAITING = "waiting"  # known, nothing heard yet
    FETCHING = "fetching"  # a callback came, the result is being asked for
    RENDERING = "rendering"  # the result is kept, its renders are under way
    FINISHED = "finished"
    FAILED = "failed"  # Swiftia says so
    PARKED = "parked"  # stopped until a person retries or erases it


class RenderState(StrEnum):
    PLANNED = "planned"
    STARTING = "starting"  # the intent to POST is recorded; whether the POST took effect is not known yet
    QUEUED = "queued"
    RENDERING = "rendering"
    KEEPING = "keeping"
    KEPT = "kept"
    DONE = "done"  # finished upstream, where videos are not kept
    FAILED = "failed"
    PARKED = "parked"


class RefState(StrEnum):
    """A submission before it has a job id."""

    OPEN = "open"  # a callback URL was handed out, the team submits by itself
    QUEUED = "queued"  # to be submitted
    SUBMITTING = "submitting"  # the intent to POST is recorded
    LINKED = "linked"  # the job id is known
    FAILED = "failed"  # Swiftia refused it
    PARKED = "parked"  # whether it was submitted cannot be known


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    PARKED = "parked"  # the target did not take it for days, or wants no more


JOB_MOVES: Final[dict[str, frozenset[str]]] = {
    JobState.WAITING: frozenset({"fetching", "rendering", "finished", "failed", "parked"}),
    JobState.FETCHING: frozenset({"rendering", "finished", "failed", "parked"}),
    JobState.RENDERING: frozenset({"finished", "parked"}),
    JobState.FINISHED: frozenset({"rendering"}),  # a person retries its failed renders
    JobState.FAILED: frozenset({"fetching"}),  # a person retries it, or a new callback says there is news
    JobState.PARKED: frozenset({"fetching", "rendering"}),
}

RENDER_MOVES: Final[dict[str, frozenset[str]]] = {
    RenderState.PLANNED: frozenset({"starting", "parked"}),
    RenderState.STARTING: frozenset({"planned", "queued", "parked"}),
    RenderState.QUEUED: frozenset({"rendering", "keeping", "done", "failed", "parked"}),
    RenderState.RENDERING: frozenset({"queued", "keeping", "done", "failed", "parked"}),
    RenderState.KEEPING: frozenset({"kept", "queued", "parked"}),
    RenderState.KEPT: frozenset(),
    RenderState.DONE: frozenset(),
    RenderState.FAILED: frozenset({"planned"}),
    RenderState.PARKED: frozenset({"planned", "queued", "keeping"}),
}

REF_MOVES: Final[dict[str, frozenset[str]]] = {
    RefState.OPEN: frozenset({"queued", "parked"}),
    RefState.QUEUED: frozenset({"submitting", "failed", "parked"}),
    RefState.SUBMITTING: frozenset({"queued", "failed", "parked"}),
    RefState.FAILED: frozenset({"queued"}),  # a person retries it
    RefState.PARKED: frozenset({"queued"}),  # likewise, knowing that it may be a second job
}
DELIVERY_MOVES: Final[dict[str, frozenset[str]]] = {
    DeliveryState.PENDING: frozenset({"delivered", "parked"}),
    DeliveryState.DELIVERED: frozenset({"pending"}),  # a person wants it sent again
    DeliveryState.PARKED: frozenset({"pending"}),  # likewise
}
# A submission without a job id stands among the jobs as if it were one.
SHOWN_REF: Final = {"queued": "waiting", "submitting": "waiting", "failed": "failed", "parked": "parked"}

JOB_ENDED: Final = frozenset({JobState.FINISHED, JobState.FAILED})
JOB_SETTLED: Final = frozenset({JobState.FINISHED, JobState.FAILED, JobState.PARKED})
DELIVERY_SETTLED: Final = frozenset({DeliveryState.DELIVERED, DeliveryState.PARKED})
RENDER_SETTLED: Final = frozenset({RenderState.KEPT, RenderState.DONE, RenderState.FAILED, RenderState.PARKED})


def as_state(text: str) -> JobState:
    """Raise ``InvalidInput`` naming the states there are."""
    try:
        return JobState(text)
    except ValueError:
        raise InvalidInput(f"there is no such state; the states are {', '.join(JobState)}", got=text[:40]) from None
