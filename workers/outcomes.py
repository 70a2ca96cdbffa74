"""How an attempt of a step ended: a closed set of values that the ledger writes as the next state and due time."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Done:
    """The step wrote its own transition; nothing is left to write."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Not ready yet, look again in ``seconds``: no failure, it spends no attempt.

    ``state`` and ``fields`` are what was seen meanwhile.
    """

    seconds: float
    state: str = ""
    fields: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Retry:
    """It failed and can succeed later. Backoff decides when, the number of attempts how often.

    ``at_least``: seconds to stay away in any case.
    """

    reason: str
    at_least: float = 0.0


@dataclass(frozen=True, slots=True)
class Failed:
    """It cannot succeed by trying again: a person must look."""

    reason: str


Outcome = Done | Wait | Retry | Failed
