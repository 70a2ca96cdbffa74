"""Webhooks, received by a real server."""

import hashlib
import json
import threading

import pytest

from workers.sandbox.callback_bodies import FORMS
from workers.sandbox.dialects import DIALECTS


def calls(one):
    return one.books()["callbacks"]


def test_a_finished_job_is_announced(play, hook, eventually):
    one = play(dialect="g2", webhook_bodies="whole", extras=False)
    job_id = one.submit(webhook=hook.url)

    assert calls(one) == []
    one.clock.advance(100)
    [row] = eventually(lambda: calls(one))
    [received] = hook.received

    assert json.loads(received.body) == one.job(job_id).json()
    assert (received.path, received.content_type) == ("/hook?a=1", "application/json")
    assert (row["job"], row["status"], row["error"], row["attempt"]) == (job_id, 202, None, 1)
    assert row["at"] == one.clock()
    assert (row["bytes"], row["sha256"]) == (len(received.body), hashlib.sha256(received.body).hexdigest())


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_whole_body_speaks_the_jobs_dialect(play, hook, eventually, dialect):
    one = play(dialect=dialect, webhook_bodies="whole")
    job_id = one.finished_job(webhook=hook.url)

    [received] = eventually(lambda: hook.received)

    assert json.loads(received.body) == one.job(job_id).json()


def test_mixed_bodies_go_through_every_form(play, hook, eventually):
    one = play(dialect="g2", huge_bytes=300_000)
    for _ in FORMS:
        one.submit(webhook=hook.url)
    one.clock.advance(100)

    eventually(lambda: len(calls(one)) == len(FORMS))
    by_sum = {hashlib.sha256(received.body).hexdigest(): received for received in hook.received}
    sent = {row["form"]: by_sum[row["sha256"]] for row in calls(one)}
    parsed = {
        form: json.loads(sent[form].body)
        for form in ("whole", "data", "shorts", "event", "job", "payload", "wrong-type")
    }

    assert {row["status"] for row in calls(one)} == {202}
    assert set(sent) == set(FORMS)
    assert set(parsed["data"]) == {"shorts"}
    assert isinstance(parsed["shorts"], list)
    assert parsed["event"]["event"] == "job.completed"
    assert parsed["event"]["data"]["id"]
    assert parsed["job"]["job"]["status"] == parsed["payload"]["payload"]["status"] == "COMPLETED"
    assert (sent["empty"].body, sent["empty"].content_type) == (b"", None)
    assert sent["text"].content_type == "text/plain"
    assert sent["form"].body.startswith(b"jobId=job_")
    assert sent["wrong-type"].content_type == "text/html; charset=iso-8859-1"
    assert sent["bom"].body.startswith(b"\xef\xbb\xbf{")
    assert len(sent["huge"].body) > 300_000
    for form in ("truncated", "bad-utf8", "wrong-text"):
        with pytest.raises(ValueError, match=r"."):
            json.loads(sent[form].body)


def test_a_failed_job_is_announced_unless_told_otherwise(play, hook, eventually):
    one = play(dialect="kb", webhook_bodies="whole", extras=False)
    job_id = one.finished_job("job-fails", webhook=hook.url)
    [received] = eventually(lambda: hook.received)
    one.sandbox.configure(failure_calls=False)
    one.finished_job("job-fails", webhook=hook.url)
    one.finished_job(webhook=hook.url)
    eventually(lambda: len(calls(one)) == 2)

    body = json.loads(received.body)
    assert (body["id"], body["status"]) == (job_id, "FAILED")


def test_an_early_call_comes_before_the_answer(play, hook):
    one = play()
    seen = []
    hook.before = lambda: seen.append(dict(one.books()["requests"]))

    job_id = one.submit("early-calls", webhook=hook.url)

    assert seen == [{}]
    assert len(hook.received) == 1
    assert one.job(job_id).json()["status"] == "COMPLETED"


def test_an_eager_call_comes_before_the_job_has_ended(play, hook, eventually):
    one = play(job_seconds=10)
    job_id = one.submit("eager-calls", webhook=hook.url)
    one.clock.advance(4)

    eventually(lambda: hook.received)

    assert one.job(job_id).json()["status"] == "PROCESSING"


def test_late_and_doubled_calls(play, hook, eventually):
    one = play(job_seconds=10, late_seconds=50)
    late = one.submit("late-calls", webhook=hook.url)
    twice = one.submit("twice-calls", webhook=hook.url)
    one.clock.advance(30)
    eventually(lambda: len(calls(one)) == 2)
    one.clock.advance(31)
    eventually(lambda: len(calls(one)) == 3)

    assert [row["job"] for row in calls(one)] == [twice, twice, late]


@pytest.mark.parametrize("fields", [{}, {"webhook": ""}])
def test_no_webhook_no_call(play, hook, eventually, fields):
    one = play()
    one.submit(**fields)
    one.submit("never-calls", webhook=hook.url)
    one.submit("stuck", webhook=hook.url)
    last = one.finished_job(webhook=hook.url)

    eventually(lambda: calls(one))

    assert [row["job"] for row in calls(one)] == [last]


def test_chance_decides_who_is_called_how(play, hook, eventually):
    one = play(never=0.3, twice=0.3, early=0.2, late=0.2, job_fails=0.2)
    for _ in range(40):
        one.submit(webhook=hook.url)
    words = [word for job in one.books()["jobs"].values() for word in job["words"]]
    one.clock.advance(1000)

    assert set(words) == {"never-calls", "twice-calls", "early-calls", "late-calls", "job-fails"}
    called = [set(job["words"]) for job in one.books()["jobs"].values() if "never-calls" not in job["words"]]
    expected = len(called) + sum("twice-calls" in each for each in called)
    eventually(lambda: len(calls(one)) == expected)


def test_a_refused_call_is_not_repeated_unless_told(play, hook, eventually):
    one = play(webhook_bodies="whole")
    hook.answers = [503, 503, 500]
    one.finished_job(webhook=hook.url)
    eventually(lambda: calls(one))
    one.sandbox.configure(webhook_tries=3, webhook_retry_seconds=10)
    second = one.finished_job(webhook=hook.url)
    for count in (2, 3, 4):
        eventually(lambda count=count: len(calls(one)) == count)
        one.clock.advance(25)

    assert [(row["status"], row["attempt"]) for row in calls(one)] == [(503, 1), (503, 1), (500, 2), (202, 3)]
    assert calls(one)[-1]["job"] == second


def test_nobody_there_is_recorded(play, eventually):
    one = play()
    one.finished_job(webhook="http://127.0.0.1:1/")

    [row] = eventually(lambda: calls(one))

    assert row["status"] is None
    assert row["error"].startswith("ConnectionRefusedError")


def test_a_slow_receiver_holds_up_nobody_else(play, hook, eventually):
    one = play(webhook_senders=2)
    released = threading.Event()
    waits = iter([released.wait])
    hook.before = lambda: next(waits, lambda _: None)(20)
    for _ in range(4):
        one.submit(webhook=hook.url)
    one.clock.advance(100)

    eventually(lambda: len(calls(one)) == 3)
    released.set()
    eventually(lambda: len(calls(one)) == 4)


def test_a_reset_drops_the_calls_to_come(play, hook, eventually):
    one = play()
    one.submit(webhook=hook.url)
    one.sandbox.reset()
    last = one.finished_job(webhook=hook.url)

    eventually(lambda: calls(one))

    assert [row["job"] for row in calls(one)] == [last]
