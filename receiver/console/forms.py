"""Forms as they are sent, and whether a page of ours has sent them."""

import hmac
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from flask import Request

from receiver.bodies import read_body
from receiver.console.refused import FormRefused
from workers.errors import InvalidInput

TOKEN: Final = "form_token"  # noqa: S105 - the name of a field
TOKEN_HEADER: Final = "X-Form-Token"  # noqa: S105 - the name of a header
MAX_BYTES: Final = 256 << 10
_MOST_FIELDS: Final = 200
_OURS: Final = ("same-origin", "none")

Form = Mapping[str, str]


def read_form(request: Request) -> Form:
    """Return the fields by name. Raise ``InvalidInput`` for what is no form, or has a field twice."""
    body = read_body(request, limit=MAX_BYTES)
    if body and request.mimetype != "application/x-www-form-urlencoded":
        raise InvalidInput("send the form as application/x-www-form-urlencoded")
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS, separator="&"
        )
    except ValueError:
        raise InvalidInput("the form cannot be read; reload its page and send it again") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise InvalidInput("the form has a field twice; reload its page and send it again")
    return fields


def check_origin(request: Request) -> None:
    """Raise ``FormRefused`` for what a page of another site has sent."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        if site not in _OURS:
            raise FormRefused("this form was sent by a page of another site; open it here and send it again")
        return
    # A browser that is old, or that was led here over plain http.
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2].lower() != request.host.lower():
        raise FormRefused("this form was sent by a page of another address; open it at this one and send it again")


def check_token(request: Request, form: Form, expected: str) -> None:
    """Raise ``FormRefused`` unless the form, or the script that sends it, carries the token of the session."""
    offered = form.get(TOKEN) or request.headers.get(TOKEN_HEADER, "")
    if not hmac.compare_digest(offered.encode("utf-8", "surrogatepass"), expected.encode()):
        raise FormRefused("this form belongs to another session; open its page again and send it from there")
