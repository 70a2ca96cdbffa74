"""Submitting, watching, listing and showing jobs; a stand-in for Submissions where Swiftia would speak."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from receiver.app import create_app
from workers.errors import (
    Busy,
    CredentialsRefused,
    RateLimited,
    ServiceError,
    UnreadableAnswer,
    UpstreamRefused,
    UpstreamUnavailable,
)
from workers.idempotency import IdempotencyMismatch
from workers.identifiers import JobSubject
from workers.paths import result_path
from workers.services import Services
from workers.submissions import Submission

REF = "r" * 22
ORDER = {"functionName": "VideoShorts", "youtubeVideoId": "abcdefghijk"}


class Desk:
    """Stands for Submissions: remembers what it was asked, answers what it was told to."""

    def __init__(self, answer: Submission | ServiceError) -> None:
        self.answer = answer
        self.asked: list[tuple[dict[str, object], dict[str, Any]]] = []

    def submit(self, request: dict[str, object], **options: Any) -> Submission:
        self.asked.append((request, options))
        if isinstance(self.answer, ServiceError):
            raise self.answer
        return self.answer


@pytest.fixture
def at_desk(services: Services, admin_of: Callable[..., FlaskClient]) -> Callable[..., tuple[FlaskClient, Desk]]:
    def sit(answer: Submission | ServiceError) -> tuple[FlaskClient, Desk]:
        desk = Desk(answer)
        return admin_of(create_app(replace(services, submissions=desk))), desk

    return sit


def test_a_submission_is_answered_with_the_job(at_desk, services):
    services.ledger.link("", "job_1", first_ms=1000, by="test")
    client, desk = at_desk(Submission(REF, "job_1", "waiting"))
    answer = client.post("/api/jobs", json={**ORDER, "metadata": {"order": 7}, "render": False})
    assert answer.status_code == 201
    assert answer.headers["Location"] == "/api/jobs/job_1"
    assert (answer.json["id"], answer.json["state"], answer.json["shorts"]) == ("job_1", "waiting", [])
    assert desk.asked == [
        (
            ORDER,
            {
                "metadata": {"order": 7},
                "render": False,
                "idempotency_key": None,
                "wait": True,
                "account": None,
                "delivery": None,
            },
        ),
    ]


def test_idempotency_key_and_preference_are_passed_on(at_desk):
    client, desk = at_desk(Submission(REF, None, "waiting"))
    headers = {"Idempotency-Key": "k 1", "Prefer": "wait=10, Respond-Async"}
    answer = client.post("/api/jobs", json=ORDER, headers=headers)
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/api/jobs/{REF}"
    assert answer.headers["Preference-Applied"] == "respond-async"
    assert (desk.asked[0][1]["idempotency_key"], desk.asked[0][1]["wait"]) == ("k 1", False)


def test_a_replay_says_so(at_desk):
    client, _ = at_desk(Submission(REF, "job_1", "waiting", replayed=True))
    answer = client.post("/api/jobs", json=ORDER)
    assert answer.headers["Idempotency-Replayed"] == "true"


def test_a_submitted_job_that_cannot_be_looked_at_is_still_a_submitted_job(at_desk):
    client, _ = at_desk(Submission(REF, "job_1", "waiting"))
    answer = client.post("/api/jobs", json=ORDER)
    assert answer.status_code == 201
    assert answer.json == {"id": "job_1", "ref": REF, "state": "waiting", "reason": None}


@pytest.mark.parametrize(
    ("error", "status", "slug"),
    [
        (UpstreamRefused("full", status=403, kind="storage-full", used=5.0), 403, "storage-full"),
        (UpstreamRefused("phone", status=403, kind="phone-verification"), 403, "phone-verification"),
        (UpstreamRefused("poor", status=403, kind="no-credit"), 403, "no-credit"),
        (UpstreamRefused("no", status=403, kind="forbidden"), 403, "swiftia-forbidden"),
        (UpstreamRefused("bad", status=400, kind="bad-request"), 400, "swiftia-bad-request"),
        (UpstreamRefused("odd", status=418, kind="refused"), 422, "swiftia-refused"),
        (CredentialsRefused("key", status=401), 502, "swiftia-credentials"),
        (RateLimited("slow", retry_after=2.2), 429, "swiftia-rate-limit"),
        (Busy("later", retry_after=3), 429, "busy"),
        (IdempotencyMismatch("other"), 422, "idempotency-key-reused"),
        (UpstreamUnavailable("down", sent=True), 502, "swiftia-unavailable"),
        (UpstreamUnavailable("down", sent=True, ref=REF), 502, "submission-unsure"),
        (UpstreamUnavailable("down", sent=False), 503, "swiftia-unreachable"),
        (UnreadableAnswer("what"), 502, "swiftia-unreadable"),
    ],
)
def test_what_swiftia_says_becomes_a_problem(at_desk, error, status, slug):
    client, _ = at_desk(error)
    answer = client.post("/api/jobs", json=ORDER)
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    assert answer.json["type"] == f"/problems/{slug}"
    assert answer.json["status"] == status
    assert answer.json["detail"].startswith(error.message)
    if error.values.get("ref"):
        assert answer.json["ref"] == REF
    if getattr(error, "retry_after", None):
        assert answer.headers["Retry-After"] == str(-int(-error.retry_after // 1))


def test_values_of_an_error_never_replace_the_members_of_a_problem(at_desk):
    client, _ = at_desk(CredentialsRefused("key", status=401, title="other", type="other", detail=b"x"))
    answer = client.post("/api/jobs", json=ORDER)
    assert (answer.json["status"], answer.json["upstream_status"]) == (502, 401)
    assert answer.json["type"] == "/problems/swiftia-credentials"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "UTF-8 JSON"),
        (b"nothing", "UTF-8 JSON"),
        (b"[]", "no JSON object"),
        (b'"text"', "no JSON object"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":"\\ud800"}', "surrogate"),
        (b'{"a":' + b"[" * 70 + b"]" * 70 + b"}", "nested deeper"),
        (b'{"a":' + b"[" * 9000 + b"]" * 9000 + b"}", "nested too deeply"),
        (b'{"functionName":"VideoShorts","webhook":"https://x"}', "webhook is set by this service"),
        (b'{"functionName":"VideoShorts","webhook":null}', "webhook is set by this service"),
        (b'{"functionName":"VideoShorts","render":1}', "render is true, false"),
        (b'{"functionName":"VideoShorts","metadata":"' + b"x" * 16_384 + b'"}', "metadata is larger than 16384"),
    ],
)
def test_a_body_that_cannot_be_used_is_refused_before_anything_is_asked(at_desk, body, words):
    client, desk = at_desk(Submission(REF, None, "waiting"))
    answer = client.post("/api/jobs", data=body)
    assert answer.status_code == 400
    assert words in answer.json["detail"]
    assert desk.asked == []


def test_metadata_may_be_any_json_of_16_kib(at_desk):
    client, desk = at_desk(Submission(REF, None, "waiting"))
    for metadata in ("x" * 16_382, [1, {"a": None}], 7, False):
        assert client.post("/api/jobs", json={**ORDER, "metadata": metadata}).status_code == 202
        assert desk.asked[-1][1]["metadata"] == metadata


@pytest.mark.parametrize("key", ["", "x" * 256, "ä", "a\tb"])
def test_an_idempotency_key_is_checked(at_desk, key):
    client, desk = at_desk(Submission(REF, None, "waiting"))
    assert client.post("/api/jobs", json=ORDER, headers={"Idempotency-Key": key}).status_code == 400
    assert desk.asked == []


def test_a_body_over_a_megabyte_is_too_large(api):
    assert api.post("/api/jobs", data=b" " * ((1 << 20) + 1)).status_code == 413


@pytest.mark.usefixtures("services")
def test_without_swiftia_a_submission_is_a_503_and_leaves_nothing(api):
    answer = api.post("/api/jobs", json=ORDER)
    assert answer.status_code == 503
    assert answer.json["type"] == "/problems/swiftia-unreachable"
    assert api.get("/api/jobs").json["jobs"] == []


def test_a_queued_submission_is_seen_under_its_ref(api):
    answer = api.post("/api/jobs", json=ORDER, headers={"Prefer": "respond-async"})
    assert answer.status_code == 202
    assert answer.json["id"] is None
    shown = api.get(answer.headers["Location"])
    assert shown.json["ref"] == answer.json["ref"]
    assert shown.json["state"] == "waiting"
    assert [job["id"] for job in api.get("/api/jobs?state=waiting").json["jobs"]] == [None]


@pytest.mark.usefixtures("services")
def test_a_callback_url_opens_the_door_and_carries_the_metadata(api, client):
    made = api.post("/api/callbacks", json={"metadata": {"order": 7}})
    assert made.status_code == 201
    assert made.json["url"].startswith(f"https://hooks.example.org/webhooks/swiftia/{made.json['ref']}.")
    path = made.json["url"].removeprefix("https://hooks.example.org")
    assert client.post(path, data=b'{"id":"job_1"}').status_code == 202
    assert api.get("/api/jobs/job_1").json["metadata"] == {"order": 7}


def test_the_shared_url_is_told(api, client):
    url = api.post("/api/callbacks", json={"shared": True}).json["url"]
    assert client.post(url.removeprefix("https://hooks.example.org"), data=b'{"id":"job_1"}').status_code == 202


@pytest.mark.parametrize("body", [{"shared": 1}, {"shared": True, "metadata": 1}, {"metdata": 1}, {"render": "yes"}])
def test_a_callback_order_with_something_strange_is_refused(api, redis, body):
    assert api.post("/api/callbacks", json=body).status_code == 400
    assert redis.dbsize() == 0


def test_watching_a_job_from_elsewhere(api):
    first, second = api.put("/api/jobs/job_1"), api.put("/api/jobs/job_1", json={})
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json["state"] == "waiting"


def test_watching_with_a_ref_joins_the_two(api):
    ref = api.post("/api/callbacks").json["ref"]
    assert api.put("/api/jobs/job_1", json={"ref": ref}).json["ref"] == ref
    assert api.put("/api/jobs/job_2", json={"ref": ref}).status_code == 409


@pytest.mark.parametrize(("name", "body"), [("a b", {}), ("j", {"ref": 7}), ("j", {"ref": "short"}), ("j", {"x": 1})])
def test_watching_something_strange_is_refused(api, redis, name, body):
    assert api.put(f"/api/jobs/{name}", json=body).status_code == 400
    assert redis.dbsize() == 0


def test_listing_page_by_page(api, services):
    for n in range(5):
        services.ledger.link("", f"job_{n}", first_ms=1000, by="test")
    seen, cursor = [], None
    for _ in range(3):
        page = api.get("/api/jobs", query_string={"limit": 2} | ({"cursor": cursor} if cursor else {})).json
        seen += [job["id"] for job in page["jobs"]]
        cursor = page["next"]
    assert sorted(seen) == [f"job_{n}" for n in range(5)]
    assert cursor is None


@pytest.mark.parametrize(
    "query", ["state=done", "limit=0", "limit=101", "limit=x", "limit=-1", "limit=99999999999", "cursor=x"]
)
def test_a_strange_listing_is_refused(api, query):
    answer = api.get(f"/api/jobs?{query}")
    assert answer.status_code == 400
    assert answer.content_type == "application/problem+json"


def test_the_shorts_of_a_job_come_from_the_kept_result(api, services):
    services.ledger.link("", "job_1", first_ms=1000, by="test")
    record = services.ledger.claim(JobSubject("job_1"), "fetch")
    services.ledger.plan(record, [], {"shorts": 1})
    assert api.get("/api/jobs/job_1").json["shorts"] == []
    short = {"id": 3, "title": "A", "text": "b", "startTime": 1, "endTime": 2.5}
    document = {"id": "job_1", "status": "COMPLETED", "data": {"shorts": [short]}}
    services.artifacts.put(result_path("job_1"), json.dumps(document).encode())
    shown = api.get("/api/jobs/job_1").json
    assert shown["shorts"] == [{"id": 3, "title": "A", "text": "b", "start": 1.0, "end": 2.5}]
    assert (shown["state"], shown["progress"]) == ("finished", 1.0)


@pytest.mark.parametrize("name", ["job_1", REF, "a b", "..", "%2e%2e%2fetc", "%00", "ä"])
def test_an_unknown_job_is_not_found(api, name):
    answer = api.get(f"/api/jobs/{name}")
    assert answer.status_code == 404
    assert answer.content_type == "application/problem+json"


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data"])
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/api/jobs"), ("POST", "/api/callbacks"), ("PUT", "/api/jobs/j")]
)
def test_a_body_that_says_that_it_is_no_json_is_refused(api, redis, method, path, content_type):
    answer = api.open(path, method=method, data=b"{}", content_type=content_type)
    assert (answer.status_code, answer.json["type"]) == (415, "/problems/unsupported-media-type")
    assert redis.dbsize() == 0


@pytest.mark.parametrize("content_type", [None, "application/json; charset=utf-8", "application/vnd.x+json"])
def test_a_body_of_some_json_or_of_no_type_is_read(api, content_type):
    assert api.open("/api/callbacks", method="POST", data=b"{}", content_type=content_type).status_code == 201


def test_a_job_that_has_not_changed_is_not_sent_again(api, services):
    services.ledger.link("", "job_1", first_ms=1000, by="test")
    first = api.get("/api/jobs/job_1")
    assert first.headers["Cache-Control"] == "private, no-cache"
    asked = {"If-None-Match": first.headers["ETag"]}
    again = api.get("/api/jobs/job_1", headers=asked)
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    services.ledger.accept(ref="", job_id="job_1", receipt="rc1", digest="d", meta={}, body=b"")
    changed = api.get("/api/jobs/job_1", headers=asked)
    assert changed.status_code == 200
    assert changed.headers["ETag"] != first.headers["ETag"]


def test_a_304_does_not_read_the_kept_result(api, services, admin_of):
    services.ledger.link("", "job_1", first_ms=1000, by="test")
    services.ledger.plan(services.ledger.claim(JobSubject("job_1"), "fetch"), [], {"shorts": 0})
    asked = {"If-None-Match": api.get("/api/jobs/job_1").headers["ETag"]}
    blind = admin_of(create_app(replace(services, artifacts=None)))
    assert blind.get("/api/jobs/job_1", headers=asked).status_code == 304


def test_a_page_that_has_not_changed_is_not_sent_again(api, services):
    services.ledger.link("", "job_1", first_ms=1000, by="test")
    asked = {"If-None-Match": api.get("/api/jobs?limit=1").headers["ETag"]}
    assert api.get("/api/jobs?limit=1", headers=asked).status_code == 304
    services.ledger.link("", "job_2", first_ms=1000, by="test")
    assert api.get("/api/jobs?limit=1", headers=asked).status_code == 200


@pytest.mark.parametrize(
    "metadata", ["words", "7", "null", "", "{", "\u00a7", 7, True, [1, "a"], {"a": {"b": None}}, None]
)
def test_metadata_comes_back_as_it_was_given(api, metadata):
    made = api.post("/api/callbacks", json={"metadata": metadata}).json
    assert api.get(f"/api/jobs/{made['ref']}").json["metadata"] == metadata
    queued = api.post("/api/jobs", json={**ORDER, "metadata": metadata}, headers={"Prefer": "respond-async"}).json
    assert queued["metadata"] == metadata
    assert api.get("/api/jobs").json["jobs"][0]["metadata"] == metadata


def test_metadata_that_was_written_unquoted_hides_no_job(api, services, ref):
    services.ledger.open_ref(ref, state="queued", fields={"metadata": "words {"}, due_ms=0)
    assert api.get("/api/jobs").json["jobs"][0]["metadata"] == "words {"
