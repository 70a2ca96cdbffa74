"""The rules of the window that requests are counted in, as the scripts of the budget know them."""

from typing import Final

from workers import keys
from workers.limits import TRANSIT_S, TURN_EVERY, RateLimit, most_requests
from workers.work import CLASSES, UPSTREAM

# While Swiftia refuses the key, one request in so many seconds finds out whether it has been mended.
CREDENTIALS_PAUSE_S: Final = 30.0
FAULTS: Final = 4
LONGEST_PAUSE_S: Final = 60.0
RANKS: Final = {name: rank for rank, name in enumerate(CLASSES[UPSTREAM], start=1)}
# A margin of more than this share of the window would cost more than the 429 that it spares.
_MARGIN_SHARE: Final = 0.2


def rules(limit: RateLimit, account: str) -> dict[str, object]:
    """Give the constants of ``lua/budget.lua`` and its scripts, for the budget of one account."""
    most_margin_ms, transit_ms = round(limit.window_ms * _MARGIN_SHARE), round(TRANSIT_S * 1000)
    return {
        "keys": keys.budget(account),
        "requests": limit.requests,
        "most_requests": most_requests(limit),
        "window_ms": limit.window_ms,
        "transit_ms": transit_ms,
        "history_ms": limit.window_ms + most_margin_ms + transit_ms,
        "ranks": len(RANKS),
        "classes": CLASSES[UPSTREAM],
        "turn_every": TURN_EVERY,
        "claim_ms": 1000,
        "grace_ms": 150,
        "margin_step_ms": 20,
        "most_margin_ms": most_margin_ms,
        "margin_half_ms": 600_000,
        "limit_kept_ms": 3_600_000,
        "stranger_kept_ms": 60_000,
        "faults": FAULTS,
        "fine_step_ms": 500,
        "first_pause_ms": 2000,
        "longest_pause_ms": round(LONGEST_PAUSE_S * 1000),
        "refused_pause_ms": round(CREDENTIALS_PAUSE_S * 1000),
        # A probe that says nothing for so long is given up, and the next one may go.
        "probe_ms": 30_000,
        "probe_look_ms": 250,
    }
