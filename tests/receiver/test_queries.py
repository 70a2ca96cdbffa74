"""What a query may hold, and what jobs it finds."""

import pytest

from workers.identifiers import JobSubject

STRANGE = [
    ("/api/jobs?stat=parked", "'stat' is no parameter of this route; it takes: q, state, since, until, ref"),
    ("/api/jobs?metadata=7", "'metadata' is no parameter"),
    ("/api/jobs?metadata.=7", "'metadata.' is no parameter"),
    ("/api/jobs?state=parked&state=failed", "state is given 2 times"),
    ("/api/jobs?state=", "state is empty"),
    ("/api/jobs?metadata.order=", "metadata.order is empty"),
    ("/api/jobs?q=", "q is empty"),
    ("/api/jobs?q=%20", "a search is 1 to 200 characters"),
    (f"/api/jobs?q={'x' * 201}", "a search is 1 to 200 characters"),
    ("/api/jobs?since=yesterday", "since is a moment"),
    ("/api/jobs?until=253402300800000", "until is a moment"),
    ("/api/jobs?ref=short", "ref is what"),
    ("/api/jobs?account=A", "account is 1 to 32"),
    ("/api/jobs/job_1?fields=id", "it takes: none"),
    ("/api/budget?account=", "account is empty"),
]


@pytest.fixture
def job(services) -> str:
    services.ledger.accept(ref="", job_id="job_1", receipt="rc1", digest="d", meta={}, body=b"")
    return "job_1"


@pytest.mark.parametrize(("url", "words"), STRANGE)
@pytest.mark.usefixtures("job")
def test_a_strange_query_is_refused(api, url, words):
    answer = api.get(url)
    assert answer.status_code == 400
    assert answer.json["type"] == "/problems/invalid-input"
    assert words in answer.json["detail"]


def test_a_strange_query_changes_nothing(api, job, services):
    record = services.ledger.claim(JobSubject(job), "fetch")
    services.ledger.move(record, "parked", reason="a test says so")
    assert api.post("/api/jobs/retry?state=parked&sicne=2026-01-01").status_code == 400
    assert api.delete(f"/api/jobs/{job}?dry_run=true").status_code == 400
    assert services.catalog.job(job).summary.state == "parked"


def test_whether_one_listens_calmly_is_said_plainly(api):
    assert api.get("/api/events?calm=yes").status_code == 400


def test_who_may_not_ask_is_told_nothing_about_queries(client):
    assert client.get("/api/jobs?nonsense=1").status_code == 401


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/docs", "/openapi.json", "/problems/busy"])
def test_public_routes_do_not_look_at_their_query(client, path):
    assert client.get(f"{path}?v=1&v=2&x=").status_code == 200


def test_the_door_does_not_look_at_its_query(client, job_url):
    assert client.post(f"{job_url}?a=1&a=2&b=").status_code == 202


def found(api, **query: str) -> list[str]:
    answer = api.get("/api/jobs", query_string=query)
    assert answer.status_code == 200, answer.json
    return sorted(job["id"] or job["ref"] for job in answer.json["jobs"])


def test_jobs_are_found_by_what_they_are(api, services, ref):
    other = "s" * 22
    fields = {"function": "VideoShorts", "metadata": {"order": 7}, "account": "acme"}
    services.ledger.open_ref(ref, state="queued", fields=fields, due_ms=0)
    services.ledger.open_ref(other, state="queued", fields={"function": "Other"}, due_ms=0)
    services.ledger.link(other, "job_1", first_ms=0, by="test")
    everything = sorted([ref, "job_1"])
    assert found(api) == everything
    assert found(api, function="VideoShorts") == [ref]
    assert found(api, account="acme") == [ref]
    assert found(api, ref=other) == ["job_1"]
    assert found(api, **{"metadata.order": "7"}) == [ref]
    assert found(api, **{"metadata.order": "8"}) == []
    assert found(api, state="waiting", since="2020-01-01T00:00:00+02:00", until="4102444800000") == everything
    assert found(api, until="2020-01-01") == []


def test_jobs_are_searched_for(api, services, ref):
    fields = {"function": "VideoShorts", "metadata": {"order": 7}, "title": "A strong claim"}
    services.ledger.open_ref(ref, state="queued", fields=fields, due_ms=0)
    services.ledger.link("", "job_1", first_ms=0, by="test")
    assert found(api, q="job_1") == ["job_1"]
    assert found(api, q=ref) == [ref]
    assert found(api, q="order=7") == [ref]
    assert found(api, q="CLAIM strong") == [ref]
    assert found(api, q="claim", state="parked") == []
    answer = api.get("/api/jobs", query_string={"q": "nothing of the kind"}).json
    assert answer == {"jobs": [], "next": None, "looked_back_to": None}
