"""POST /api/render and GET /api/render/{id}, over the wire."""

import pytest

from workers.sandbox.dialects import DIALECTS


def test_a_render_is_started_and_counted(play):
    one = play(dialect="g2")
    job_id = one.finished_job()

    first, again = one.order(job_id), one.order(job_id)

    assert first.status_code == 200
    assert set(first.json()) == {"renderId"}
    assert first.json() != again.json()
    assert one.books()["renders_per_short"] == {job_id: {one.shorts(job_id)[0]: 2}}
    row = one.books()["renders"][first.json()["renderId"]]
    assert (row["job"], row["short"], row["phase"], row["answered"]) == (job_id, one.shorts(job_id)[0], "queued", True)


def test_the_trailing_slash_of_other_clients(play):
    one = play(dialect="g1")
    job_id = one.finished_job()

    assert one.client.post("/api/render/", json={"id": job_id, "target": 1}).status_code == 200


def test_the_old_name_of_the_job_is_only_known_to_the_old_dialect(play):
    one = play(dialect="g1,g2")
    old, new = one.finished_job(), one.finished_job()

    by_old_name = [
        one.client.post("/api/render", json={"jobId": job_id, "target": one.shorts(job_id)[0]}) for job_id in (old, new)
    ]

    assert [answer.status_code for answer in by_old_name] == [200, 400]


@pytest.mark.parametrize(
    ("dialect", "wrong"), [("g1", "1"), ("g1", 0), ("g1", 1.0), ("g1", True), ("kb", 1), ("g2", "sh_")]
)
def test_a_target_is_an_id_in_its_json_type(play, dialect, wrong):
    one = play(dialect=dialect)
    job_id = one.finished_job()

    answer = one.order(job_id, target=wrong)

    assert answer.status_code == 404
    assert one.books()["unknown_targets"] == 1
    assert one.books()["renders"] == {}


def test_only_a_completed_job_is_rendered(play):
    one = play()
    running, failed = one.submit("stuck"), one.finished_job("job-fails")

    assert one.order(running).status_code == 400
    assert one.order(failed).status_code == 400
    assert one.client.post("/api/render", json={"id": "job_nobody", "target": 1}).status_code == 404


def test_brand_presets(play):
    one = play()
    job_id = one.finished_job()

    known, gone, unknown = (one.order(job_id, brandPresetId=name) for name in ("brand_22", "brand_retired", "brand_99"))

    assert known.status_code == 200
    assert (gone.status_code, gone.json()["message"]) == (400, "Selected brand preset is inactive")
    assert unknown.status_code == 404
    assert unknown.json()["message"] == "Brand preset not found for this organization"
    listed = one.client.get("/api/organizations/brandings").json()
    assert {row["id"]: row["isActive"] for row in listed} == {
        "brand_22": True,
        "brand_house": True,
        "brand_retired": False,
    }


def test_presets_and_other_fields_are_checked(play):
    one = play()
    job_id = one.finished_job()

    assert one.order(job_id, preset="DEEP DIVER").status_code == 200
    assert one.order(job_id, preset="SHALLOW").status_code == 400
    assert one.order(job_id, hurry=True).status_code == 200
    assert one.books()["unknown_fields"] == {"hurry": 1}


def test_the_newest_dialect_queues(play):
    one = play(dialect="g3", queue_seconds=10, render_seconds=10)
    render_id = one.order(one.finished_job()).json()["renderId"]

    seen = []
    for _ in range(7):
        seen.append(one.render(render_id).json())
        one.clock.advance(3)

    assert [body["type"] for body in seen] == ["queued"] * 4 + ["progress"] * 2 + ["progress"]
    assert [body["queuePosition"] for body in seen[:4]] == [5, 4, 2, 1]
    assert [body["progress"] for body in seen] == [0, 0, 0, 0, 0.2, 0.5, 0.8]
    assert seen[0] == {"type": "queued", "status": "QUEUED", "queuePosition": 5, "progress": 0}


@pytest.mark.parametrize("stalls", [0.0, 1.0])
def test_progress_never_falls(play, stalls):
    one = play(dialect="g2", queue_seconds=5, render_seconds=20, stalls=stalls)
    render_id = one.order(one.finished_job()).json()["renderId"]

    seen = []
    while (body := one.render(render_id).json())["type"] == "progress":
        seen.append(body["progress"])
        one.clock.advance(1)

    assert seen == sorted(seen)
    assert all(0.0 <= progress < 1.0 for progress in seen)
    assert (max(map(seen.count, seen)) > 6) == (stalls == 1.0)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_finished_render(play, dialect):
    one = play(dialect=dialect)
    render_id = one.finished_render()

    body = one.render(render_id).json()

    row = one.books()["renders"][render_id]
    if dialect == "third":
        assert body == {"status": "COMPLETED", "url": row["url"]}
    else:
        assert body == {"type": "done", "url": row["url"], "size": row["file_bytes"]}


