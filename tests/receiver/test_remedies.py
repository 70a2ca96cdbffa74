from dataclasses import replace

import pytest

from receiver.app import create_app
from workers import keys
from workers.errors import StoreUnavailable
from workers.identifiers import JobSubject
from workers.paths import result_path


@pytest.fixture
def park(services):
    def parked(job_id: str) -> None:
        services.ledger.accept(ref="", job_id=job_id, receipt="rc1", digest="d", meta={}, body=b"")
        record = services.ledger.claim(JobSubject(job_id), "fetch")
        services.ledger.move(record, "parked", reason="a test says so")

    return parked


def test_a_parked_job_is_set_going_again(api, park, services):
    park("job_1")
    answer = api.post("/api/jobs/job_1/retry")
    assert (answer.status_code, answer.json) == (202, {"retried": 1})
    assert services.catalog.job("job_1").summary.state == "fetching"


def test_a_job_that_is_under_way_is_a_conflict(api, park):
    park("job_1")
    api.post("/api/jobs/job_1/retry")
    answer = api.post("/api/jobs/job_1/retry")
    assert answer.status_code == 409
    assert "fetching" in answer.json["detail"]


def test_retrying_what_is_unknown_is_not_found(api):
    assert api.post("/api/jobs/job_1/retry").status_code == 404


def test_all_that_is_parked_is_set_going_again(api, park):
    for n in range(3):
        park(f"job_{n}")
    answer = api.post("/api/jobs/retry?state=parked")
    assert (answer.status_code, answer.json) == (202, {"jobs": 3, "retried": 3, "more": False})
    assert api.post("/api/jobs/retry?state=parked").json["jobs"] == 0


@pytest.mark.parametrize("query", ["", "?state=", "?state=finished", "?state=waiting", "?state=nonsense"])
def test_only_what_is_parked_or_failed_can_be_retried_together(api, query):
    assert api.post(f"/api/jobs/retry{query}").status_code == 400


def test_erasing_leaves_no_trace(api, park, services, redis):
    park("job_1")
    services.artifacts.put(result_path("job_1"), b"{}")
    assert api.delete("/api/jobs/job_1").status_code == 204
    assert services.artifacts.list_job("job_1") == []
    assert [key for key in redis.keys("sr:*") if b"job_1" in key] == []
    assert api.get("/api/jobs/job_1").status_code == 404
    assert api.get("/api/jobs").json["jobs"] == []


def test_erasing_twice_is_no_error(api, park):
    park("job_1")
    assert [api.delete("/api/jobs/job_1").status_code for _ in range(2)] == [204, 204]


def test_erasing_by_ref(api, redis):
    ref = api.post("/api/callbacks", json={}).json["ref"]
    assert [api.delete(f"/api/jobs/{ref}").status_code for _ in range(2)] == [204, 204]
    assert redis.keys("sr:ref:*") == []


def test_erasing_what_never_was_is_not_found(api):
    assert api.delete("/api/jobs/job_1").status_code == 404


class Stuck:
    def delete_job(self, _job_id: str) -> None:
        raise StoreUnavailable("the store is away")


def test_erasing_that_stopped_halfway_is_finished_later(api, park, services, admin_of, redis):
    park("job_1")
    stuck = admin_of(create_app(replace(services, artifacts=Stuck())))
    assert stuck.delete("/api/jobs/job_1").status_code == 503
    assert redis.exists(keys.record(JobSubject("job_1")))
    assert api.delete("/api/jobs/job_1").status_code == 204
    assert not redis.exists(keys.record(JobSubject("job_1")))
