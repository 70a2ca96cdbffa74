"""What all pages of the console have in common: their frame, their words for values, and what they may load."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from flask import Response, current_app, request
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from receiver.answers import GUARDED
from receiver.broadcast import BROADCAST
from receiver.console import words
from receiver.console.assets import every_asset
from receiver.console.forms import TOKEN
from receiver.console.visitors import Visitor

# In the order of the navigation: address, name.
NAVIGATION: Final = (
    ("/", "Overview"),
    ("/jobs", "Jobs"),
    ("/parked", "Parked"),
    ("/submit", "Submit"),
    ("/check", "Check"),
    ("/workers", "Workers"),
)
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Final = {
    **GUARDED,
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    # Not "no-referrer": forms would then be sent with ``Origin: null``, which is as good as none.
    "Referrer-Policy": "same-origin",
}
_TEMPLATES: Final = Path(__file__).parents[1] / "templates" / "console"


def page(
    visitor: Visitor | None,
    template: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **values: object,
) -> Response:
    """Show ``templates/console/<template>``. ``visitor``: None for who has not signed in."""
    frame = {
        "visitor": visitor,
        "navigation": NAVIGATION,
        "section": section_of(request.path),
        "crowd": len(current_app.extensions[BROADCAST]),
        "assets": every_asset().base,
        "form_field": TOKEN,
    }
    text = templates().get_template(template).render(**frame, **values)
    return Response(text, status, {**HEADERS, **(headers or {})}, content_type="text/html; charset=utf-8")


def section_of(path: str) -> str:
    """Say which part of the navigation a page belongs to.

    >>> section_of("/jobs/job_1/erase"), section_of("/jobs"), section_of("/")
    ('/jobs', '/jobs', '/')
    """
    return "/" + path.removeprefix("/").partition("/")[0]


@cache
def templates() -> Environment:
    found = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(words.FILTERS)
    return found
