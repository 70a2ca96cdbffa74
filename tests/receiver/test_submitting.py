"""``POST /api/jobs`` all the way to the sandbox, whose clock stands still so that it calls nobody."""

from collections.abc import Iterator

import pytest

from workers.identifiers import JobSubject
from workers.sandbox import Sandbox, SandboxConfig


def order(video: str) -> dict[str, object]:
    return {"functionName": "VideoShorts", "youtubeVideoId": video, "metadata": {"order": 7}}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SandboxConfig(port=0, rate_limit="1000/1s", seed="7"), now=lambda: 1_700_000_000.0) as running:
        yield running


def test_a_job_is_submitted_with_a_callback_url_of_ours(asking, sandbox, services):
    answer = asking().post("/api/jobs", json=order("abcdefghijk"))
    assert answer.status_code == 201
    assert answer.json["id"] in sandbox.books()["jobs"]
    assert answer.json["metadata"] == {"order": 7}
    assert services.catalog.ref(answer.json["ref"]).subject == JobSubject(answer.json["id"])


def test_the_same_key_submits_once(asking, sandbox):
    client = asking()
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
def test_refusals_name_the_cause_and_leave_nothing(asking, video, slug):
    client = asking()
    answer = client.post("/api/jobs", json=order(video))
    assert answer.status_code == 403
    assert answer.json["type"] == f"/problems/{slug}"
    assert client.get("/api/jobs").json["jobs"] == []


def test_a_wrong_key_of_ours_is_not_the_callers_fault(asking):
    answer = asking(SWIFTIA_API_KEY="wrong").post("/api/jobs", json=order("abcdefghijk"))
    assert answer.status_code == 502
    assert answer.json["type"] == "/problems/swiftia-credentials"


def test_a_spent_budget_asks_to_come_again(asking, sandbox):
    sandbox.configure(rate_headers=False)  # what it allows would be believed
    client = asking(SWIFTIA_RATE_LIMIT="1/60s", SUBMIT_PATIENCE="0")
    assert client.post("/api/jobs", json=order("abcdefghijk")).status_code == 201
    answer = client.post("/api/jobs", json=order("abcdefghijl"))
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 61


def test_what_is_certainly_wrong_is_not_sent_and_leaves_nothing(asking, sandbox, redis):
    wrong = {**order("abcdefghijk"), "options": {"predefinedShorts": [{"start": 9, "end": 3}]}}
    answer = asking().post("/api/jobs", json=wrong, headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json["type"].rpartition("/")[2]) == (400, "invalid-input")
    assert answer.json["field"] == "options.predefinedShorts[0].end"
    assert "a short ends after it starts" in answer.json["detail"]
    assert redis.keys("sr:*") == []
    assert sandbox.books()["jobs"] == {}


def test_what_is_only_unknown_is_sent_and_noted(asking, sandbox):
    client = asking()
    plain = client.post("/api/jobs", json=order("abcdefghijk"))
    assert "notes" not in plain.json
    noted = client.post("/api/jobs", json={**order("abcdefghijk"), "name": "x", "render": {"preset": "NEON"}})
    assert noted.status_code == 201
    parameter, preset = noted.json["notes"]
    assert "'name' is not known here" in parameter
    assert "preset 'NEON' is not known here" in preset
    assert len(sandbox.books()["jobs"]) == 2


@pytest.mark.parametrize(("query", "settings"), [("?dry_run=true", {}), ("", {"SUBMIT_DRY_RUN": "true"})])
def test_a_dry_run_tells_what_would_be_sent_and_changes_nothing(asking, sandbox, redis, query, settings):
    client = asking(**settings)
    headers = {"Idempotency-Key": "k", "Prefer": "respond-async"}
    answer = client.post(f"/api/jobs{query}", json={**order("abcdefghijk"), "name": "x"}, headers=headers)
    assert answer.status_code == 200
    (note,) = answer.json["notes"]
    assert "'name'" in note
    sent = {"functionName": "VideoShorts", "youtubeVideoId": "abcdefghijk", "name": "x"}
    webhook = "https://hooks.example.org/webhooks/swiftia/<token>"
    assert (answer.json["dry_run"], answer.json["request"]) == (True, {**sent, "webhook": webhook})
    assert redis.keys("*") == []
    assert sandbox.books()["jobs"] == {}


def test_a_dry_run_refuses_what_a_submission_would(asking):
    client = asking(SUBMIT_DRY_RUN="true")
    for changes in ({"youtubeVideoId": None}, {"account": "acme"}, {"delivery": 5}, {"render": {"shorts": "some"}}):
        assert client.post("/api/jobs", json={**order("abcdefghijk"), **changes}).status_code == 400
    assert client.post("/api/jobs?dry_run=perhaps", json=order("abcdefghijk")).status_code == 400
    assert client.post("/api/jobs", json=order("a"), headers={"Idempotency-Key": "é"}).status_code == 400


def test_what_a_setting_forbids_no_request_allows(asking, sandbox):
    assert asking(SUBMIT_DRY_RUN="true").post("/api/jobs?dry_run=false", json=order("abc")).json["dry_run"]
    assert sandbox.books()["jobs"] == {}
