"""A request as it came, and the routes that answer it."""

import re
from dataclasses import dataclass

_ROUTES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (r"/api/jobs/?", "/api/jobs", ("POST",)),
    (r"/api/jobs/([^/]+)", "/api/jobs/{id}", ("GET",)),
    (r"/api/render/?", "/api/render", ("POST",)),
    (r"/api/render/([^/]+)", "/api/render/{id}", ("GET",)),
    (r"/api/uploads", "/api/uploads", ("GET",)),
    (r"/api/uploads/files/([^/]+)", "/api/uploads/files/{id}", ("GET", "DELETE")),
    (r"/api/organizations/brandings", "/api/organizations/brandings", ("GET",)),
    (r"/media/(.+)", "/media", ("GET", "HEAD")),
    (r"/", "/", ("GET", "HEAD")),
    (r"/__books", "/__books", ("GET",)),
    (r"/__config", "/__config", ("GET", "POST")),
    (r"/__reset", "/__reset", ("POST",)),
)
_COMPILED = tuple((re.compile(pattern, re.ASCII), name, methods) for pattern, name, methods in _ROUTES)


@dataclass(frozen=True, slots=True)
class Request:
    """The last three are headers, "" where they were not sent."""

    method: str
    path: str
    query: str
    body: bytes
    authorization: str = ""
    content_type: str = ""
    wanted_range: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """``name`` is the path's pattern; ``argument`` what stood in its place, "" for none."""

    name: str
    methods: tuple[str, ...]
    argument: str = ""


def find_route(path: str) -> Route | None:
    for pattern, name, methods in _COMPILED:
        if match := pattern.fullmatch(path):
            return Route(name, methods, match[1] if match.groups() else "")
    return None
