"""The description as the pages show it: OpenAPI in, rows and examples out. Pure."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

# A bound above this one says nothing to a reader.
_TELLING: Final = 1_000_000
_REFERENCE: Final = "#/components/schemas/"


@dataclass(frozen=True, slots=True)
class Row:
    """A parameter or a member. ``kind``: its type in words. ``schema``: the name of the shape that it has, or empty.
    ``note``: what is remarkable about it being there.
    """

    name: str
    kind: str
    means: str
    note: str = ""
    schema: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    what: str
    text: str


@dataclass(frozen=True, slots=True)
class Reply:
    """``slugs``: the problems that it may be."""

    status: str
    means: str
    media: str
    schema: str
    slugs: tuple[str, ...]
    headers: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    id: str
    tag: str
    method: str
    path: str
    summary: str
    text: str
    public: bool
    parameters: tuple[tuple[str, tuple[Row, ...]], ...]
    body: str
    requests: tuple[Example, ...]
    replies: tuple[Reply, ...]
    answer: str


def operations(document: Mapping[str, Any]) -> list[Operation]:
    """Give them in the order of their tags."""
    tags = [tag["name"] for tag in document["tags"]]
    found = [
        _operation(method, path, told)
        for path, methods in document["paths"].items()
        for method, told in methods.items()
    ]
    return sorted(found, key=lambda operation: tags.index(operation.tag))


def schemas(document: Mapping[str, Any]) -> dict[str, tuple[str, list[Row]]]:
    """Give what each named shape is, and its members."""
    shapes: Mapping[str, Any] = document["components"]["schemas"]
    return {name: (shape.get("description", ""), _members(shape)) for name, shape in shapes.items()}


def _members(shape: Mapping[str, Any]) -> list[Row]:
    properties, needed = shape.get("properties", {}), shape.get("required", ())
    # What is asked for may be left out as a rule, and what is answered is there as a rule: the other is noted.
    answered = 2 * len(needed) > len(properties)
    return [
        Row(name, kind_of(inner), inner.get("description", ""), _note(answered, name in needed), _named(inner))
        for name, inner in properties.items()
        if inner.get("not") != {}  # one that must not be there
    ]


def _note(answered: bool, needed: bool) -> str:  # noqa: FBT001 - two sides of one table
    return {(True, False): "not always there", (False, True): "required"}.get((answered, needed), "")


def kind_of(schema: Mapping[str, Any]) -> str:
    """Say in a few words what a value is.

    >>> kind_of({"type": ["string", "null"]}), kind_of({"type": "array", "items": {"$ref": "#/components/schemas/Job"}})
    ('text or null', 'list of Job')
    >>> kind_of({"enum": ["a", "b"]}), kind_of({"type": "integer", "minimum": 1, "maximum": 100})
    ('a, b', 'whole number, 1 to 100')
    """
    if named := _named(schema):
        return f"list of {named}" if schema.get("type") == "array" else named
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return ", ".join(value or "(empty)" for value in schema["enum"])
    if choices := schema.get("anyOf"):
        return " or ".join(dict.fromkeys(kind_of(choice) for choice in choices))
    types = schema.get("type", "anything")
    words = " or ".join(_WORDS.get(kind, kind) for kind in ([types] if isinstance(types, str) else types))
    if "minimum" in schema and schema.get("maximum", math.inf) <= _TELLING:
        words += f", {schema['minimum']} to {schema['maximum']}"
    return words + (f", {schema['format']}" if "format" in schema else "")


_WORDS: Final = {"string": "text", "integer": "whole number", "boolean": "true or false", "array": "list"}


def _named(schema: Mapping[str, Any]) -> str:
    inner: Any = schema.get("items", schema) if schema.get("type") == "array" else schema
    for one in (inner, *inner.get("anyOf", ()), *inner.get("allOf", ())):
        if "$ref" in one:
            return str(one["$ref"].removeprefix(_REFERENCE))
    return ""


def _operation(method: str, path: str, told: Mapping[str, Any]) -> Operation:
    content = told.get("requestBody", {}).get("content", {})
    first: Mapping[str, Any] = next(iter(content.values()), {})
    return Operation(
        id=told["operationId"],
        tag=told["tags"][0],
        method=method.upper(),
        path=path,
        summary=told["summary"],
        text=told.get("description", ""),
        public=told.get("security") == [],
        parameters=tuple(_grouped(told.get("parameters", ()))),
        body=_named(first.get("schema", {})),
        requests=tuple(Example(each["summary"], _pretty(each["value"])) for each in first.get("examples", {}).values()),
        replies=tuple(_reply(status, answer) for status, answer in told["responses"].items()),
        answer=_example_of(told["responses"].values()),
    )


def _grouped(given: Sequence[Mapping[str, Any]]) -> list[tuple[str, tuple[Row, ...]]]:
    titles = {"path": "In the path", "query": "In the query", "header": "Headers"}
    rows = {where: tuple(_parameter(one) for one in given if one["in"] == where) for where in titles}
    return [(titles[where], found) for where, found in rows.items() if found]


def _parameter(given: Mapping[str, Any]) -> Row:
    schema = given["schema"]
    name = f"{given['name']}.<key>" if "propertyNames" in schema else given["name"]
    kind = "text" if "propertyNames" in schema else kind_of(schema)
    default = f"; without it {schema['default']}" if "default" in schema else ""
    return Row(name, kind + default, given["description"], "required" if given.get("required") else "")


def _reply(status: str, answer: Mapping[str, Any]) -> Reply:
    contents: Mapping[str, Any] = answer.get("content", {"": {}})
    media, content = next(iter(contents.items()))
    schema = content.get("schema", {})
    kinds = schema["allOf"][1]["properties"]["type"]["enum"] if media.startswith("application/problem") else ()
    headers = tuple(Row(name, "", told["description"]) for name, told in answer.get("headers", {}).items())
    slugs = tuple(kind.rpartition("/")[2] for kind in kinds)
    return Reply(status, answer["description"], media, "" if kinds else _named(schema), slugs, headers)


def _example_of(answers: Any) -> str:
    for answer in answers:
        for content in answer.get("content", {}).values():
            if "example" in content:
                example = content["example"]
                return example if isinstance(example, str) else _pretty(example)
    return ""


def _pretty(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
