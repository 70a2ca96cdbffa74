import inspect
import json

import pytest
from flask import Flask
from werkzeug.exceptions import ImATeapot

from receiver import problems
from receiver.explanations import EXPLANATIONS
from workers import errors


def every_error() -> list[type[errors.ServiceError]]:
    found = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, errors.ServiceError)]
    assert len(found) > 15
    return found


def one(cls: type[errors.ServiceError]) -> errors.ServiceError:
    match cls:
        case errors.InvalidSettings:
            return cls(["one problem"])
        case errors.UpstreamUnavailable:
            return cls("words", sent=True)
        case errors.UpstreamRefused:
            return cls("words", status=400, kind="bad-request")
    return cls("words")


@pytest.fixture
def raising() -> Flask:
    app = Flask(__name__)
    problems.install(app)
    return app


@pytest.mark.parametrize("cls", every_error())
def test_every_error_has_a_problem(cls, raising):
    with raising.test_request_context("/"):
        answer = problems.of_error(one(cls)).answer()
    assert answer.content_type == "application/problem+json"
    assert 400 <= answer.status_code < 600
    body = json.loads(answer.data)
    assert set(body) >= {"type", "title", "status", "detail"}
    assert body["status"] == answer.status_code


@pytest.mark.parametrize(
    "cls",
    [errors.LedgerUnavailable, errors.StoreUnavailable, errors.InvalidSettings, errors.TooLarge, errors.ServiceError],
)
def test_our_own_faults_are_no_4xx(cls):
    assert problems.kind_of(one(cls)).status >= 500


def test_what_crashes_tells_nothing(raising):
    @raising.route("/")
    def crash() -> str:
        raise ZeroDivisionError("secret number")

    answer = raising.test_client().get("/")
    assert answer.status_code == 500
    assert answer.content_type == "application/problem+json"
    assert "secret" not in answer.text
    assert "Zero" not in answer.text


def test_long_and_strange_values_are_cut_and_written():
    answer = problems.Problem(
        problems.Kind(400, "x", "X"), "d", values={"a": "y" * 5000, "b": object(), "c": float("inf"), "d": None}
    ).answer()
    body = json.loads(answer.data, parse_constant=pytest.fail)
    assert len(body["a"]) == 300
    assert body["d"] is None


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nowhere", 404), ("POST", "/", 405), ("POST", "/healthz", 405)]
)
def test_flasks_own_errors_are_problems(client, method, path, status):
    answer = client.open(path, method=method)
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("method", ["GET", "PATCH", "OPTIONS", "TRACE"])
def test_a_method_that_is_not_taken_names_those_that_are(client, method):
    answer = client.open("/api/callbacks", method=method)
    assert (answer.status_code, answer.json["type"]) == (405, "/problems/method-not-allowed")
    assert answer.headers["Allow"] == "POST"


def test_every_problem_is_explained_and_nothing_else_is():
    assert set(EXPLANATIONS) == set(problems.KINDS)


def test_a_slug_means_one_thing():
    kinds = [*problems.TABLE.values(), *problems.KINDS.values()]
    assert {(kind.slug, kind.status, kind.title) for kind in kinds} == {
        (kind.slug, kind.status, kind.title) for kind in problems.KINDS.values()
    }


def test_a_status_without_a_meaning_of_its_own_has_no_type_either(raising):
    @raising.route("/")
    def brew() -> str:
        raise ImATeapot

    answer = raising.test_client().get("/")
    assert (answer.status_code, answer.json["type"]) == (418, "about:blank")
