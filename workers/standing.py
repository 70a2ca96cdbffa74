"""How the request budget stands: what the clock goes by, and what is shown of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

CAUSES: Final = ("ours", "stranger", "shrunk")


@dataclass(frozen=True, slots=True)
class Peek:
    """``free`` requests may leave now, ``soon`` within a moment, for which ``here`` wait already.

    ``next_s``: until one more may leave, 0 if one may now. ``later_s``: until the first one after those of ``soon``.
    Nobody may send for ``pause_s``. ``used`` slots count in the window. ``turn``: the next one goes out of turn.
    """

    free: int
    pause_s: float
    used: int
    next_s: float
    soon: int
    here: int
    later_s: float
    turn: bool
    breaker: str


@dataclass(frozen=True, slots=True)
class BudgetState:
    """``used`` of ``allowed`` requests in ``window_s``; who waits, by class; why nobody sends for ``pause_s``.

    ``pause_reason``: ``limit`` (a 429), ``breaker``, ``credentials``, or nothing. ``breaker``: ``closed``, ``open`` or
    ``half-open``. ``margin_ms``: how much longer a slot counts than the window. ``refused``: 429 so far, by cause.
    ``given``: slots so far, by class.
    """

    allowed: int
    window_s: float
    used: int
    free: int
    waiting: Mapping[str, int]
    pause_s: float
    pause_reason: str
    breaker: str
    margin_ms: int
    credentials_ok: bool
    refused: Mapping[str, int]
    given: Mapping[str, int]


def read_peek(found: Mapping[str, Any]) -> Peek:
    """Read what ``peek.lua`` answers."""
    return Peek(
        free=found["free"],
        pause_s=found["pause_ms"] / 1000,
        used=found["used"],
        next_s=found["next_ms"] / 1000,
        soon=found["soon"],
        here=found["here"],
        later_s=found["later_ms"] / 1000,
        turn=found["turn"],
        breaker=found["breaker"],
    )


def read_state(found: Mapping[str, Any], *, window_ms: int, classes: Sequence[str]) -> BudgetState:
    """Read what ``peek.lua`` answers; ``classes`` by their rank."""
    return BudgetState(
        allowed=found["allowed"],
        window_s=window_ms / 1000,
        used=found["used"],
        free=found["free"],
        waiting=dict(zip(classes, found["waiting"], strict=True)),
        pause_s=found["pause_ms"] / 1000,
        pause_reason=found["pause_reason"],
        breaker=found["breaker"],
        margin_ms=found["margin_ms"],
        credentials_ok=found["credentials_ok"],
        refused={cause: found["refused"].get(cause, 0) for cause in CAUSES},
        given={name: found["given"].get(name, 0) for name in classes},
    )
