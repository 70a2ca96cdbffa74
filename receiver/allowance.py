"""``GET /api/budget``: how many requests to Swiftia may leave now."""

from flask import Blueprint, Response

from receiver.answers import json_answer
from workers.budget import Budget


class Allowance:
    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    def add_to(self, api: Blueprint) -> None:
        api.add_url_rule("/budget", view_func=self.budget)

    def budget(self) -> Response:
        """``limit`` requests in any ``window`` seconds; none leaves for ``pause`` seconds."""
        peek = self._budget.peek()
        limit = self._budget.limit
        return json_answer(
            {
                "limit": limit.requests,
                "window": limit.window_ms / 1000,
                "free": peek.free,
                "used": peek.used,
                "pause": peek.pause_s,
            }
        )
