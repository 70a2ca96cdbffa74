"""``GET /``: what this is, for whoever opens it in a browser."""

from html import escape
from typing import Final

from flask import Blueprint, Response

from receiver.answers import GUARDED

ROUTES: Final = (
    ("POST /webhooks/swiftia/<token>", "where Swiftia says that a job is done; the URL comes with the job"),
    ("POST /api/jobs", "submit a job: Swiftia's own body, plus metadata and render"),
    ("POST /api/callbacks", "a callback URL for a job that you submit yourself"),
    ("PUT /api/jobs/<id>", "take care of a job that was submitted elsewhere"),
    ("GET /api/jobs?state=&cursor=&limit=", "list jobs, newest first"),
    ("GET /api/jobs/<id>", "one job whole: state, progress, shorts, renders, callbacks, timeline; a ref does too"),
    ("GET /api/jobs/<id>/result", "the kept result"),
    ("GET /api/jobs/<id>/renders/<n>/file", "a kept video; ranges are honoured"),
    ("GET /api/jobs/<id>/callbacks/<receipt>", "a callback's body as it was received"),
    ("POST /api/jobs/<id>/retry", "set a parked or failed job, or its renders, going again"),
    ("POST /api/jobs/retry?state=parked", "the same for all that are parked, or failed"),
    ("DELETE /api/jobs/<id>", "erase every trace of a job here"),
    ("GET /api/budget", "how many requests to Swiftia may leave now"),
    ("GET /healthz", "this process answers"),
    ("GET /readyz", "a callback could be stored now"),
)

_POLICY: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_HEADERS: Final = {**GUARDED, "Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer"}
_ROWS: Final = "\n".join(f"<dt><code>{escape(route)}</code></dt><dd>{escape(what)}</dd>" for route, what in ROUTES)
_PAGE: Final = f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>swiftia-receiver</title></head>
<body>
<h1>swiftia-receiver</h1>
<p>Takes Swiftia's callbacks, fetches the results, starts and watches the renders, and keeps the files.</p>
<p>What stands under <code>/api</code> wants the header <code>Authorization: Bearer &lt;ADMIN_TOKEN&gt;</code>, takes
and gives JSON, and answers errors as <code>application/problem+json</code>.</p>
<dl>
{_ROWS}
</dl>
</body>
</html>
"""


def blueprint() -> Blueprint:
    page = Blueprint("frontpage", __name__)
    page.add_url_rule("/", view_func=_show)
    return page


def _show() -> Response:
    return Response(_PAGE, headers=_HEADERS, content_type="text/html; charset=utf-8")
