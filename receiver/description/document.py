"""OpenAPI 3.1, made of what the parts say of their routes."""

import re
from typing import Any, Final

from werkzeug.routing import Map

from receiver import problems
from receiver.description import (
    allowance,
    console,
    deliveries,
    door,
    events,
    files,
    introduction,
    jobs,
    pages,
    parameters,
    remedies,
    service,
    storage,
    workforce,
)
from receiver.description.routes import Answer, Body, Parameter, Route, Schema, ref
from workers.errors import PermanentError
from workers.release import version

# Each has ROUTES and SCHEMAS. The order is that of the pages.
PARTS: Final = (door, jobs, events, files, remedies, deliveries, allowance, storage, workforce, service, pages)
ROUTES: Final[tuple[Route, ...]] = tuple(route for part in PARTS for route in part.ROUTES)
PROBLEM_TYPE: Final = "application/problem+json"
_BEARER: Final = "adminToken"
_TOKENS: Final = "The `ADMIN_TOKEN`; for `GET` the `VIEWER_TOKEN` is as good."
_PLACE = re.compile(r"<(?:[^:<>]+:)?(\w+)>")
_IMPLICIT: Final = {"HEAD", "OPTIONS"}
_PROBLEM: Final[Schema] = {
    "type": "object",
    "properties": {
        "type": {
            "type": "string",
            "format": "uri-reference",
            "description": "`/problems/<slug>`; says which one it is.",
        },
        "title": {"type": "string"},
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": {"type": "string", "description": "The cause and the fix, for people."},
    },
    "required": ["type", "title", "status", "detail"],
    "description": "RFC 9457. Other members tell more: `ref` of a submission, `upstream_status` of Swiftia, `limit`.",
}


class Undescribed(PermanentError):
    """The application and its description name different routes."""


def path_of(rule: str) -> str:
    """Write Flask's rule as OpenAPI writes it.

    >>> path_of("/api/jobs/<name>/renders/<int:n>/file")
    '/api/jobs/{name}/renders/{n}/file'
    """
    return _PLACE.sub(r"{\1}", rule)


def check(served: Map) -> None:
    """Raise Undescribed unless the routes that are served are those that are described, and the console's."""
    there = {
        f"{method} {path_of(rule.rule)}"
        for rule in served.iter_rules()
        for method in (rule.methods or set()) - _IMPLICIT
    }
    told = {f"{route.method} {route.path}" for route in ROUTES}
    told |= {f"{screen.method} {screen.path}" for screen in console.SCREENS}
    if there != told:
        raise Undescribed(
            f"not described: {sorted(there - told)}; described and not there: {sorted(told - there)}; "
            "receiver/description/__init__.py tells how to describe a route"
        )


def openapi() -> dict[str, Any]:
    schemas: dict[str, Schema] = {"Problem": _PROBLEM}
    for part in PARTS:
        schemas |= part.SCHEMAS
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": introduction.TITLE,
            "summary": introduction.SUMMARY,
            "description": "\n\n".join(f"## {section.head}\n\n{section.text}" for section in introduction.TOLD),
            "version": version() or "0",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in ROUTES)],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {_BEARER: {"type": "http", "scheme": "bearer", "description": _TOKENS}},
        },
        "security": [{_BEARER: []}],
    }


def _operation(route: Route) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": route.id,
        "tags": [route.tag],
        "summary": route.summary,
        "responses": {str(status): _answer(answer) for status, answer in route.answers.items()} | _problems(route),
    }
    if route.text:
        found["description"] = route.text
    if given := _parameters(route):
        found["parameters"] = given
    if route.body:
        found["requestBody"] = _body(route.body)
    if route.public:
        found["security"] = []
    return found


def _parameters(route: Route) -> list[dict[str, Any]]:
    places = [parameters.PATH[name] for name in route.places]
    return [
        *(
            _parameter("path", place) | {"required": True, "schema": route.at.get(place.name, place.schema)}
            for place in places
        ),
        *(_parameter("query", each) for each in route.query),
        *(_parameter("header", each) for each in route.headers),
    ]


def _parameter(where: str, given: Parameter) -> dict[str, Any]:
    schema = dict(given.schema)
    found: dict[str, Any] = {"name": given.name, "in": where, "description": given.means, "schema": schema}
    if given.required:
        found["required"] = True
    if given.family:
        schema["propertyNames"] = {"pattern": f"^{re.escape(given.family)}[^&=]+$"}
        found |= {"style": "form", "explode": True}
    if given.example is not None:
        found["example"] = given.example
    return found


def _body(body: Body) -> dict[str, Any]:
    examples = {
        f"example{place}": {"summary": what, "value": value}
        for place, (what, value) in enumerate(body.examples.items(), 1)
    }
    content: dict[str, dict[str, Any]] = {media: {"schema": body.schema} for media in body.types}
    if examples:
        content[body.types[0]]["examples"] = examples
    return {"required": body.required, "content": content, **({"description": body.means} if body.means else {})}


def _answer(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = {"description": answer.means}
    if answer.content:
        found["content"] = {
            media: {"schema": content.schema, **({} if content.example is None else {"example": content.example})}
            for media, content in answer.content.items()
        }
    if answer.headers:
        found["headers"] = {
            name: {"description": means, "schema": {"type": "string"}} for name, means in answer.headers.items()
        }
    return found


def _problems(route: Route) -> dict[str, Any]:
    by_status: dict[int, list[problems.Kind]] = {}
    for slug in dict.fromkeys(route.slugs):
        kind = problems.KINDS[slug]
        by_status.setdefault(kind.status, []).append(kind)
    return {str(status): _problem(kinds) for status, kinds in sorted(by_status.items())}


def _problem(kinds: list[problems.Kind]) -> dict[str, Any]:
    types = {"type": "object", "properties": {"type": {"enum": [problems.type_of(kind.slug) for kind in kinds]}}}
    found: dict[str, Any] = {
        "description": " Or: ".join(f"{kind.title} (`{kind.slug}`)." for kind in kinds),
        "content": {PROBLEM_TYPE: {"schema": {"allOf": [ref("Problem"), types]}}},
    }
    headers = {
        **({"Retry-After": "Seconds until it is worth trying again."} if any(k.retry_after for k in kinds) else {}),
        **({"WWW-Authenticate": "Which key is wanted."} if any(k.slug == "unauthorized" for k in kinds) else {}),
    }
    if headers:
        found["headers"] = {
            name: {"description": means, "schema": {"type": "string"}} for name, means in headers.items()
        }
    return found
