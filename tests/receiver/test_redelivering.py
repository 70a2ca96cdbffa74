"""Addressing deliveries by the API, seeing them, and sending them again."""

import pytest
from flask.testing import FlaskClient

from receiver.app import create_app
from workers.identifiers import DeliverySubject, JobSubject
from workers.outbox import target_of
from workers.records import Record
from workers.services import Services

OWN = "https://own.example.org/hooks?for=us"


@pytest.fixture
def told(build_services, admin_of) -> tuple[FlaskClient, Services]:
    services = build_services(
        DELIVERY_URL="https://app.example.org/swiftia", DELIVERY_EVENTS="job.completed,job.finished"
    )
    return admin_of(create_app(services)), services


def finished(services: Services, job: str) -> None:
    services.ledger.accept(ref="", job_id=job, receipt=f"rc-{job}", digest=job, meta={}, body=b"{}")
    record = services.ledger.claim(JobSubject(job), "fetch") or services.ledger.begin(JobSubject(job), "fetch", 1)
    assert record is not None
    assert services.ledger.plan(record, [], {"shorts": 0})


def settle(services: Services, state: str) -> None:
    while isinstance(record := services.ledger.take_delivery([]), Record):
        services.ledger.move(record, state, reason="a test says so", fields={"sent": 1, "status": 503})


def test_a_job_shows_its_deliveries(told):
    api, services = told
    finished(services, "job_1")
    first, second = api.get("/api/jobs/job_1").json["deliveries"]
    assert (first["n"], first["event"], first["state"]) == (1, "job.completed", "pending")
    assert (second["n"], second["event"], second["attempts"], second["last_status"]) == (2, "job.finished", 0, None)
    assert first["id"] != second["id"]
    settle(services, "delivered")
    found = api.get("/api/jobs/job_1").json["deliveries"]
    assert [(one["state"], one["attempts"], one["last_status"], one["next_at"]) for one in found] == [
        ("delivered", 1, 503, None)
    ] * 2


def test_one_is_sent_again(told):
    api, services = told
    finished(services, "job_1")
    on_its_way = api.post("/api/jobs/job_1/deliveries/1/retry")
    assert (on_its_way.status_code, "on its way" in on_its_way.json["detail"]) == (409, True)
    settle(services, "delivered")
    assert api.post("/api/jobs/job_1/deliveries/1/retry").json == {"retried": 1}
    assert services.ledger.take_delivery([]).subject == DeliverySubject(JobSubject("job_1"), 1)
    assert api.post("/api/jobs/job_1/deliveries/3/retry").status_code == 404
    assert api.post("/api/jobs/job_9/deliveries/1/retry").status_code == 404


def test_what_was_parked_since_a_moment_is_sent_again(told, redis):
    api, services = told
    for job in ("job_1", "job_2"):
        finished(services, job)
    settle(services, "parked")
    assert redis.zcard("sr:deliveries:parked") == 4
    assert api.post("/api/deliveries/retry?state=parked&since=2100-01-01T00:00:00Z").json == {
        "retried": 0,
        "more": False,
    }
    assert api.post("/api/deliveries/retry?state=parked&since=2026-01-01").json == {"retried": 4, "more": False}
    assert redis.zcard("sr:deliveries:parked") == 0
    states = [one["state"] for job in (1, 2) for one in api.get(f"/api/jobs/job_{job}").json["deliveries"]]
    assert states == ["pending"] * 4


@pytest.mark.parametrize("query", ["", "state=delivered", "state=parked&since=yesterday", "state=parked&since=9x"])
def test_a_bad_question_is_told(told, query):
    api, _ = told
    answer = api.post(f"/api/deliveries/retry?{query}")
    assert (answer.status_code, answer.json["title"]) == (400, "The request cannot be used")


def test_a_job_says_where_it_is_told_of(told, redis):
    api, _ = told
    for body, kept in (
        ({"delivery": OWN}, [OWN.encode(), target_of(OWN).encode()]),
        ({"delivery": False}, [None, b""]),
        ({}, [None, None]),
        ({"delivery": None}, [None, None]),
    ):
        ref = api.post("/api/callbacks", json=body).json["ref"]
        assert redis.hmget(f"sr:ref:{ref}", "delivery_url", "target") == kept
        assert api.put(f"/api/jobs/job-{ref[:8]}", json={"ref": ref}).status_code == 201
        assert redis.hmget(f"sr:job:job-{ref[:8]}", "delivery_url", "target") == kept


@pytest.mark.parametrize("address", ["ftp://x.example", 7, True, "https://u:p@x.example/", "x" * 3000, {}, []])
def test_an_address_that_is_none_is_refused(told, redis, address):
    api, _ = told
    before = redis.dbsize()
    for route in ("/api/callbacks", "/api/jobs"):
        answer = api.post(
            route,
            json={"functionName": "VideoShorts", "delivery": address} if "jobs" in route else {"delivery": address},
        )
        assert answer.status_code == 400
        assert "deliver" in answer.json["detail"]
    assert redis.dbsize() == before
