"""Whether Redis is worth asking: a server that hangs must not hold one request after the other. Plain values."""

from dataclasses import dataclass
from typing import Final

ASK_EVERY_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Gate:
    """Open until Redis fails, then shut until it takes a write again. Moments are seconds of a clock that only rises.

    ``shut_at``: the last failure, None while open. ``asked_at``: the last try after it.
    """

    shut_at: float | None = None
    asked_at: float | None = None

    @property
    def open(self) -> bool:
        return self.shut_at is None

    def failed(self, at: float) -> "Gate":
        """Redis did not take a write."""
        return Gate(shut_at=at, asked_at=at)

    def took(self, *, began: float) -> "Gate":
        """Redis took a write. One that began before the last failure says nothing about the time after it."""
        return Gate() if self.shut_at is None or began > self.shut_at else self

    def is_due(self, at: float) -> bool:
        """Whether it is time to try a write, which nobody waits for."""
        return self.asked_at is not None and at - self.asked_at >= ASK_EVERY_S
