"""What the query of a request says: no parameter that is not described, each once, none empty."""

import re
from typing import Final

from flask import Request

from receiver.description.document import ROUTES, path_of
from receiver.description.routes import Route
from workers.errors import InvalidInput
from workers.filters import Wanted
from workers.identifiers import is_account, is_ref
from workers.listing import MAX_PAGE
from workers.moments import read_moment
from workers.states import JobState, as_state

_DEFAULT_PAGE: Final = 50
_LIMIT = re.compile(r"[0-9]{1,4}", re.ASCII)
_METADATA: Final = "metadata."
_LONGEST: Final = 40
_BY_RULE: Final = {(route.method, route.path): route for route in ROUTES}


def check(request: Request) -> None:
    """A typing error must not list, or retry, something else than was meant: raise ``InvalidInput``."""
    rule = request.url_rule
    if rule is None:
        return
    route = _BY_RULE["GET" if request.method == "HEAD" else request.method, path_of(rule.rule)]
    for name, values in request.args.lists():
        if not _is_known(route, name):
            known = ", ".join(f"{one.family}<key>" if one.family else one.name for one in route.query) or "none"
            raise InvalidInput(f"{name[:_LONGEST]!r} is no parameter of this route; it takes: {known}")
        if len(values) > 1:
            raise InvalidInput(f"{name[:_LONGEST]} is given {len(values)} times; give it once")
        if not values[0]:
            raise InvalidInput(f"{name[:_LONGEST]} is empty; leave it out or give it a value")


def _is_known(route: Route, name: str) -> bool:
    return any(
        name.startswith(one.family) and name != one.family if one.family else name == one.name for one in route.query
    )


def wanted(request: Request) -> Wanted:
    """Which jobs a listing is to show."""
    until, ref, account = (request.args.get(name) for name in ("until", "ref", "account"))
    if ref is not None and not is_ref(ref):
        raise InvalidInput("ref is what POST /api/callbacks and POST /api/jobs answered under ref", got=ref[:_LONGEST])
    if account is not None and not is_account(account):
        raise InvalidInput("account is 1 to 32 of a-z, 0-9, '-' and '_'", got=account[:_LONGEST])
    return Wanted(
        state=state(request),
        since_ms=since(request),
        until_ms=None if until is None else read_moment(until, what="until"),
        ref=ref,
        function=request.args.get("function"),
        account=account,
        metadata=tuple(
            (name.removeprefix(_METADATA), value) for name, value in request.args.items() if name.startswith(_METADATA)
        ),
    )


def state(request: Request) -> JobState | None:
    text = request.args.get("state")
    return as_state(text) if text else None


def since(request: Request) -> int | None:
    """In Unix milliseconds."""
    text = request.args.get("since")
    return None if text is None else read_moment(text, what="since")


def limit(request: Request) -> int:
    text = request.args.get("limit", str(_DEFAULT_PAGE))
    if _LIMIT.fullmatch(text) is None:
        raise InvalidInput(f"limit is a number from 1 to {MAX_PAGE}", got=text[:_LONGEST])
    return int(text)


def redirect(request: Request) -> bool:
    return _said(request, "redirect")


def dry_run(request: Request) -> bool:
    """Whether a submission is only to be looked over."""
    return _said(request, "dry_run")


def calm(request: Request) -> bool:
    return _said(request, "calm")


def _said(request: Request, name: str) -> bool:
    text = request.args.get(name, "false")
    if text not in ("true", "false"):
        raise InvalidInput(f"{name} is true or false", got=text[:_LONGEST])
    return text == "true"
