"""``/sign-in`` and ``/sign-out``."""

import contextlib
import math
from typing import Final
from urllib.parse import urlencode, urlsplit

import structlog
from flask import Blueprint, Response, request
from redis import RedisError

from receiver.console import shell
from receiver.console.forms import check_origin, check_token, read_form
from receiver.console.gate import SIGN_IN, gone_to
from receiver.console.refused import TooManyTries
from receiver.console.tries import Tries
from receiver.console.visitors import Visitors
from receiver.console.words import duration

SIGN_OUT: Final = "/sign-out"
_LONGEST_NEXT: Final = 1000
_WRONG: Final = "That is neither the admin token nor the viewer token of this service."
_NOT_KEPT: Final = (
    "The token is right, and the browser has not kept the sign-in: as PUBLIC_URL is https, it is for https alone. Open "
    "the console at its https address."
)
_TRIED: Final = "tried"
_log = structlog.get_logger("console")


class SignIn:
    def __init__(self, visitors: Visitors, tries: Tries) -> None:
        self._visitors = visitors
        self._tries = tries

    def add_to(self, console: Blueprint) -> None:
        console.add_url_rule(SIGN_IN, endpoint="ask", view_func=self.ask, methods=["GET"])
        console.add_url_rule(SIGN_IN, endpoint="sign-in", view_func=self.sign_in, methods=["POST"])
        console.add_url_rule(SIGN_OUT, endpoint="sign-out", view_func=self.sign_out, methods=["POST"])

    def ask(self) -> Response:
        wanted = local(request.args.get("next", ""))
        if self._visitors.of(request):
            return gone_to(wanted)
        return self._page(wanted, problem=_NOT_KEPT if _TRIED in request.args else "")

    def sign_in(self) -> Response:
        check_origin(request)
        form = read_form(request)
        wanted = local(form.get("next", ""))
        address = self._visitors.proxies.client(request)
        wait_s = self._tries.begin(address)
        if wait_s is not None:
            _log.warning("console.too_many_tries", peer=address)
            again = f"there were too many tries to sign in; try again in {duration(math.ceil(wait_s))}"
            raise TooManyTries(again, retry_after=wait_s)
        role = self._visitors.sessions.role_of(form.get("token", "").strip())
        if role is None:
            _log.warning("console.refused", peer=address)
            return self._page(wanted, problem=_WRONG)
        self._tries.succeeded(address)
        _log.info("console.signed_in", role=role, peer=address)
        answer = gone_to(f"{SIGN_IN}?{urlencode({'next': wanted, _TRIED: 1})}" if self._may_be_lost() else wanted)
        self._visitors.signed_in(request, role, answer)
        return answer

    def _may_be_lost(self) -> bool:
        """Whether a browser may drop the cookie that it is given, as it is for https alone and came without."""
        return self._visitors.is_secure(request) and not self._visitors.proxies.is_https(request)

    def sign_out(self) -> Response:
        check_origin(request)
        visitor = self._visitors.of(request)
        answer = gone_to(f"{SIGN_IN}?out=1")
        if visitor is not None:
            check_token(request, read_form(request), visitor.form_token)
        if visitor is not None and visitor.session is not None:
            with contextlib.suppress(RedisError):
                self._visitors.sessions.end(visitor.session)
        self._visitors.forget(request, answer)
        return answer

    def _page(self, wanted: str, *, problem: str = "") -> Response:
        return shell.page(
            None,
            "sign_in.html",
            status=401 if problem else 200,
            wanted=wanted,
            problem=problem,
            signed_out=request.args.get("out") is not None,
        )


def local(wanted: str) -> str:
    r"""Return the path if it leads to a page of ours, else that of the first one.

    >>> local("/jobs/job_1?state=parked"), local("https://evil.example/"), local("//evil.example"), local("/\\evil")
    ('/jobs/job_1?state=parked', '/', '/', '/')
    """
    parts = None
    with contextlib.suppress(ValueError):
        parts = urlsplit(wanted)
    plain = wanted.isprintable() and wanted.isascii() and "\\" not in wanted and len(wanted) <= _LONGEST_NEXT
    if parts is None or parts.scheme or parts.netloc or not plain or not wanted.startswith("/"):
        return "/"
    return "/" if wanted.startswith(("//", SIGN_IN, SIGN_OUT)) else wanted
