"""A budget on real Valkey whose clock is moved by hand."""

import math
from collections.abc import Callable

from redis import Redis

from workers.budget import Budget
from workers.limits import TRANSIT_S, RateLimit

FIVE_A_SECOND = RateLimit(5, 1000)
ONE_A_SECOND = RateLimit(1, 1000)
TRANSIT_MS = round(TRANSIT_S * 1000)


class Hands:
    """A clock that is moved by hand. ``ahead`` is what it shows more than has passed; who sleeps on it moves it."""

    def __init__(self) -> None:
        self.ms = 1_800_000_000_000
        self.ahead = 0

    def now_ms(self) -> int:
        return self.ms + self.ahead

    def seconds(self) -> float:
        return self.ms / 1000

    def sleep(self, seconds: float) -> None:
        self.ms += math.ceil(seconds * 1000)


def budget(
    redis: Redis,
    hands: Hands,
    limit: RateLimit = FIVE_A_SECOND,
    *,
    account: str = "",
    chance: Callable[[], float] = lambda: 0.5,
) -> Budget:
    return Budget(
        redis, limit, account=account, now_ms=hands.now_ms, chance=chance, sleep=hands.sleep, clock=hands.seconds
    )
