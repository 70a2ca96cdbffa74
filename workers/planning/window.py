"""The budget's sliding window, as the scripts of ``workers/budget.py`` count it while nothing goes wrong."""

from bisect import bisect_right, insort
from dataclasses import dataclass, field

from workers.limits import TRANSIT_S, RateLimit

_TRANSIT_MS = round(TRANSIT_S * 1000)


@dataclass(slots=True)
class Window:
    """Times are whole milliseconds that never go back. A slot is booked as if its request took ``TRANSIT_S``, until its
    answer tells when it has arrived at the latest; from then on it counts for one window.
    """

    limit: RateLimit
    _slots: list[int] = field(default_factory=list)

    def used(self, now_ms: int) -> int:
        """How many slots count."""
        del self._slots[: bisect_right(self._slots, now_ms - self.limit.window_ms)]
        return len(self._slots)

    def wait_ms(self, now_ms: int) -> int:
        """Milliseconds until a slot may be free, 0 if one is. What is on its way may take longer than this."""
        needed = self.used(now_ms) - self.limit.requests
        if needed < 0:
            return 0
        return min(self._slots[needed], now_ms) + self.limit.window_ms - now_ms

    def take(self, now_ms: int) -> int:
        """Book a slot; what is returned settles it. There has to be one."""
        booked = now_ms + _TRANSIT_MS
        insort(self._slots, booked)
        return booked

    def settle(self, booked_ms: int, now_ms: int) -> None:
        """The answer came."""
        if booked_ms > now_ms:
            self._slots.remove(booked_ms)
            insort(self._slots, now_ms)
