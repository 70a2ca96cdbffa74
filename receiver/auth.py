"""Who may use the API: whoever sends one of the tokens, and for looking also who has signed in to the console."""

from typing import Final

from flask import Request, Response

from receiver.console.sessions import Role
from receiver.console.visitors import Visitors
from receiver.problems import KINDS, problem

_UNKNOWN: Final = KINDS["unauthorized"]
_READ_ONLY: Final = KINDS["read-only"]
_CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="swiftia-receiver"'}
_LOOKING: Final = ("GET", "HEAD")


class Auth:
    def __init__(self, visitors: Visitors) -> None:
        self._visitors = visitors

    def refusal(self, request: Request) -> Response | None:
        """Return the 401 or 403 for a request that must not be answered, None for one that may be."""
        role = self._role(request)
        if role is None:
            detail = "send the header Authorization: Bearer <ADMIN_TOKEN>"
            return problem(_UNKNOWN, detail, headers=_CHALLENGE)
        if role is Role.VIEWER and request.method not in _LOOKING:
            return problem(_READ_ONLY, "the VIEWER_TOKEN is for GET alone; send the ADMIN_TOKEN")
        return None

    def _role(self, request: Request) -> Role | None:
        scheme, _, offered = request.headers.get("Authorization", "").partition(" ")
        # Compared even if the scheme is wrong: the time it takes tells nothing.
        role = self._visitors.sessions.role_of(offered.strip())
        if scheme.lower() == "bearer":
            return role
        # A browser sends its cookies with whatever any page makes it ask for, so that these let nobody change anything.
        if request.method not in _LOOKING or request.headers.get("Sec-Fetch-Site") == "cross-site":
            return None
        visitor = self._visitors.of(request)
        return visitor.role if visitor else None
