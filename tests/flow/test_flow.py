"""The whole way, as a user runs it: submit over HTTP, callbacks from the sandbox, files on disk."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from workers.sandbox.callback_bodies import FORMS

pytestmark = pytest.mark.slow
Start = Callable[..., Any]
# FLOW_JOBS=200 for what deploy/measured.md tells.
JOBS = int(os.environ.get("FLOW_JOBS", "30"))


@pytest.mark.timeout(400)
def test_many_jobs_in_mixed_dialects(machine: Start, balanced: Callable[..., None]) -> None:
    service = machine(
        WORKERS="4",
        WEB_CONCURRENCY="2",
        SANDBOX_RATE_LIMIT="1000/1s",
        SANDBOX_SHORTS="2",
        SANDBOX_JOB_SECONDS="1",
        SANDBOX_RENDER_SECONDS="1",
        SANDBOX_QUEUE_SECONDS="0.2",
        SANDBOX_TWICE="0.1",
        SANDBOX_SEED="every form, and some of them twice",
        SANDBOX_FILM_BYTES="30000-60000",
    )
    jobs = service.submit_many([f"video-{n:04}" for n in range(JOBS)])
    assert len(set(jobs)) == JOBS
    service.wait_for(lambda: service.all_settled(JOBS), 300, every=0.5)
    balanced(service, jobs)
    books = service.books()
    assert books["rate_limited"] == 0
    assert {call["form"] for call in books["callbacks"]} == set(FORMS)
    assert {call["status"] for call in books["callbacks"]} == {202}
    assert len(books["callbacks"]) > JOBS


@pytest.mark.timeout(240)
def test_the_budget_is_never_overrun(machine: Start, balanced: Callable[..., None]) -> None:
    """Two workers and more than they may ask at once, at five requests a second."""
    service = machine(
        WORKERS="2",
        SANDBOX_RATE_LIMIT="5/1s",
        SANDBOX_SHORTS="1",
        SANDBOX_JOB_SECONDS="0.5",
        SANDBOX_RENDER_SECONDS="0.5",
        SANDBOX_QUEUE_SECONDS="0",
    )
    jobs = service.submit_many([f"video-{n}" for n in range(16)])
    service.wait_for(lambda: service.all_settled(16), 200, every=0.5)
    balanced(service, jobs)
    assert service.books()["rate_limited"] == 0


def test_a_second_up_on_the_same_folder_is_refused(quick: Any) -> None:
    second = subprocess.run(
        [sys.executable, "-P", "-m", "receiver", "up"],
        cwd=quick.folder,
        env={**quick.env, "PORT": str(int(quick.env["PORT"]) + 7)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert second.returncode != 0
    text = (second.stdout + second.stderr).decode()
    assert "Traceback" not in text
    assert str(quick.up.pid) in text


def test_a_result_and_a_video_over_http(quick: Any) -> None:
    job_id = quick.submit("watch-me", metadata={"episode": 12})["id"]
    quick.wait_for(lambda: quick.job(job_id)["state"] == "finished", 60)
    job = quick.job(job_id)
    assert job["metadata"] == {"episode": 12}
    assert job["progress"] == 1.0
    assert json.loads(quick.http.get(f"/api/jobs/{job_id}/result").content)["status"] == "COMPLETED"
    video = quick.http.get(job["renders"][0]["file"])
    assert hashlib.sha256(video.content).hexdigest() == job["renders"][0]["sha256"]
    part = quick.http.get(job["renders"][0]["file"], headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, b"ftyp")


def test_a_refusal_names_the_cause_and_hides_the_phone_number(quick: Any) -> None:
    answer = quick.http.post("/api/jobs", json={"functionName": "VideoShorts", "youtubeVideoId": "no-phone"})
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert "phone" in answer.text.lower()
    assert "+1" not in answer.text + quick.log()


def test_jobs_submitted_elsewhere_are_taken_care_of(quick: Any) -> None:
    url = quick.http.post("/api/callbacks", json={}).json()["url"]
    made = httpx2.post(
        f"{quick.sandbox}/api/jobs",
        json={"functionName": "VideoShorts", "youtubeVideoId": "never-calls", "webhook": url},
        headers={"Authorization": "Bearer sandbox-key"},
        trust_env=False,
    ).json()
    job_id = made.get("id") or made["jobId"]
    assert quick.http.put(f"/api/jobs/{job_id}", json={}).status_code in (200, 201)
    quick.wait_for(lambda: quick.job(job_id)["state"] == "finished", 60)


def test_a_job_that_nobody_calls_about_ends_all_the_same(quick: Any) -> None:
    job_id = quick.submit("never-calls")["id"]
    quick.wait_for(lambda: quick.job(job_id)["state"] == "finished", 90)
    assert quick.job(job_id)["callbacks"] == []


def test_erasing_a_job_leaves_no_trace_of_it(quick: Any) -> None:
    job_id = quick.submit("to-be-erased")["id"]
    quick.wait_for(lambda: quick.job(job_id)["state"] == "finished", 60)
    assert quick.http.delete(f"/api/jobs/{job_id}").status_code == 204
    assert quick.http.get(f"/api/jobs/{job_id}").status_code == 404
    with quick.redis() as redis:
        assert [key for key in redis.keys("*") if job_id.encode() in key] == []
    assert not (quick.folder / "data" / "artifacts" / "jobs" / job_id).exists()


# Last: it restarts what the others share.
def test_everything_is_there_after_a_restart(quick: Any) -> None:
    job_id = quick.submit("before-restart")["id"]
    quick.wait_for(lambda: quick.job(job_id)["state"] == "finished", 60)
    before = quick.job(job_id)
    assert quick.stop() == 0
    quick.start()
    assert quick.job(job_id) == before


def test_a_finished_job_is_packed_by_the_clock_and_unpacked_by_a_late_callback(quick: Any) -> None:
    job = quick.submit("packed-00001")["id"]
    quick.wait_for(lambda: quick.job(job)["state"] == "finished", 60)
    with quick.redis() as redis:
        quick.wait_for(lambda: not redis.exists(f"sr:bodies:{job}"), 30)
        redis.zadd("sr:unpacked", {job: 0})  # its time has come
        quick.wait_for(lambda: redis.hexists(f"sr:job:{job}", "packed"), 30)
        assert not redis.keys(f"sr:render:{job}/*")
        before = quick.job(job)
        assert len(before["renders"]) == 3
        assert quick.http.get(before["renders"][0]["file"]).status_code == 200
        url = httpx2.get(f"{quick.sandbox}/__books", trust_env=False).json()["jobs"][job]["webhook"]
        assert httpx2.post(url, json={"late": True}, trust_env=False).json()["outcome"] == "new"
        assert not redis.hexists(f"sr:job:{job}", "packed")
    after = quick.job(job)
    assert after["timeline"][: len(before["timeline"])] == before["timeline"]
    assert after["timeline"][-1]["event"] == "callback"
    assert after["renders"] == before["renders"]
