"""Exponential backoff with full jitter: the wait is drawn evenly from nought to a ceiling that doubles."""

from collections.abc import Callable


def delay(tries: int, *, base_s: float, cap_s: float, at_least_s: float = 0.0, chance: Callable[[], float]) -> float:
    """Seconds to wait after ``tries`` failed attempts (1 or more). ``chance`` gives a number in [0, 1).

    >>> [delay(n, base_s=2, cap_s=60, chance=lambda: 1.0) for n in (1, 2, 3, 9)]
    [2.0, 4.0, 8.0, 60.0]
    >>> delay(3, base_s=2, cap_s=60, at_least_s=5, chance=lambda: 0.5)
    9.0
    """
    ceiling = min(cap_s, base_s * 2.0 ** min(tries - 1, 60))
    return at_least_s + ceiling * chance()
