"""``/jobs`` and ``/jobs/<id>`` as the server makes them: what they show, to whom, and what their forms do."""

import re
from html import unescape
from urllib.parse import urlsplit

import pytest

from receiver.app import create_app
from tests.receiver.console.conftest import ADMIN, VIEWER, form_token, signed_in
from workers.identifiers import DeliverySubject, JobSubject, RenderSubject
from workers.paths import result_path
from workers.records import Record

MARK = "\"><script>alert(1)</script>'& {{7*7}}"
BODY = b'{"say": "<b>loud</b>", "password": 1, "url": "https://x.example/?token=hush"}'


def accept(services, job: str, *, metadata: object = None, body: bytes = b"{}") -> None:
    meta = {"size": len(body), "from": "192.0.2.1", "type": "application/json", "agent": f"Bot {MARK} Bearer abc"}
    services.ledger.accept(ref="", job_id=job, receipt=f"rc-{job}", digest=job, meta=meta, body=body)
    if metadata is not None:
        services.redis.hset(f"sr:job:{job}", "metadata", metadata)


def fetched(services, job: str, **fields: object) -> Record:
    accept(services, job, body=BODY)
    record = services.ledger.claim(JobSubject(job), "fetch")
    renders = [{"short": {"id": 1, "title": MARK}, "request": {}}]
    services.ledger.plan(record, renders, {"shorts": 1, "title": MARK, "function": "VideoShorts", **fields})
    return services.ledger.claim(RenderSubject(job, 1), "render")


@pytest.fixture
def parked(services):
    """One job whose only render is parked."""
    record = fetched(services, "job_1")
    services.ledger.move(record, "parked", reason=f"it says {MARK} and Bearer hush")
    return services


@pytest.fixture
def told(build_services):
    """Services that tell an application of a job that has ended, which took the first event and not the second."""
    services = build_services(DELIVERY_URL="https://app.example.org/", VIEWER_TOKEN=VIEWER)
    accept(services, "job_1")
    services.ledger.plan(services.ledger.claim(JobSubject("job_1"), "fetch"), [], {"shorts": 0})
    for state in ("delivered", "parked"):
        record = services.ledger.take_delivery([])
        services.ledger.move(record, state, reason="a test says so", fields={"sent": 1, "status": 503})
    return services


def links(page) -> dict[str, str]:
    return {
        words.strip(): unescape(address)
        for address, words in re.findall(r'<a [^>]*?href="([^"]+)"[^>]*>([^<]+)</a>', page.text)
    }


def titles(page) -> list[str]:
    return re.findall(r'class="title" href="/jobs/([^"]+)"', page.text)


# The list


def test_without_jobs_it_says_what_to_do(admin):
    page = admin.get("/jobs")
    assert page.status_code == 200
    assert "No jobs yet" in page.text
    assert links(page)["Submit a video"] == "/submit"


def test_jobs_are_listed_page_by_page_and_back(admin, services):
    names = [f"job_{n:02}" for n in range(60)]
    for name in names:
        accept(services, name)
    seen, page = [], admin.get("/jobs")
    while "Next page" in links(page):
        seen.append(titles(page))
        page = admin.get(links(page)["Next page"])
    seen.append(titles(page))
    assert [len(each) for each in seen] == [25, 25, 10]
    assert sorted(name for each in seen for name in each) == names
    assert titles(admin.get(links(page)["Newest"])) == seen[0]
    for earlier in seen[-2::-1]:
        page = admin.get(links(page)["Previous page"])
        assert titles(page) == earlier
    assert "Previous page" not in links(page)


def test_the_way_back_stays_short(admin, services):
    for n in range(400):
        accept(services, f"job_{n:03}")
    page = admin.get("/jobs?function=")
    while "Next page" in links(page):
        page = admin.get(links(page)["Next page"])
        assert max(map(len, links(page).values())) < 1000


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=job_1", ["job_1"]),
        ("q=customer%3D7", ["job_1"]),
        ("q=customer+=+8", ["job_2"]),
        ("q=strong+CLAIM", ["job_2"]),
        ("q=strong+claim+7", []),
        ("q=nothing", []),
        ("q=&state=fetching&function=&account=&since=&until=", ["job_2", "job_1"]),
        ("state=parked", []),
        ("since=2100-01-01", []),
        ("until=2100-01-01", ["job_2", "job_1"]),
        ("until=2020-01-01", []),
        ("function=VideoShorts", ["job_2"]),
    ],
)
def test_jobs_are_searched_and_filtered(admin, services, redis, query, found):
    accept(services, "job_1", metadata='{"customer": 7}')
    accept(services, "job_2", metadata='{"customer": 8}')
    redis.hset("sr:job:job_2", mapping={"title": "A Strong Claim", "function": "VideoShorts"})
    page = admin.get(f"/jobs?{query}")
    assert page.status_code == 200
    assert sorted(titles(page)) == sorted(found)
    assert found or "No job fits that" in page.text


