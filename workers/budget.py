"""The organization's request budget: one sliding window in Redis for every process on every machine.

A request takes a slot right before it is sent and settles it when the answer is there. Between the two the slot is
counted as if the request took ``TRANSIT_S`` to arrive, so the window upstream is never overrun by what is on its way.
More important classes go first: whoever finds no slot leaves a claim, and less important ones leave room for it.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis, RedisError

from workers.errors import (
    CredentialsRefused,
    LedgerUnavailable,
    RateLimited,
    ServiceError,
    UnreadableAnswer,
    UpstreamRefused,
)
from workers.limits import RateLimit
from workers.scripts import Scripts
from workers.work import CLASSES, UPSTREAM

TRANSIT_S: Final = 1.0
_CLAIM_S: Final = 1.0
# While Swiftia refuses the key, one request in so many seconds finds out whether it has been mended.
CREDENTIALS_PAUSE_S: Final = 30.0
_RANKS: Final = {name: rank for rank, name in enumerate(CLASSES[UPSTREAM], start=1)}


@dataclass(frozen=True, slots=True)
class Peek:
    """``free`` requests may leave now; nobody may for ``pause_s``; ``used`` slots count in the window."""

    free: int
    pause_s: float
    used: int


class NoSlot(Exception):
    """No request may leave for another ``wait_s`` seconds. No error of ours: the step waits its turn."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"no request may leave for {wait_s:.3f} s")
        self.wait_s = wait_s


class Budget:
    """``now_ms``: a clock for tests; without it Redis's own is used."""

    def __init__(self, redis: Redis, limit: RateLimit, *, now_ms: Callable[[], int] | None = None) -> None:
        self.limit = limit
        self._scripts = Scripts(redis, None)
        self._now_ms = now_ms

    @contextmanager
    def slot(self, name: str, claim: str) -> Iterator[None]:
        """Send one request inside. ``name``: its class; ``claim``: who asks. Raises ``NoSlot`` before it is sent."""
        taken = self.take(name, claim)
        if isinstance(taken, float):
            raise NoSlot(taken)
        try:
            yield
        except ServiceError as error:
            self._settle_after(taken, error)
            raise
        else:
            self.settle(taken)

    def _settle_after(self, slot: str, error: ServiceError) -> None:
        match error:
            case RateLimited():
                # The stated time can be shorter than the window; to obey it alone would run into the next refusal.
                self.settle(slot, pause_s=max(error.retry_after or 0.0, self.limit.window_ms / 1000))
            case CredentialsRefused():
                self.settle(slot, pause_s=CREDENTIALS_PAUSE_S)
            case UpstreamRefused() | UnreadableAnswer():
                self.settle(slot)
            # After anything else nobody knows when the request arrived: its slot ends by itself.

    def take(self, name: str, claim: str) -> str | float:
        """A slot's name, or the seconds until one may be free."""
        granted, answer = self._run(
            "take",
            {
                "requests": self.limit.requests,
                "window_ms": self.limit.window_ms,
                "transit_ms": round(TRANSIT_S * 1000),
                "claim_ms": round(_CLAIM_S * 1000),
                "rank": _RANKS[name],
                "id": claim or secrets.token_hex(8),
            },
        )
        return str(answer.decode()) if granted else answer / 1000

    def settle(self, slot: str, *, pause_s: float = 0.0) -> None:
        """The answer came; ``pause_s`` keeps every process away for so long."""
        self._run("settle", {"slot": slot, "pause_ms": round(pause_s * 1000)})

    def peek(self) -> Peek:
        free, pause, used = self._run("peek", {"requests": self.limit.requests, "window_ms": self.limit.window_ms})
        return Peek(free, pause / 1000, used)

    def _run(self, name: str, arguments: dict[str, object]) -> Any:
        now = "" if self._now_ms is None else str(self._now_ms())
        try:
            return self._scripts.run(name, {"now": now, **arguments})
        except RedisError as error:
            raise LedgerUnavailable(f"the request budget cannot be read: {error}") from error
