"""Overview, Parked, Submit, Check and Workers as pages: what stands on them, and what their forms do."""

import json
import re
import socket
from html import unescape

import pytest

from receiver.broadcast import BROADCAST
from receiver.console.parked import SLICE
from receiver.console.shell import POLICY
from tests.receiver.console.conftest import ADMIN, VIEWER, form_token, signed_in
from workers import keys
from workers.identifiers import JobSubject

PAGES = ["/", "/parked", "/submit", "/check", "/workers"]
REASON = "reading job x: Swiftia refuses the request with status 404; check the id"


@pytest.fixture
def token(admin):
    return form_token(admin)


@pytest.fixture
def ledger(services):
    return services.ledger


def park(ledger, job, reason=REASON):
    ledger.accept(ref="", job_id=job, receipt=f"rc-{job}", digest="d", meta={}, body=b"{}")
    ledger.move(ledger.claim(JobSubject(job), "fetch"), "parked", reason=reason)


def told(page):
    """The text of a page, without its tags."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page.text)).split())


@pytest.mark.parametrize("path", PAGES)
def test_each_is_whole_and_holds_no_code(admin, path):
    page = admin.get(path)
    assert page.status_code == 200
    assert page.headers["Content-Security-Policy"] == POLICY
    assert not re.search(r"<style|<script(?! type=\"module\" src=\"/assets)| style=| on\w+=", page.text)
    assert "None" not in told(page)


@pytest.mark.parametrize("path", [*PAGES, "/parked/retry"])
def test_none_is_open(client, path):
    answer = client.get(path)
    assert (answer.status_code, answer.headers["Location"][:8]) == (303, "/sign-in")


@pytest.mark.parametrize("path", ["/parked/retry", "/submit", "/submit/send", "/check"])
def test_who_may_only_look_changes_nothing(site, redis, path):
    viewer = signed_in(site(), VIEWER)
    token = form_token(viewer)
    before = redis.dbsize()
    assert viewer.post(path, data={"form_token": token}).status_code == 403
    assert redis.dbsize() == before


@pytest.mark.parametrize("path", ["/parked/retry", "/submit", "/submit/send", "/check"])
def test_a_form_of_somebody_else_is_refused(admin, path):
    assert admin.post(path, data={"form_token": "0" * 64}).status_code == 403


def test_who_may_only_look_finds_no_buttons_to_press(site, ledger):
    park(ledger, "job_1")
    viewer = signed_in(site(), VIEWER)
    assert "Retry" not in told(viewer.get("/parked"))
    assert "Check now" not in told(viewer.get("/check"))


# Overview


def test_the_overview_tells_what_needs_a_human_first(admin, ledger):
    park(ledger, "job_1", "the organization has too little credit; buy credits at Swiftia")
    text = told(admin.get("/"))
    assert text.index("Too little credit") < text.index("Jobs 0 waiting")
    assert "1 job parked. Buy credits at Swiftia" in text
    assert "1 parked" in text


# Parked


def test_parked_jobs_stand_in_groups_with_what_to_do(admin, ledger):
    for n in range(7):
        park(ledger, f"job_{n}")
    park(ledger, "odd", "the <b>moon</b> is in house 7")
    page = admin.get("/parked")
    text = told(page)
    assert "Not known at Swiftia 7 jobs" in text
    assert "2 more than are shown" in text
    assert "The <b>moon</b> is in house *" in text
    assert "<b>moon" not in page.text


def test_one_is_retried_after_a_question(admin, ledger, services, token):
    park(ledger, "job_1")
    question = admin.get("/parked/retry?job=job_1")
    assert "Retry this job?" in told(question)
    assert 'name="job" value="job_1"' in question.text
    answer = admin.post("/parked/retry", data={"form_token": token, "job": "job_1"})
    assert answer.headers["Location"] == "/parked?done=1"
    assert "1 job set going again" in told(admin.get("/parked?done=1"))
    assert services.catalog.job("job_1").summary.state == "fetching"
    assert admin.get("/parked/retry?job=job_1").status_code == 400


def test_a_group_is_retried_and_the_others_stay(admin, ledger, services, token):
    park(ledger, "job_1")
    park(ledger, "job_2")
    park(ledger, "other", "the moon is in the wrong house")
    assert "Retry 2 jobs?" in told(admin.get("/parked/retry?group=swiftia-404"))
    answer = admin.post("/parked/retry", data={"form_token": token, "group": "swiftia-404"})
    assert answer.headers["Location"] == "/parked?done=2"
    assert services.catalog.counts()["parked"] == 1
    answer = admin.post("/parked/retry", data={"form_token": token, "group": ""})
    assert answer.headers["Location"] == "/parked?done=1"


def test_many_go_in_slices_and_what_cannot_go_on_is_passed_over(admin, ledger, services, token):
    first = "r" * 22
    ledger.open_ref(first, state="open", fields={}, due_ms=0)  # nobody knows its job: a retry has nothing to do
    services.redis.zadd("sr:jobs:parked", {f"ref:{first}": 1})
    services.redis.hset(f"sr:ref:{first}", "state", "parked")
    for n in range(SLICE + 3):
        park(ledger, f"job_{n}")
    answer = admin.post("/parked/retry", data={"form_token": token, "group": ""})
    goes_on = answer.headers["Location"]
    assert goes_on == f"/parked/retry?group=&done={SLICE - 1}&skip=1"
    page = admin.get(goes_on)
    assert f"{SLICE - 1} jobs set going again so far. 1 cannot be retried" in told(page)
    form = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.text))
    answer = admin.post("/parked/retry", data={**form, "form_token": token})
    assert answer.headers["Location"] == f"/parked?done={SLICE + 3}"
    assert services.catalog.counts()["parked"] == 1


@pytest.mark.parametrize("query", ["group=%00", "group=" + "x" * 200, "job=no-such", "job=%2e%2e"])
def test_what_is_no_group_and_no_job_is_refused(admin, query):
    assert admin.get(f"/parked/retry?{query}").status_code == 400


def test_there_is_nothing_to_ask_about_a_group_that_has_gone_on(admin):
    assert admin.get("/parked/retry?group=swiftia-404&done=3").headers["Location"] == "/parked?done=3"
    assert admin.get("/parked/retry").headers["Location"] == "/parked?done=0"


# Submit


def preview(admin, token, **fields):
    return admin.post("/submit", data={"form_token": token, **fields})


def test_the_request_is_shown_as_it_will_be_sent(admin, token, redis):
    before = redis.dbsize()
    page = preview(admin, token, source="dQw4w9WgXcQ", cuts="0 30 One\n40 80", preset="VIRALL", metadata="customer=7")
    assert page.status_code == 200
    first, own = (json.loads(unescape(text)) for text in re.findall(r"<pre[^>]*>(.*?)</pre>", page.text, re.DOTALL))
    assert first == {
        "functionName": "VideoShorts",
        "youtubeVideoId": "dQw4w9WgXcQ",
        "options": {
            "predefinedShorts": [{"start": 0.0, "end": 30.0, "title": "One"}, {"start": 40.0, "end": 80.0}],
        },
        "webhook": "https://hooks.example.org/webhooks/swiftia/<token>",
    }
    assert own == {"metadata": {"customer": 7}, "render": {"preset": "VIRALL"}}
    text = told(page)
    assert "did you mean VIRAL?" in text
    assert "2 renders: a start and 2.3 looks each 6.6 Together about 8.6" in text
    assert redis.dbsize() == before


def test_problems_stand_beside_their_fields_and_what_was_typed_stays(admin, token):
    page = preview(admin, token, source="two words", cuts="soon", metadata='<script>"x')
    assert page.status_code == 422
    assert re.search(r'id="source"[^>]*aria-invalid="true"', page.text)
    assert re.search(r'aria-describedby="cuts-hint cuts-problem"', page.text)
    assert "&lt;script&gt;&#34;x</textarea>" in page.text
    assert "3 things to mend" in told(page)


def test_what_only_the_whole_shows_finds_its_field(admin, token):
    page = preview(admin, token, source="abc", cuts="0 900 long")
    assert page.status_code == 422
    assert "lasts 900 s; Swiftia takes at most 300 s" in told(page)
    assert 'id="cuts-problem"' in page.text


def test_a_change_leads_back_with_everything_typed(admin, token):
    page = preview(admin, token, source="abc", metadata="a=1", step="change")
    assert 'value="abc"' in page.text
    assert "a=1</textarea>" in page.text


def test_where_swiftia_does_not_answer_the_preview_says_so_and_keeps_its_key(admin, token):
    page = preview(admin, token, source="abc")
    form = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.text))
    again = admin.post("/submit/send", data={**form, "form_token": token})
    assert again.status_code == 503  # nothing listens there, so nothing was sent
    assert "Swiftia cannot be reached" in told(again)
    assert f'name="key" value="{form["key"]}"' in again.text


def test_in_a_dry_run_nothing_can_be_sent(site, redis):
    admin = signed_in(site(SUBMIT_DRY_RUN="true"), ADMIN)
    token = form_token(admin)
    page = preview(admin, token, source="abc")
    assert "SUBMIT_DRY_RUN is set" in told(page)
    assert ">Submit</button>" not in page.text
    before = redis.dbsize()
    admin.post("/submit/send", data={"form_token": token, "source": "abc", "key": "k"})
    assert redis.dbsize() == before


@pytest.mark.parametrize("key", [None, "", "x" * 200, "\u00e4"])
def test_without_its_key_nothing_is_sent(admin, token, key):
    fields = {"source": "abc"} if key is None else {"source": "abc", "key": key}
    assert admin.post("/submit/send", data={"form_token": token, **fields}).status_code == 400


# Check


def test_a_check_tells_the_worst_first_and_stays_for_other_processes(admin, site, token, redis):
    assert "Nobody has looked" in told(admin.get("/check"))
    assert admin.post("/check", data={"form_token": token}).headers["Location"] == "/check"
    text = told(admin.get("/check"))
    assert re.search(r"\d+ things wrong", text)
    assert text.index("never ran") < text.index("every variable can be read")
    assert "start one: swiftia-receiver clock" in text
    assert redis.ttl(keys.CHECK) > 0
    assert told(signed_in(site(), ADMIN).get("/check")) == text


@pytest.mark.parametrize(
    "raw", [b"", b"{}", b'{"findings": 1}', b'{"findings": [1, {"level": "odd"}], "at": 5}', b"\xff"]
)
def test_a_report_that_cannot_be_read_does_no_harm(admin, redis, raw):
    redis.set(keys.CHECK, raw)
    assert admin.get("/check").status_code == 200


# Workers


def test_workers_are_shown_with_what_they_do(admin, redis):
    worker = {"birth": "2026-11-24T18:00:00Z", "last_heartbeat": "2026-11-24T18:00:00Z", "queues": "upstream"}
    redis.sadd("rq:workers", "rq:worker:w1")
    redis.hset("rq:worker:w1", mapping={**worker, "hostname": "<far>", "pid": "7"})
    redis.zadd("sr:present", {"web near 8 1700000000": redis.time()[0] * 1000})
    text = told(admin.get("/workers"))
    assert "<far> 1 process, 0 workers busy" in text
    assert "silent for" in text
    assert "near 1 process" in text
    assert "The clock of the lane upstream never ran" in text


# Several accounts


@pytest.fixture
def of_two(site, tmp_path):
    """The console of an installation with two accounts, and the token of its forms."""
    path = tmp_path / "accounts.toml"
    path.write_text('[default]\nkey = "k1"\nplan = "pro"\n[acme]\nkey = "k2"\nplan = "swift"\n')
    client = signed_in(site(SWIFTIA_ACCOUNTS=str(path), SWIFTIA_API_KEY=""), ADMIN)
    return client, form_token(client)


def test_each_account_has_its_gauge(of_two):
    text = told(of_two[0].get("/"))
    assert "default 0 of 1 in 1 s used" in text
    assert "acme 0 of 5 in 1 s used" in text


def test_a_job_is_looked_over_for_the_account_that_is_chosen(of_two):
    client, token = of_two
    assert '<option value="acme">acme</option>' in client.get("/submit").text
    assert "with the key of acme" in told(preview(client, token, source="abc", account="acme"))
    refused = preview(client, token, source="abc", account="nobody")
    assert refused.status_code == 422
    assert 'id="account-problem"' in refused.text


def test_a_page_says_how_many_listen_so_that_they_do_not_all_look_at_once(app, admin):
    broadcast = app.extensions[BROADCAST]
    assert "data-crowd" not in admin.get("/").text
    ours, theirs = socket.socketpair()
    with ours, theirs:
        try:
            broadcast.join(ours.dup(), None, broadcast.admit(), chunked=False)
            assert 'data-crowd="1"' in admin.get("/").text
        finally:
            broadcast.stop()