@pytest.mark.parametrize(
    ("dialect", "answers"),
    [
        ("g1", [(200, {"status", "message", "code"}), (500, {"status", "message", "code"})]),
        ("g2", [(200, {"status", "message", "code"}), (500, {"status", "message", "code"})]),
        ("g3", [(200, {"type", "message"})] * 2),
        ("kb", [(200, {"type", "message"})] * 2),
        ("common", [(200, {"type", "status", "message", "code"})] * 2),
        ("third", [(200, {"status"})] * 2),
    ],
)
def test_a_failed_render(play, dialect, answers):
    one = play(dialect=dialect)
    rendered = [one.render(one.finished_render("render-fails")) for _ in range(2)]

    assert [(answer.status_code, set(answer.json())) for answer in rendered] == answers


def test_only_the_first_short_fails_or_every_one(play):
    one = play(dialect="g1")
    some, all_ = one.finished_job("render-fails"), one.finished_job("every-render-fails")
    for job_id in (some, all_):
        for target in (1, 2):
            one.order(job_id, target=target)
    one.clock.advance(100)

    assert [row["phase"] for row in one.books()["renders"].values()] == ["failed", "done", "failed", "failed"]


def test_a_render_that_nobody_knows(play):
    assert play().render("rnd_nobody").status_code == 404


def test_polls_are_counted(play):
    one = play()
    render_id = one.finished_render()
    one.render(render_id)
    one.render(render_id)

    assert one.books()["renders"][render_id]["polls"] == 2


def test_magic_files(play):
    one = play(dialect="g3")
    wrong, private = one.finished_render("wrong-size"), one.finished_render("private-file")
    rows = one.books()["renders"]

    assert one.render(wrong).json()["size"] == rows[wrong]["file_bytes"] + 1000
    assert one.render(private).json()["url"] == f"http://10.0.0.1/media/{private}/out.mp4"


def test_the_public_url_is_where_files_are(play):
    one = play(dialect="g3", public_url="http://sandbox.example:8010/")
    render_id = one.finished_render()

    assert one.render(render_id).json()["url"] == f"http://sandbox.example:8010/media/{render_id}/out.mp4"


def test_uploads_add_up(play):
    one = play(dialect="g3", film_bytes="50000-50000", storage_mb=1)
    first = one.finished_render()
    one.finished_render()

    body = one.client.get("/api/uploads").json()

    assert (body["subSize"], body["usedSize"], body["usedSizePercent"]) == (1, 0.1, 10.0)
    assert [file["size"] for file in body["files"]] == [50000, 50000]
    assert body["files"][0]["url"] == one.books()["renders"][first]["url"]


def test_a_heavy_tail_has_bounds_and_a_middle(play):
    one = play(dialect="g2", shorts=60, render_seconds=100, render_tail=0.9, queue_seconds=0, rate_limit="1000/1s")
    job_id = one.finished_job()
    for target in one.shorts(job_id):
        one.client.post("/api/render", json={"id": job_id, "target": target}).raise_for_status()

    took = sorted(row["ends_at"] - row["created_at"] for row in one.books()["renders"].values())

    assert 39 < took[0] < 100 < took[-1] < 801
    assert 60 < took[30] < 170
    assert took[-1] > 250


def test_a_deleted_file_is_gone_for_good(play, anyone):
    one = play(dialect="g3", film_bytes="50000-50000", storage_mb=1)
    first, second = one.finished_render(), one.finished_render()
    url = one.render(first).json()["url"]
    listed = one.client.get("/api/uploads").json()["files"][0]
    file_id = listed["id"]
    assert one.client.get(f"/api/uploads/files/{file_id}").json() == listed

    assert one.client.delete(f"/api/uploads/files/{file_id}").json() == {"id": file_id, "deleted": True}

    assert [file["name"] for file in one.client.get("/api/uploads").json()["files"]] == [f"{second}.mp4"]
    assert anyone.get(url).status_code == 404
    for ask in (one.client.delete, one.client.get):
        again = ask(f"/api/uploads/files/{file_id}")
        assert (again.status_code, again.json()) == (404, {"message": "File not found"})
