"""The organization's request allowance, as Swiftia's plans and our setting say it."""

import re
from dataclasses import dataclass
from typing import Final

from workers.errors import InvalidInput

_FORM = re.compile(r"([0-9]{1,6})/([0-9]{0,13}(?:\.[0-9]{1,3})?)\s*(ms|s|m|h)", re.ASCII)
_UNIT_MS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}


@dataclass(frozen=True, slots=True)
class RateLimit:
    """``requests`` in any ``window_ms`` milliseconds, counted as a sliding window."""

    requests: int
    window_ms: int

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
