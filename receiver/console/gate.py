"""The gate of the console: which pages there are, and who is let in to each."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import quote

from flask import Blueprint, Request, Response, request

from receiver.answers import GUARDED
from receiver.console.forms import Form, check_origin, check_token, read_form
from receiver.console.refused import ReadOnly
from receiver.console.visitors import Visitor, Visitors

SIGN_IN: Final = "/sign-in"
# How long a page waits for its turn. One that is made slowly, as Redis is away, does not hold up all the others.
_TURN_S: Final = 0.25
# A view gets who asks, for an act the form too, and then what its rule has in < >.
View = Callable[..., Response]


class Gate:
    def __init__(self, blueprint: Blueprint, visitors: Visitors) -> None:
        self._blueprint = blueprint
        self._visitors = visitors
        self._turn = threading.Lock()

    def show(self, rule: str, view: View, *, to_look: bool = True, in_turn: bool = False) -> None:
        """Serve a page: ``view(visitor, **places)``. ``to_look``: to those too who may only look.

        ``in_turn``: of these one is made at a time, as many are open that look again all the time, and each thread
        that computes makes the door's loop wait.
        """

        def shown(visitor: Visitor, **places: object) -> Response:
            if not (to_look or visitor.may_act):
                raise _read_only()
            with self._its_turn() if in_turn else contextlib.nullcontext():
                return view(visitor, **places)

        self._add(rule, "GET", shown, name=f"show {rule}")

    def act(self, rule: str, view: View) -> None:
        """Take a form that changes something, from those who may: ``view(visitor, form, **places)``."""

        def acted(visitor: Visitor, **places: object) -> Response:
            if not visitor.may_act:
                raise _read_only()
            form: Form = read_form(request)
            check_token(request, form, visitor.form_token)
            return view(visitor, form, **places)

        self._add(rule, "POST", acted, name=f"act {rule}")

    @contextlib.contextmanager
    def _its_turn(self) -> Iterator[None]:
        has_it = self._turn.acquire(timeout=_TURN_S)
        try:
            yield
        finally:
            if has_it:
                self._turn.release()

    def _add(self, rule: str, method: str, view: View, *, name: str) -> None:
        def let_in(**places: object) -> Response:
            if method != "GET":
                check_origin(request)
            visitor = self._visitors.of(request)
            if visitor is None:
                return to_sign_in(request)
            answer = view(visitor, **places)
            self._visitors.seen(request, visitor, answer)
            return answer

        # Dots would be taken for the names of blueprints.
        self._blueprint.add_url_rule(rule, endpoint=name.replace(".", "-"), view_func=let_in, methods=[method])


def to_sign_in(asked: Request) -> Response:
    """Send to the page to sign in at, and from there back to what was asked for."""
    wanted = asked.full_path if asked.query_string else asked.path
    return gone_to(SIGN_IN if wanted == "/" else f"{SIGN_IN}?next={quote(wanted, safe='/')}")


def gone_to(path: str) -> Response:
    """303: what was asked for is done, and what there is to see now is at ``path``."""
    return Response(status=303, headers={**GUARDED, "Location": path})


def _read_only() -> ReadOnly:
    return ReadOnly("you have signed in to look; sign in with the ADMIN_TOKEN to change something")