@pytest.mark.parametrize(
    "query", ["state=nonsense", "since=yesterday", "account=A%20B", "cursor=nonsense", f"q={'x' * 300}"]
)
def test_what_cannot_be_asked_is_told_beside_the_form(admin, query):
    page = admin.get(f"/jobs?{query}")
    assert page.status_code == 400
    assert 'role="alert"' in page.text
    assert 'name="q"' in page.text


def test_filters_stay_from_page_to_page(admin, services):
    for n in range(30):
        accept(services, f"job_{n:02}")
    page = admin.get("/jobs?state=fetching&q=")
    assert "state=fetching" in links(page)["Next page"]
    assert "<option selected>fetching</option>" in page.text


def test_a_submission_without_an_id_is_listed_by_its_ref(admin, services, api):
    ref = api.post("/api/callbacks", json={}).json["ref"]
    services.ledger.accept(ref=ref, job_id="", receipt="rc", digest="d", meta={}, body=b"x")
    assert admin.get(f"/jobs/{ref}").status_code == 200
    assert titles(admin.get(f"/jobs?q={ref}")) == [ref]


# One job


def test_a_job_is_told_in_sentences_and_nothing_in_it_is_markup(admin, parked):
    page = admin.get("/jobs/job_1")
    text = unescape(page.text)
    assert "<script>alert" not in page.text
    assert "Work on render 1 stopped: a person has to look." in text
    assert "Swiftia called." in text
    assert "What to do:" in text
    assert "Bearer hush" not in text
    assert "Bearer ***" in text
    assert parked.catalog.job("job_1").summary.state == "parked"


def test_a_page_follows_its_job_until_it_is_settled(admin, services):
    record = fetched(services, "job_1")
    assert 'data-events="/api/jobs/job_1/events"' in admin.get("/jobs/job_1").text
    services.ledger.move(record, "parked", reason="x")
    assert "data-events" not in admin.get("/jobs/job_1").text


def test_after_its_end_a_page_follows_its_deliveries(told):
    admin = signed_in(create_app(told), ADMIN)
    assert "data-events" not in admin.get("/jobs/job_1").text
    told.ledger.redeliver(DeliverySubject(JobSubject("job_1"), 2))
    assert 'data-events="/api/events" data-about="job_1"' in admin.get("/jobs/job_1").text


def test_a_job_that_there_is_not_is_not_found(admin):
    assert admin.get("/jobs/job_9").status_code == 404
    assert admin.get("/jobs/job_9/retry").status_code == 404
    assert admin.get("/jobs/%3Cb%3E").status_code == 404


def test_what_a_callback_said_is_shown_as_text_without_its_secrets(admin, parked):
    page = admin.get("/jobs/job_1/callbacks/rc-job_1")
    text = unescape(page.text)
    assert "<b>loud" not in page.text
    assert "<b>loud</b>" in text
    assert "token=***" in text
    assert "hush" not in text
    assert "Bearer ***" in text
    assert admin.get("/jobs/job_1/callbacks/rc-job_2").status_code == 404
    assert parked.catalog.job("job_1").callbacks[0].agent.startswith("Bot")


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe\x00 no text", b"[" * 5000, b"x" * 1_000_000, b'{"a": ' + b"1" * 200_000]
)
def test_whatever_a_callback_said_it_can_be_looked_at(admin, services, body):
    accept(services, "job_1", body=body)
    page = admin.get("/jobs/job_1/callbacks/rc-job_1")
    assert page.status_code == 200
    assert len(page.data) < 1_000_000
    assert ("the beginning of" in page.text) is (len(body) > 131_072)


def test_a_result_is_shown_in_lines_and_a_long_one_in_part(admin, parked):
    assert admin.get("/jobs/job_1/result").status_code == 404
    parked.artifacts.put(result_path("job_1"), b'{"id":"job_1","shorts":[1]}')
    assert '{\n  "id": "job_1",' in unescape(admin.get("/jobs/job_1/result").text)
    parked.artifacts.put(result_path("job_1"), b'{"id":"' + b"x" * 500_000 + b'"}')
    page = admin.get("/jobs/job_1/result")
    assert "the beginning of 500.0 kB" in page.text
    assert len(page.data) < 200_000


