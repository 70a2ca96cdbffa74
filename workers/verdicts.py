"""What the end of an exchange says of Swiftia, for the books of the budget (``lua/settle.lua``)."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from workers.errors import (
    CredentialsRefused,
    RateLimited,
    ServiceError,
    TooLarge,
    UnreadableAnswer,
    UpstreamRefused,
    UpstreamUnavailable,
)

FINE: Final[Mapping[str, object]] = {"verdict": "ok", "arrived": 1}
# What is no error of an exchange says nothing of Swiftia; neither does the end of our own process.
NOTHING: Final[Mapping[str, object]] = {"verdict": "none"}


def verdict(error: ServiceError, *, window_s: float) -> Mapping[str, object]:
    """Tell ``ok``, ``fault``, ``refused`` (the key) or ``none``, and what is known of the request beside it."""
    match error:
        case RateLimited():
            # The stated time can be shorter than the window; to obey it alone would run into the next refusal.
            pause_s = max(error.retry_after or 0.0, window_s)
            return {**FINE, "status": int(HTTPStatus.TOO_MANY_REQUESTS), "pause_ms": round(pause_s * 1000)}
        case CredentialsRefused():
            return {"verdict": "refused", "arrived": 1}
        case UpstreamUnavailable():
            # Unless its end was seen nobody knows when the request arrived: its slot ends by itself.
            return {"verdict": "fault"} if error.sent else {"verdict": "fault", "unsent": 1}
        case UnreadableAnswer():
            return {"verdict": "fault", "arrived": 1}
        case UpstreamRefused() | TooLarge():
            return FINE
    return NOTHING
