"""What one job costs in requests: the plain sum, with the looks that renders take here where enough have been seen."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

# Looks a render in the simulation of deploy/measured.md, and as measured there: 2.16 to 2.57, and 2.31.
USUAL_LOOKS: Final = 2.3
# Fewer renders than these tell little.
ENOUGH_RENDERS: Final = 20


@dataclass(frozen=True, slots=True)
class Cost:
    """In requests to Swiftia. ``shorts``: how many renders, None where the result decides. ``looks``: for each of them,
    ``seen``: from how many renders of this account that is known, nought if it is the usual figure. ``slot_s``: how
    often a request may leave.
    """

    shorts: int | None
    looks: float
    seen: int
    slot_s: float

    submit: int = 1
    fetch: int = 1

    @property
    def per_short(self) -> float:
        return 1 + self.looks

    def total(self, shorts: int) -> float:
        return self.submit + self.fetch + shorts * self.per_short

    def seconds(self, shorts: int) -> float:
        """How long that many requests take to leave, if no other job wants any."""
        return self.total(shorts) * self.slot_s


def cost(*, shorts: int | None, given: Mapping[str, int], slot_s: float) -> Cost:
    """``given``: requests of the account so far, by class.

    >>> cost(shorts=2, given={"render": 100, "watch": 190}, slot_s=0.2).total(2)
    7.8
    """
    renders = given.get("render", 0)
    known = renders >= ENOUGH_RENDERS
    looks = given.get("watch", 0) / renders if known else USUAL_LOOKS
    return Cost(shorts, looks, renders if known else 0, slot_s)