# What a person does


def test_a_parked_job_is_retried_after_a_question(admin, parked):
    page = admin.get("/jobs/job_1")
    assert links(page)["Retry"] == "/jobs/job_1/retry"
    token = form_token(admin, "/jobs/job_1/retry")
    assert parked.catalog.job("job_1").summary.state == "parked"
    answer = admin.post("/jobs/job_1/retry", data={"form_token": token})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/jobs/job_1?done=retried")
    assert parked.catalog.job("job_1").summary.state == "rendering"
    page = admin.get("/jobs/job_1?done=retried")
    assert "It is set going again." in page.text
    assert "Retry" not in links(page)
    again = admin.post("/jobs/job_1/retry", data={"form_token": token})
    assert again.status_code == 409
    assert admin.get("/jobs/job_1/retry").status_code == 409


def test_a_job_is_erased_after_a_question(admin, parked):
    token = form_token(admin, "/jobs/job_1/erase")
    for _ in range(2):  # the second is what a double click sends
        answer = admin.post("/jobs/job_1/erase", data={"form_token": token})
        assert (answer.status_code, answer.headers["Location"]) == (303, "/jobs?done=erased")
    assert parked.catalog.job("job_1") is None
    assert "no trace of it here" in admin.get("/jobs?done=erased").text
    assert admin.post("/jobs/job_2/erase", data={"form_token": token}).status_code == 404


def test_an_event_is_sent_again_after_a_question(told):
    admin = signed_in(create_app(told), ADMIN)
    assert "/jobs/job_1/deliveries/2/retry" in admin.get("/jobs/job_1").text
    token = form_token(admin, "/jobs/job_1/deliveries/2/retry")
    answer = admin.post("/jobs/job_1/deliveries/2/retry", data={"form_token": token})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/jobs/job_1?done=redelivered")
    assert told.catalog.job("job_1").deliveries[1].state == "pending"
    assert admin.post("/jobs/job_1/deliveries/2/retry", data={"form_token": token}).status_code == 409
    assert admin.get("/jobs/job_1/deliveries/9/retry").status_code == 404


@pytest.mark.parametrize("act", ["retry", "erase", "deliveries/2/retry"])
def test_who_may_only_look_sees_no_button_and_changes_nothing(told, act):
    viewer = signed_in(create_app(told), VIEWER)
    page = viewer.get("/jobs/job_1")
    assert page.status_code == 200
    assert not {"Retry", "Erase"} & set(links(page))
    assert "/retry" not in page.text
    path = f"/jobs/job_1/{act}"
    assert viewer.get(path).status_code == 403
    before = told.catalog.job("job_1")
    answer = viewer.post(path, data={"form_token": form_token(viewer)})
    assert (answer.status_code, answer.json["type"]) == (403, "/problems/read-only")
    assert told.catalog.job("job_1") == before


@pytest.mark.parametrize("act", ["retry", "erase", "deliveries/1/retry"])
@pytest.mark.parametrize(
    ("data", "headers"),
    [
        ({}, {}),
        ({"form_token": "0" * 64}, {}),
        (None, {"Sec-Fetch-Site": "cross-site"}),
        (None, {"Sec-Fetch-Site": "same-site"}),
        (None, {"Origin": "https://evil.example"}),
        (None, {"Origin": "null"}),
    ],
)
def test_no_other_site_changes_anything(admin, parked, act, data, headers):
    data = {"form_token": form_token(admin)} if data is None else data
    before = parked.catalog.job("job_1")
    answer = admin.post(f"/jobs/job_1/{act}", data=data, headers=headers)
    assert (answer.status_code, answer.json["type"]) == (403, "/problems/form-refused")
    assert parked.catalog.job("job_1") == before


def test_who_has_not_signed_in_is_led_there_whatever_they_send(client, parked):
    for path in ("/jobs", "/jobs/job_1", "/jobs/job_1/erase", "/jobs/job_1/result"):
        assert urlsplit(client.get(path).headers["Location"]).path == "/sign-in"
    assert urlsplit(client.post("/jobs/job_1/erase").headers["Location"]).path == "/sign-in"
    assert parked.catalog.job("job_1") is not None


def test_a_script_may_send_the_token_as_a_header(admin, parked):
    answer = admin.post("/jobs/job_1/retry", headers={"X-Form-Token": form_token(admin)})
    assert answer.status_code == 303
    assert parked.catalog.job("job_1").summary.state == "rendering"
