"""POST /api/jobs and GET /api/jobs/{id}, over the wire."""

import re

import pytest

from workers.sandbox.dialects import DIALECTS

CLIPS = [{"title": "Opening", "start": 3.5, "end": 48.0}]
KINDS = {"g1": int, "g2": str, "g3": str, "kb": str, "common": int, "third": int}


def read(body):
    """Read a job as tolerantly as its dialects demand: id and shorts."""
    shorts = body.get("shorts", body.get("data", {}).get("shorts", []))
    return body.get("id") or body["jobId"], shorts


@pytest.mark.parametrize(
    "fields",
    [
        {"youtubeVideoId": "abcdefghijk", "webhook": "https://hooks.example.org/cb/3f9c"},
        {"youtubeVideoId": "https://www.youtube.com/watch?v=abcdefghijk", "options": {"predefinedShorts": CLIPS}},
        {"options": {"youtubeVideoId": "abcdefghijk"}, "webhook": ""},
        {"youtubeVideoId": "abcdefghijk", "videoSource": "youtube"},
    ],
)
def test_every_request_form_makes_a_job(play, fields):
    one = play(never=1.0)

    answer = one.client.post("/api/jobs", json={"functionName": "VideoShorts", **fields})

    assert answer.status_code in {200, 201}
    assert list(one.books()["jobs"]) == [answer.json().get("id") or answer.json()["jobId"]]
    assert one.books()["unknown_fields"] == {}


def test_a_trailing_slash_is_taken(play):
    one = play()

    assert one.client.post("/api/jobs/", json={"functionName": "VideoShorts", "youtubeVideoId": "a"}).status_code == 200


def test_the_answer_to_a_submission_differs(play):
    one = play()
    forms = []
    for dialect in DIALECTS:
        one.sandbox.configure(dialect=dialect)
        answer = one.client.post("/api/jobs", json={"functionName": "VideoShorts", "youtubeVideoId": "a"})
        forms.append((dialect, answer.status_code, sorted(answer.json())))

    assert forms == [
        ("g1", 200, ["jobId"]),
        ("g2", 201, ["id"]),
        ("g3", 201, ["id"]),
        ("kb", 200, ["jobId", "status"]),
        ("common", 201, ["id"]),
        ("third", 201, ["id", "warning"]),
    ]


def test_fields_that_no_page_knows_are_noticed(play):
    one = play()
    one.submit(metadata={"customer": 7})

    assert one.books()["unknown_fields"] == {"metadata": 1}


def test_mixed_takes_every_dialect_in_turn(play):
    one = play()
    for _ in range(2 * len(DIALECTS)):
        one.submit()

    assert [job["dialect"] for job in one.books()["jobs"].values()] == 2 * list(DIALECTS)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_running_job(play, dialect):
    one = play(dialect=dialect, job_seconds=10)
    job_id = one.submit()

    body = one.job(job_id).json()

    assert read(body) == (job_id, [])
    assert body["status"] == "PROCESSING"
    assert "data" not in body


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_completed_job(play, dialect):
    one = play(dialect=dialect)
    job_id = one.finished_job()

    body = one.job(job_id).json()

    assert body["status"] == "COMPLETED"
    assert read(body)[0] == job_id
    assert [short["id"] for short in read(body)[1]] == one.shorts(job_id)
    assert {type(short["id"]) for short in read(body)[1]} == {KINDS[dialect]}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_failed_job(play, dialect):
    one = play(dialect=dialect)

    body = one.job(one.finished_job("job-fails")).json()

    assert body["status"] == "FAILED"
    assert read(body)[1] == []
    assert ("message" in body.get("error", {})) == (dialect != "g2")


