"""The organization's request allowance, as Swiftia's plans and our setting say it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from workers.errors import InvalidInput

_FORM = re.compile(r"([0-9]{1,6})/([0-9]{0,13}(?:\.[0-9]{1,3})?)\s*(ms|s|m|h)", re.ASCII)
# What an answer states is believed up to this rate, and up to so many times what was set.
_MOST_PER_S: Final = 10
_MOST_TIMES: Final = 4
_COUNT = re.compile(r"[0-9]{1,9}", re.ASCII)

# So long a request is thought to be on its way, until its answer tells.
TRANSIT_S: Final = 1.0
# Who finds no slot, but one within this time, waits for it where it is. The clock nudges by so much ahead.
AHEAD_S: Final = 0.2
# Each such slot goes to the one that has waited longest among the less important.
TURN_EVERY: Final = 10
_UNIT_MS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}


@dataclass(frozen=True, slots=True)
class RateLimit:
    """``requests`` in any ``window_ms`` milliseconds, counted as a sliding window."""

    requests: int
    window_ms: int

    @property
    def slot_s(self) -> float:
        """Seconds of the allowance that one request takes up: by so much everybody who waits waits longer."""
        return self.window_ms / 1000 / self.requests

    def __str__(self) -> str:
        seconds, rest = divmod(self.window_ms, 1000)
        return f"{self.requests}/{self.window_ms}ms" if rest else f"{self.requests}/{seconds}s"


PLANS: Final = {
    # Per organization, sliding window; the newest rate-limiting page names these four plans.
    "free": RateLimit(1, 5000),
    "starter": RateLimit(1, 2000),
    "pro": RateLimit(1, 1000),
    "swift": RateLimit(5, 1000),
}


def parse_rate_limit(text: str) -> RateLimit:
    """Read ``5/1s``, ``1/5s``, ``1/500ms`` or ``5/s``."""
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise InvalidInput(f"{text[:40]!r} is no rate limit; write requests per time, such as 5/1s or 1/5s")
    window = float(match[2] or 1) * _UNIT_MS[match[3]]
    if int(match[1]) < 1 or window < 1:
        raise InvalidInput(f"{text[:40]!r} allows nothing; both numbers of a rate limit are at least 1")
    return RateLimit(int(match[1]), round(window))


def most_requests(limit: RateLimit) -> int:
    """The most requests in its window that an answer may raise ``limit`` to.

    >>> most_requests(RateLimit(1, 1000)), most_requests(RateLimit(5, 1000)), most_requests(RateLimit(50, 1000))
    (4, 10, 50)
    """
    return max(limit.requests, min(_MOST_TIMES * limit.requests, _MOST_PER_S * limit.window_ms // 1000))


@dataclass(frozen=True, slots=True)
class Stated:
    """What an answer says of the allowance: how many requests, and how many of them are left. None: it says nothing."""

    limit: int | None
    left: int | None


def read_stated(headers: Mapping[str, str]) -> Stated:
    """Read ``X-RateLimit-Limit`` and ``-Remaining``. ``-Reset`` is by a clock that is not ours, and nothing needs it.
    ``headers``: by their names in lower case.

    >>> read_stated({"x-ratelimit-limit": "5", "x-ratelimit-remaining": "many"})
    Stated(limit=5, left=None)
    """
    return Stated(_count(headers, "x-ratelimit-limit"), _count(headers, "x-ratelimit-remaining"))


def _count(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name, "").strip()
    return int(text) if _COUNT.fullmatch(text) else None
