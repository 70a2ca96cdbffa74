"""The words that a route is described in. Plain values; ``document`` makes OpenAPI of them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Schema = Mapping[str, Any]

# What any route of the API can answer besides what is its own.
COMMON: Final = ("invalid-input", "unauthorized", "internal", "ledger-unavailable")
_PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Parameter:
    """Of the query, of the path, or a header. ``family``: stands for all parameters whose names its schema allows."""

    name: str
    schema: Schema
    means: str
    required: bool = False
    example: object = None
    family: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """``example``: one value as it looks; None for none."""

    schema: Schema
    example: object = None


@dataclass(frozen=True, slots=True)
class Body:
    """``examples``: by a line that says what each one is for."""

    schema: Schema
    examples: Mapping[str, object] = field(default_factory=dict)
    required: bool = True
    types: tuple[str, ...] = ("application/json",)
    means: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """``content``: by media type. ``headers``: what each one tells."""

    means: str
    content: Mapping[str, Content] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Route:
    """``path`` as OpenAPI writes it. ``at``: schemas of path parameters where they are not the usual ones."""

    method: str
    path: str
    id: str
    tag: str
    summary: str
    answers: Mapping[int, Answer]
    text: str = ""
    query: tuple[Parameter, ...] = ()
    headers: tuple[Parameter, ...] = ()
    body: Body | None = None
    problems: tuple[str, ...] = ()
    public: bool = False
    at: Mapping[str, Schema] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        return shown(self.method, self.path)

    @property
    def places(self) -> tuple[str, ...]:
        """The names of its path parameters."""
        return tuple(_PLACE.findall(self.path))

    @property
    def slugs(self) -> tuple[str, ...]:
        """Every problem that it can answer with."""
        if self.public:
            return self.problems
        return (*self.problems, *COMMON, *(() if self.method == "GET" else ("read-only",)))


_SHOWN: Final = {"name": "id"}


def shown(method: str, path: str) -> str:
    """How people write it: ``GET /api/jobs/<id>/renders/<n>/file``."""
    return f"{method} {_PLACE.sub(lambda place: f'<{_SHOWN.get(place[1], place[1])}>', path)}"


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def json_content(schema: Schema, example: object = None) -> dict[str, Content]:
    return {"application/json": Content(schema, example)}


def record(members: Mapping[str, Schema], *, optional: tuple[str, ...] = (), **more: Any) -> Schema:
    """An object of an answer: every member is there unless it is named in ``optional``."""
    return {
        "type": "object",
        "properties": dict(members),
        "required": [name for name in members if name not in optional],
        **more,
    }


def closed(members: Mapping[str, Schema], **more: Any) -> Schema:
    """An object of a request: no member is needed, and no other one is taken."""
    return {"type": "object", "properties": dict(members), "additionalProperties": False, **more}


def said(schema: Schema, means: str) -> Schema:
    return {**schema, "description": means}


def maybe(kind: str, means: str = "", **more: Any) -> Schema:
    """A member that can be null."""
    return {"type": [kind, "null"], **({"description": means} if means else {}), **more}


def texts(means: str = "", **more: Any) -> Schema:
    return {"type": "string", **({"description": means} if means else {}), **more}


def count(means: str = "", **more: Any) -> Schema:
    return {"type": "integer", "minimum": 0, **({"description": means} if means else {}), **more}


def number(means: str = "", **more: Any) -> Schema:
    return {"type": "number", **({"description": means} if means else {}), **more}


def choice(values: Iterable[str], means: str = "") -> Schema:
    """One of some words, such as the members of an enumeration."""
    return texts(means, enum=[str(value) for value in values])


def listed(schema: Schema, means: str = "") -> Schema:
    return {"type": "array", "items": schema, **({"description": means} if means else {})}