def test_the_older_form_of_shorts(play):
    one = play(dialect="g1", extras=False)

    chosen = one.job(one.finished_job()).json()
    predefined = one.job(one.finished_job(options={"predefinedShorts": CLIPS})).json()

    assert set(chosen) == {"jobId", "status", "createdAt", "cost", "data"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", chosen["createdAt"])
    assert chosen["data"]["transcription"] == {}
    assert len(chosen["data"]["shorts"]) == 3
    first = chosen["data"]["shorts"][0]
    assert (first["reason"], first["startId"], first["endId"]) == ("clear hook", 5, 9)
    [only] = predefined["data"]["shorts"]
    assert (only["title"], only["startTime"], only["endTime"]) == ("Opening", 3.5, 48.0)
    assert (only["startId"], only["endId"], "reason" in only) == (None, None, False)
    assert one.client.get(only["cropFileUrl"]).headers["content-type"] == "video/mp4"


def test_the_newer_form_of_a_job(play):
    one = play(dialect="g2", extras=False, job_seconds=100)
    job_id = one.submit(name="Episode 12")

    seen = [one.job(job_id).json()]
    for _ in range(5):
        one.clock.advance(22)
        seen.append(one.job(job_id).json())

    assert [body["progress"] for body in seen] == [5, 30, 60, 60, 85, 100]
    assert seen[0] == {
        "id": job_id,
        "title": "Episode 12",
        "cost": None,
        "costBreakDown": None,
        "status": "PROCESSING",
        "source": "API",
        "progress": 5,
    }
    assert abs(sum(seen[-1]["costBreakDown"].values()) - seen[-1]["cost"]) < 0.01
    assert set(seen[-1]["data"]) == {"shorts"}
    assert set(seen[-1]["data"]["shorts"][0]) == {"id", "content", "text", "startTime", "endTime"}


def test_the_knowledge_base_form_and_times_as_text(play):
    one = play(dialect="kb,third", extras=False)

    flat, text = one.job(one.finished_job()).json(), one.job(one.finished_job()).json()

    assert set(flat["shorts"][0]) == {"id", "title", "start", "end"}
    assert flat["shorts"][0]["id"] == "1"
    assert text["data"]["shorts"][0]["startTime"] == "12.4"


def test_unknown_fields_are_sprinkled_in(play):
    one = play(dialect="g2")
    bodies = [one.job(one.finished_job()).json() for _ in range(3)]

    assert [("schemaVersion" in body) for body in bodies] == [False, True, True]


@pytest.mark.parametrize(
    ("word", "error", "keys"),
    [
        ("full-storage", "fullStorage", {"error", "message", "storageInfo"}),
        ("no-phone", "Phone verification required", {"error", "message", "phoneNumber"}),
        ("no-credit", "noEnoughCredit", {"error", "message"}),
    ],
)
def test_refusals(play, word, error, keys):
    one = play()
    body = {"functionName": "VideoShorts", "youtubeVideoId": f"x-{word}-y"}

    by_word = one.client.post("/api/jobs", json=body)
    one.sandbox.configure(refuse=word)
    by_config = one.client.post("/api/jobs", json={**body, "youtubeVideoId": "a"})

    assert by_word.status_code == by_config.status_code == 403
    assert by_word.json()["error"] == by_config.json()["error"] == error
    assert set(by_word.json()) == keys
    assert one.books()["jobs"] == {}


def test_a_submission_that_lacks_something(play):
    answer = play().client.post("/api/jobs", json={"functionName": "VideoShorts"})

    assert answer.status_code == 400
    message = "The 'youtubeVideoId' parameter is required."
    assert answer.json() == {"status": 400, "message": message, "code": "INVALID_INPUT"}


def test_a_job_that_nobody_knows(play):
    answer = play().job("job_nobody")

    assert answer.status_code == 404
    assert answer.json() == {"status": 404, "message": "Job not found", "code": "NOT_FOUND"}


def test_magic_statuses(play):
    one = play(dialect="g2")
    silent, odd, stuck = one.submit("null-status"), one.submit("odd-status"), one.submit("stuck")

    assert [one.job(silent).json()["status"] for _ in range(3)] == [None, None, "PROCESSING"]
    assert one.job(odd).json()["status"] == "TRANSCRIBING"
    one.clock.advance(10**6)
    assert one.job(odd).json()["status"] == "COMPLETED"
    assert one.job(stuck).json()["status"] == "PROCESSING"
    assert one.books()["jobs"][stuck]["ends_at"] is None


def test_an_archived_job_is_gone_when_it_has_ended(play):
    one = play()
    job_id = one.submit("archived")

    assert one.job(job_id).status_code == 200
    one.clock.advance(100)
    assert one.job(job_id).status_code == 404
    assert one.order(job_id).status_code == 404


def test_a_job_without_shorts(play):
    one = play(dialect="g1")

    assert one.job(one.finished_job("no-shorts")).json()["data"]["shorts"] == []


def test_polls_are_counted(play):
    one = play()
    job_id = one.submit()
    for _ in range(3):
        one.job(job_id)

    assert one.books()["jobs"][job_id]["polls"] == 3


def test_a_seed_repeats_the_same_jobs(play):
    first, second, other = play(seed="a"), play(seed="a"), play(seed="b")

    assert first.submit() == second.submit() != other.submit()


def test_jobs_can_fail_by_chance(play):
    one = play(job_fails=0.5)
    for _ in range(30):
        one.finished_job()

    phases = [job["phase"] for job in one.books()["jobs"].values()]
    assert {"failed", "completed"} == set(phases)
