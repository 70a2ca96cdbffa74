"""How often somebody may try to sign in: so many times in vain from one address, and so many times in all."""

import hashlib
import threading
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, Final

from redis import Redis, RedisError

from workers import keys

FROM_ONE: Final = 10
IN_ALL: Final = 300
WINDOW_S: Final = 300
_EVERYBODY: Final = "all"


class Tries:
    """Counted in Redis, for all processes together; while it is away each process counts for itself.

    ``now``: seconds that only rise.
    """

    def __init__(self, redis: Redis, *, now: Callable[[], float]) -> None:
        self._redis = redis
        self._own = _Tally(now)

    def begin(self, address: str | None) -> float | None:
        """Count one. Return None if it may go on, else for how many seconds no other one may."""
        # In this order: who is refused already must not use up what is left to everybody.
        for name, most in ((_who(address), FROM_ONE), (_EVERYBODY, IN_ALL)):
            count, left_s = self._counted(name)
            if count > most:
                return max(1.0, left_s)
        return None

    def succeeded(self, address: str | None) -> None:
        """Forget what was counted of this address: it was not in vain."""
        who = _who(address)
        self._own.forget(who)
        try:
            self._redis.delete(keys.tries(who))
        except RedisError:
            return

    def _counted(self, name: str) -> tuple[int, float]:
        """Return how many there were within the window, this one too, and how many seconds are left of it."""
        key = keys.tries(name)
        pipeline: Any = self._redis.pipeline(transaction=True)
        try:
            _, count, left_s = pipeline.set(key, 0, ex=WINDOW_S, nx=True).incr(key).ttl(key).execute()
        except RedisError:
            return self._own.add(name)
        return count, left_s


class _Tally:
    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._counts: dict[str, int] = {}
        self._until = 0.0
        self._lock = threading.Lock()

    def add(self, name: str) -> tuple[int, float]:
        with self._lock:
            at = self._now()
            if at >= self._until:
                # All of them at once: there are never more than are let in within one window.
                self._counts, self._until = {}, at + WINDOW_S
            if self._counts.get(_EVERYBODY, 0) <= IN_ALL:
                self._counts[name] = self._counts.get(name, 0) + 1
            return self._counts.get(name, 0), self._until - at

    def forget(self, name: str) -> None:
        with self._lock:
            self._counts.pop(name, None)


def _who(address: str | None) -> str:
    """Name an address without keeping it. One customer has a whole network of IPv6."""
    try:
        found = ip_address(address or "")
    except ValueError:
        return "nobody"
    if isinstance(found, IPv6Address):
        address = str(ip_network((found, 64), strict=False))
    return hashlib.sha256(str(address).encode()).hexdigest()[:20]
