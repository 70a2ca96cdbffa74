"""What goes wrong on the wire, and what the books say about it."""

import time

import httpx2
import pytest

BROKEN = (httpx2.ReadError, httpx2.RemoteProtocolError)


def unanswered(one):
    return [row["answered"] for row in one.books()["renders"].values()]


@pytest.mark.parametrize(("effect", "renders"), [("before", 0), ("after", 1)])
def test_a_connection_is_reset_before_or_after_the_effect(play, effect, renders):
    one = play(fault_effect=effect)
    job_id = one.finished_job()
    one.sandbox.configure(resets=1.0)

    with pytest.raises(BROKEN):
        one.order(job_id)

    [fault] = one.books()["faults"]
    assert (fault["route"], fault["fault"], fault["effect"]) == ("POST /api/render", "reset", renders == 1)
    assert [fault["subject"]] == (list(one.books()["renders"]) or [""])
    assert unanswered(one) == [False] * renders
    assert one.books()["requests"]["POST /api/render"] == {"reset": 1}


def test_both_kinds_take_turns(play):
    one = play(fault_effect="both")
    job_id = one.finished_job()
    one.sandbox.configure(server_errors=1.0)
    answers = [one.order(job_id) for _ in range(4)]

    assert {answer.status_code for answer in answers} == {500}
    assert answers[0].json()["code"] == "INTERNAL_SERVER_ERROR"
    assert [fault["effect"] for fault in one.books()["faults"]] == [False, True, False, True]
    assert unanswered(one) == [False, False]


def test_a_proxy_speaks_html(play):
    one = play(html=1.0)

    answer = one.job("x")

    assert answer.status_code == 502
    assert answer.headers["Content-Type"] == "text/html"
    assert "Bad Gateway" in answer.text


def test_an_answer_is_cut(play):
    one = play()
    job_id = one.finished_job()
    one.sandbox.configure(cuts=1.0)

    with pytest.raises(httpx2.RemoteProtocolError):
        one.order(job_id)

    assert unanswered(one) == [False]
    assert one.books()["faults"][0]["effect"]


def test_a_refused_request_has_no_effect(play):
    one = play(resets=1.0, fault_effect="after")

    with pytest.raises(BROKEN):
        one.client.post("/api/render", json={})

    assert one.books()["faults"][0]["effect"] is False


def test_some_answers_are_slow(play):
    one = play(slow=1.0, slow_seconds=0.2)
    began = time.monotonic()
    one.job("x")

    assert time.monotonic() - began >= 0.2


def test_stopping_does_not_wait_for_slow_answers(play):
    one = play(slow=1.0, slow_seconds=60)
    with pytest.raises(httpx2.ReadTimeout):
        one.client.get("/api/jobs/x", timeout=0.1)
    began = time.monotonic()
    one.sandbox.stop()

    assert time.monotonic() - began < 10


def test_faults_can_be_kept_to_some_routes(play):
    one = play(server_errors=1.0, fault_routes="POST /api/render, GET /media")
    job_id = one.finished_job()

    assert one.job(job_id).status_code == 200
    assert one.order(job_id).status_code == 500


def test_the_sandboxs_own_routes_never_fail(play):
    one = play(resets=1.0)

    assert one.client.get("/__books").status_code == 200
    assert one.client.post("/__reset").status_code == 200


def test_a_fraction_is_a_fraction_and_a_seed_repeats_it(play):
    runs = []
    for _ in range(2):
        one = play(server_errors=0.3, html=0.2)
        runs.append([one.job("x").status_code for _ in range(60)])

    assert runs[0] == runs[1]
    assert 8 <= runs[0].count(500) <= 28
    assert 4 <= runs[0].count(502) <= 22


def test_a_client_that_leaves_has_started_its_render_all_the_same(play, eventually):
    one = play(slow=1.0, slow_seconds=0.3, film_bytes="5000000-5000000", fault_routes="POST /api/render")
    job_id = one.finished_job()
    body = {"id": job_id, "target": one.shorts(job_id)[0]}
    with pytest.raises(httpx2.ReadTimeout):
        one.client.post("/api/render", json=body, timeout=0.05)

    eventually(lambda: one.books()["renders_per_short"] == {job_id: {str(body["target"]): 1}})
