"""The one description of the API: whole, true to itself, and never apart from the routes there are."""

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from flask.testing import FlaskClient
from werkzeug.routing import Map, Rule

from receiver import problems
from receiver.description.document import ROUTES, Undescribed, check, openapi


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return json.loads(json.dumps(openapi()))


def validator(described: dict[str, Any], schema: Any) -> jsonschema_rs.Validator:
    """The document itself holds what ``$ref`` refers to."""
    return jsonschema_rs.Draft202012Validator({**schema, "components": described["components"]})


def operations(described: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def every_example(described: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name, operation in operations(described):
        for given in operation.get("parameters", ()):
            if "example" in given:
                yield f"{name} {given['name']}", given["schema"], given["example"]
        contents = [operation.get("requestBody", {}), *operation["responses"].values()]
        for content in [each for one in contents for each in one.get("content", {}).values()]:
            examples = [one["value"] for one in content.get("examples", {}).values()]
            for example in examples + ([content["example"]] if "example" in content else []):
                yield name, content["schema"], example


def test_every_example_is_what_its_schema_says(described):
    found = list(every_example(described))
    assert len(found) > 20
    for name, schema, example in found:
        errors = [error.message for error in validator(described, schema).iter_errors(example)]
        assert errors == [], name


def test_it_is_openapi(described):
    import schemathesis  # noqa: PLC0415 - a third of a second, which whoever collects the tests should not spend

    loaded = schemathesis.openapi.from_dict(described)
    loaded.validate()
    assert all(result.ok() is not None for result in loaded.get_all_operations())


def test_every_operation_has_a_name_of_its_own(described):
    names = [operation["operationId"] for _, operation in operations(described)]
    assert sorted(set(names)) == sorted(names)
    assert not set(names) & set(described["components"]["schemas"]), "both are anchors of one page"


def test_every_shape_is_used(described):
    text = json.dumps(described)
    for name in described["components"]["schemas"]:
        assert f'"#/components/schemas/{name}"' in text, name


def test_only_what_needs_no_token_says_so(described, client):
    for name, operation in operations(described):
        method, path = name.split(" ")
        answer = client.open(re.sub(r"\{\w+\}", "1", path), method=method)
        wants_token = answer.status_code == 401 and "ADMIN_TOKEN" in answer.json["detail"]
        assert (operation.get("security") != []) is wants_token, name


def test_it_is_served_to_anybody_and_may_be_kept(client: FlaskClient):
    answer = client.get("/openapi.json")
    assert answer.json == json.loads(json.dumps(openapi()))
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    again = client.get("/openapi.json", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_routes_and_description_are_the_same(app):
    check(app.url_map)


def test_a_route_that_is_not_described_is_found_out(app):
    app.url_map.add(Rule("/api/jobs/<name>/secret/<int:n>", methods=["PATCH"], endpoint="secret"))
    with pytest.raises(Undescribed, match=re.escape("not described: ['PATCH /api/jobs/{name}/secret/{n}']")):
        check(app.url_map)


def test_a_method_that_is_not_described_is_found_out(app):
    app.url_map.add(Rule("/api/budget", methods=["PUT"], endpoint="other"))
    with pytest.raises(Undescribed, match="PUT /api/budget"):
        check(app.url_map)


def test_a_description_without_a_route_is_found_out(app):
    rules = [rule.empty() for rule in app.url_map.iter_rules() if rule.rule != "/api/budget"]
    with pytest.raises(Undescribed, match=re.escape("not there: ['GET /api/budget']")):
        check(Map(rules))


def test_every_problem_of_a_route_is_one_that_there_is():
    for route in ROUTES:
        assert set(route.slugs) <= set(problems.KINDS), route.id
        assert not {problems.KINDS[slug].status for slug in route.slugs} & set(route.answers), route.id
