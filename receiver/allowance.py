"""``GET /api/budget``: how many requests to Swiftia may leave now, and what keeps them from leaving."""

from flask import Blueprint, Response, request

from receiver.answers import json_answer
from workers.budget import Budget
from workers.errors import InvalidInput
from workers.upstreams import Upstreams


class Allowance:
    def __init__(self, upstreams: Upstreams) -> None:
        self._upstreams = upstreams

    def add_to(self, api: Blueprint) -> None:
        api.add_url_rule("/budget", view_func=self.budget)

    def budget(self) -> Response:
        """``limit`` requests in any ``window`` seconds, of which ``used`` have left and ``free`` may leave now.

        ``configured``: the limit that was set; Swiftia may have stated another one. ``margin``: seconds that a request
        counts longer than the window. ``waiting``: who waits for a slot, by class. None leaves for ``pause`` seconds
        because of ``pause_reason``: ``limit`` (Swiftia answered 429), ``breaker`` (its answers fail) or ``credentials``
        (it refuses the key), else empty. ``breaker``: ``closed``, ``open`` or ``half-open``. ``refused``: 429 so far,
        by cause.

        Where there are several accounts this is the one of jobs that name none, or else the first, and ``accounts`` has
        the same of each, by name. ``?account=name`` asks for one alone.
        """
        ways = self._upstreams.shown
        asked = request.args.get("account")
        if asked is not None:
            if asked not in ways:
                raise InvalidInput(f"account is not known; the accounts here are {', '.join(sorted(ways))}")
            return json_answer(_told(ways[asked].budget))
        if len(ways) == 1:
            return json_answer(_told(*(way.budget for way in ways.values())))
        accounts = {name: _told(way.budget) for name, way in ways.items()}
        return json_answer({**accounts[self._upstreams.first], "accounts": accounts})


def _told(budget: Budget) -> dict[str, object]:
    state = budget.state()
    return {
        "limit": state.allowed,
        "configured": budget.limit.requests,
        "window": state.window_s,
        "free": state.free,
        "used": state.used,
        "margin": state.margin_ms / 1000,
        "waiting": dict(state.waiting),
        "pause": state.pause_s,
        "pause_reason": state.pause_reason,
        "breaker": state.breaker,
        "credentials_ok": state.credentials_ok,
        "refused": dict(state.refused),
    }
