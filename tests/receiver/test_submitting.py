"""``POST /api/jobs`` all the way to the sandbox, whose clock stands still so that it calls nobody."""

from collections.abc import Callable, Iterator

import pytest
from flask.testing import FlaskClient

from receiver.app import create_app
from workers.identifiers import JobSubject
from workers.sandbox import Sandbox, SandboxConfig
from workers.wiring import Services


def order(video: str) -> dict[str, object]:
    return {"functionName": "VideoShorts", "youtubeVideoId": video, "metadata": {"order": 7}}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SandboxConfig(port=0, rate_limit="1000/1s", seed="7"), now=lambda: 1_700_000_000.0) as running:
        yield running


@pytest.fixture
def submitting(
    sandbox: Sandbox, build_services: Callable[..., Services], admin_of: Callable[..., FlaskClient]
) -> Callable[..., FlaskClient]:
    def connect(**changes: str) -> FlaskClient:
        upstream = {"SWIFTIA_BASE_URL": sandbox.url, "SWIFTIA_API_KEY": sandbox.config.api_key}
        return admin_of(create_app(build_services(**{**upstream, **changes})))

    return connect


def test_a_job_is_submitted_with_a_callback_url_of_ours(submitting, sandbox, services):
    answer = submitting().post("/api/jobs", json=order("abcdefghijk"))
    assert answer.status_code == 201
    assert answer.json["id"] in sandbox.books()["jobs"]
    assert answer.json["metadata"] == {"order": 7}
    assert services.catalog.ref(answer.json["ref"]).subject == JobSubject(answer.json["id"])


def test_the_same_key_submits_once(submitting, sandbox):
    client = submitting()
    answers = [
        client.post("/api/jobs", json=order("abcdefghijk"), headers={"Idempotency-Key": "one"}) for _ in range(3)
    ]
    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert len({answer.json["id"] for answer in answers}) == 1
    assert [answer.headers.get("Idempotency-Replayed") for answer in answers] == [None, "true", "true"]
    assert len(sandbox.books()["jobs"]) == 1
    other = client.post("/api/jobs", json=order("another-one"), headers={"Idempotency-Key": "one"})
    assert other.status_code == 422


@pytest.mark.parametrize(
    ("video", "slug"),
    [("full-storage", "storage-full"), ("no-phone", "phone-verification"), ("no-credit", "no-credit")],
)
def test_refusals_name_the_cause_and_leave_nothing(submitting, video, slug):
    client = submitting()
    answer = client.post("/api/jobs", json=order(video))
    assert answer.status_code == 403
    assert answer.json["type"].endswith(f":{slug}")
    assert client.get("/api/jobs").json["jobs"] == []


def test_a_wrong_key_of_ours_is_not_the_callers_fault(submitting):
    answer = submitting(SWIFTIA_API_KEY="wrong").post("/api/jobs", json=order("abcdefghijk"))
    assert answer.status_code == 502
    assert answer.json["type"].endswith(":swiftia-credentials")


def test_a_spent_budget_asks_to_come_again(submitting):
    client = submitting(SWIFTIA_RATE_LIMIT="1/60s", SUBMIT_PATIENCE="0")
    assert client.post("/api/jobs", json=order("abcdefghijk")).status_code == 201
    answer = client.post("/api/jobs", json=order("abcdefghijl"))
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 61
