"""Who may use the API: whoever sends the admin token."""

import hmac
from typing import Final

from flask import Request, Response
from pydantic import SecretStr

from receiver.problems import Kind, problem

_KIND: Final = Kind(401, "unauthorized", "Not authorized")
_CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="swiftia-receiver"'}


class Auth:
    def __init__(self, admin_token: SecretStr) -> None:
        self._expected = admin_token.get_secret_value().encode()

    def refusal(self, request: Request) -> Response | None:
        """Return the 401 for a request without the token, None for one with it."""
        scheme, _, offered = request.headers.get("Authorization", "").partition(" ")
        # Compared even if the scheme is wrong: the time it takes tells nothing.
        fits = hmac.compare_digest(offered.strip().encode("utf-8", "surrogatepass"), self._expected)
        if fits and scheme.lower() == "bearer":
            return None
        detail = "send the header Authorization: Bearer <ADMIN_TOKEN>"
        return problem(_KIND, detail, headers=_CHALLENGE)
