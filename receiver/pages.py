"""The pages and ``/openapi.json``, all made of the description when one of them is first asked for: most processes end
before. Public, and the same for all.

No page has a script or asks another host for anything: what they may load is the console's style and icon, and a style
of their own.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Final

from flask import Blueprint, Response, request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from receiver import problems
from receiver.console.assets import every_asset
from receiver.console.words import marked
from receiver.description import introduction
from receiver.description.document import PROBLEM_TYPE, ROUTES, openapi
from receiver.explanations import EXPLANATIONS
from receiver.outline import operations, schemas
from workers.errors import NotFound

_HERE: Final = Path(__file__).parent
_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PATHS: Final = ("/docs", "/docs/style.css", "/openapi.json", "/problems")
_HEADERS: Final = {
    "Cache-Control": "public, max-age=300",
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Page:
    """Bytes that stay as they are as long as the process lives."""

    def __init__(self, text: str, content_type: str) -> None:
        self._body = text.encode()
        self._type = content_type
        self._tag = hashlib.sha256(self._body).hexdigest()[:32]

    def show(self) -> Response:
        headers = {**_HEADERS, "ETag": f'"{self._tag}"'}
        if request.if_none_match.contains_weak(self._tag):
            return Response(status=304, headers=headers)
        return Response(self._body, headers=headers, content_type=self._type)


def blueprint() -> Blueprint:
    found = Blueprint("pages", __name__)
    for number, path in enumerate(_PATHS):
        found.add_url_rule(path, endpoint=f"page{number}", view_func=partial(_show, path))

    @found.get("/problems/<slug>")
    def explain(slug: str) -> Response:
        return _show(f"/problems/{slug}")

    return found


def _show(path: str) -> Response:
    page = every_page().get(path)
    if page is None:
        raise NotFound("there is no such problem; GET /problems lists them all")
    return page.show()


@cache
def every_page() -> Mapping[str, Page]:
    """Give them by path: made once in a process, for nothing in them depends on settings."""
    templates = _templates()
    shown = [kind for kind in problems.KINDS.values() if kind.slug in EXPLANATIONS]
    described = openapi()
    frame = {
        "title": introduction.TITLE,
        "summary": introduction.SUMMARY,
        "version": described["info"]["version"],
        "assets": every_asset().base,
    }

    def html(name: str, here: str, **values: object) -> Page:
        return Page(templates.get_template(name).render(**frame, here=here, **values), "text/html; charset=utf-8")

    told = {"operations": operations(described), "schemas": schemas(described), "told": introduction.TOLD}
    return {
        "/docs": html("docs.html", "/docs", **told),
        "/docs/style.css": Page((_HERE / "static" / "style.css").read_text(), "text/css; charset=utf-8"),
        "/openapi.json": Page(json.dumps(described, ensure_ascii=False) + "\n", "application/json"),
        "/problems": html("problems.html", "/problems", kinds=shown),
        **{problems.type_of(kind.slug): html("problem.html", "/problems", **_explained(kind)) for kind in shown},
    }


def _explained(kind: problems.Kind) -> dict[str, object]:
    told = EXPLANATIONS[kind.slug]
    body = {"type": problems.type_of(kind.slug), "title": kind.title, "status": kind.status, "detail": told.example}
    example = json.dumps({**body, **(told.values or {})}, indent=2, ensure_ascii=False)
    routes = [route for route in ROUTES if kind.slug in route.slugs]
    return {"kind": kind, "told": told, "example": example, "routes": routes, "media": PROBLEM_TYPE}


def _templates() -> Environment:
    found = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["prose"] = prose
    found.filters["inline"] = marked
    return found


def prose(text: str) -> Markup:
    """Make paragraphs of what blank lines part."""
    return Markup("\n").join(Markup("<p>{}</p>").format(marked(part)) for part in text.split("\n\n"))
