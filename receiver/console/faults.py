"""Errors as pages, for browsers: what a program gets as ``application/problem+json`` a person gets in words."""

import re
from typing import Final

from flask import Response, request

from receiver.console import shell
from receiver.console.visitors import Visitor, Visitors
from receiver.problems import KINDS, Problem, type_of

# What is for programs alone stays so, whatever a browser says that it would like.
_FOR_PROGRAMS: Final = re.compile(r"/(?:api|webhooks|metrics|healthz|readyz|openapi\.json|assets)(?:/|$)")
_TYPES: Final = ("application/problem+json", "application/json", "text/html")


class Faults:
    def __init__(self, visitors: Visitors) -> None:
        self._visitors = visitors

    def show(self, problem: Problem) -> Response:
        """Answer with a page where that is what was asked for."""
        if _FOR_PROGRAMS.match(request.path) or request.accept_mimetypes.best_match(_TYPES) != "text/html":
            return problem.answer()
        kind = problem.kind
        return shell.page(
            self._visitor(),
            "fault.html",
            status=kind.status,
            headers=problem.headers,
            title=kind.title,
            code=kind.status,
            detail=problem.detail,
            more=type_of(kind.slug) if kind.slug in KINDS else "",
        )

    def _visitor(self) -> Visitor | None:
        try:
            return self._visitors.of(request)
        except Exception:  # noqa: BLE001 - this page is shown because something fails
            return None
