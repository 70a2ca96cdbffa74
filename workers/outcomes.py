"""How an attempt of a step ended: a closed set of values that the ledger writes as the next state and due time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Done:
    """The step wrote its own transition; nothing is left to write."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Not ready yet, look again in ``seconds``: no failure, it spends no attempt.

    ``in_place``: it waits for its turn, and does not go to the end of the line when that is not yet.
    ``state`` and ``fields`` are what was seen meanwhile, ``events`` what the timeline is to tell of it.
    """

    seconds: float
    state: str = ""
    fields: Mapping[str, object] = field(default_factory=dict)
    events: Sequence[tuple[str, Mapping[str, object]]] = ()
    in_place: bool = False


@dataclass(frozen=True, slots=True)
class Retry:
    """It failed and can succeed later. Backoff decides when, the number of attempts how often.

    ``at_least``: seconds to stay away in any case. ``fields``: what is to be remembered.
    """

    reason: str
    at_least: float = 0.0
    fields: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failed:
    """It cannot succeed by trying again: a person must look."""

    reason: str


Outcome = Done | Wait | Retry | Failed


def name_of(outcome: Outcome) -> str:
    """As logs and metrics call it.

    >>> name_of(Done()), name_of(Wait(1.0)), name_of(Wait(1.0, in_place=True))
    ('done', 'wait', 'no_slot')
    """
    return "no_slot" if isinstance(outcome, Wait) and outcome.in_place else type(outcome).__name__.lower()
