"""Every request has an id, its answer bears it, and what it sets going keeps it."""

import re

import pytest

from receiver.requestids import HEADER
from tests.refusing import read_only
from workers import keys
from workers.identifiers import JobSubject, RefSubject

OWN = re.compile(r"[0-9a-f]{16}")
GIVEN = "order-7.of_monday"


@pytest.mark.parametrize("path", ["/", "/healthz", "/metrics", "/api/jobs", "/nowhere"])
def test_every_answer_has_one(client, path):
    first, second = (client.get(path).headers[HEADER] for _ in range(2))
    assert OWN.fullmatch(first)
    assert first != second


def test_a_well_formed_one_of_the_caller_is_taken(api):
    assert api.get("/api/jobs", headers={HEADER: GIVEN}).headers.get_all(HEADER) == [GIVEN]


@pytest.mark.parametrize(
    "text",
    ["", "short", "x" * 65, "a b c d e f g h", "-leading-dash", 'quote"quote"', "ünïcödé-ünïcödé", "line\tline-line"],
)
def test_any_other_is_dropped(api, text):
    assert OWN.fullmatch(api.get("/api/jobs", headers={HEADER: text}).headers[HEADER])


def request_id(services, subject) -> str:
    return (services.redis.hget(keys.record(subject), "request_id") or b"").decode()


def test_a_callback_leaves_its_own_with_the_job(client, services, job_url):
    client.post(job_url, data=b'{"id":"job_1"}', headers={HEADER: GIVEN})
    assert request_id(services, JobSubject("job_1")) == GIVEN
    (callback,) = services.ledger.callbacks(JobSubject("job_1"))
    assert callback["request_id"] == GIVEN


def test_the_next_callback_that_is_new_takes_its_place_and_the_same_again_does_not(client, services, job_url):
    for body, given in ((b'{"id":"job_1"}', "the-first"), (b'{"id":"job_1"}', "the-same-again"), (b"2", "the-second")):
        client.post(job_url, data=body, headers={HEADER: given})
        assert request_id(services, JobSubject("job_1")) == given.replace("the-same-again", "the-first")


def test_a_callback_of_an_unknown_job_waits_with_its_id(client, services, job_url, ref):
    client.post(job_url, data=b"{}", headers={HEADER: GIVEN})
    assert request_id(services, RefSubject(ref)) == GIVEN
    services.ledger.link(ref, "job_1", first_ms=0, by="watch")
    assert request_id(services, JobSubject("job_1")) == GIVEN


def test_a_submission_keeps_its_own_beside_that_of_the_callback(api, services):
    answer = api.post("/api/callbacks", json={}, headers={HEADER: "the-submission"})
    url = answer.json["url"]
    api.post(url.removeprefix("https://hooks.example.org"), data=b'{"id":"job_1"}', headers={HEADER: "the-callback"})
    record = services.ledger.begin(JobSubject("job_1"), "fetch", 1)
    assert record.ids["request_id"] == "the-callback"
    assert record.ids["submit_id"] == "the-submission"


def test_who_retries_a_job_is_what_sets_it_going(api, services, job_url):
    api.post(job_url, data=b'{"id":"job_1"}', headers={HEADER: "the-callback"})
    record = services.ledger.claim(JobSubject("job_1"), "fetch")
    services.ledger.move(record, "parked", reason="a test says so")
    assert api.post("/api/jobs/job_1/retry", headers={HEADER: "the-person"}).status_code == 202
    assert request_id(services, JobSubject("job_1")) == "the-person"


def test_what_waits_in_the_spool_keeps_its_id(client, services, job_url, redis):
    with read_only(redis):
        assert client.post(job_url, data=b'{"id":"job_1"}', headers={HEADER: GIVEN}).json["outcome"] == "spooled"
    (waiting,) = services.intake.spool.oldest(1)
    services.intake.hand_on(waiting)
    assert request_id(services, JobSubject("job_1")) == GIVEN
