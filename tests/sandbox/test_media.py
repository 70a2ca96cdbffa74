"""Files, whole and in parts."""

import hashlib

import httpx2
import pytest

from workers.sandbox.media import read_range


def film_of(one, render_id):
    return one.books()["renders"][render_id]["url"]


def test_a_file_is_what_the_books_say(play, anyone):
    one = play(film_bytes="100000-200000")
    render_id = one.finished_render()

    answer = anyone.get(film_of(one, render_id))

    row = one.books()["renders"][render_id]
    assert answer.headers["Content-Type"] == "video/mp4"
    assert len(answer.content) == row["file_bytes"] == int(answer.headers["Content-Length"])
    assert hashlib.sha256(answer.content).hexdigest() == row["sha256"] == one.sandbox.film(render_id).sha256
    assert 100_000 <= row["file_bytes"] <= 200_000
    assert one.books()["files"] == {render_id: {"requests": 1, "whole": 1, "bytes": row["file_bytes"]}}


def test_files_of_one_short_differ(play):
    one = play()
    job_id = one.finished_job()
    first, second = (one.order(job_id).json()["renderId"] for _ in range(2))

    assert one.sandbox.film(first).sha256 != one.sandbox.film(second).sha256


def test_there_is_no_film_of_an_unknown_render(play):
    with pytest.raises(KeyError):
        play().sandbox.film("rnd_nobody")


def test_a_file_is_there_when_its_render_is_done(play, anyone):
    one = play()
    render_id = one.order(one.finished_job()).json()["renderId"]

    assert anyone.get(film_of(one, render_id)).status_code == 404
    one.clock.advance(100)
    assert anyone.get(film_of(one, render_id)).status_code == 200
    assert one.client.get("/media/rnd_nobody/out.mp4").status_code == 404
    assert one.client.get(f"/media/{render_id}/../out.mp4").status_code == 404


def test_parts_and_head(play, anyone):
    one = play(film_bytes="90000-90000")
    url = film_of(one, one.finished_render())
    whole = anyone.get(url).content

    part = anyone.get(url, headers={"Range": "bytes=70000-79999"})
    tail = anyone.get(url, headers={"Range": "bytes=-10"})
    beyond = anyone.get(url, headers={"Range": "bytes=90000-"})
    head = anyone.head(url)

    assert (part.status_code, part.headers["Content-Range"]) == (206, "bytes 70000-79999/90000")
    assert part.content == whole[70_000:80_000]
    assert tail.content == whole[-10:]
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, "bytes */90000")
    assert (head.status_code, head.headers["Content-Length"], head.content) == (200, "90000", b"")


@pytest.mark.parametrize(
    ("wanted", "span"),
    [
        ("", (0, 100)),
        ("bytes=0-", (0, 100)),
        ("bytes=0-0", (0, 1)),
        ("bytes=10-19", (10, 20)),
        ("bytes=10-999", (10, 100)),
        ("bytes=-30", (70, 100)),
        ("bytes=-999", (0, 100)),
        ("bytes=-0", None),
        ("bytes=100-", None),
        ("bytes=20-10", (0, 100)),
        ("bytes=-", (0, 100)),
        ("bytes=0-1,5-6", (0, 100)),
        ("chapters=1-2", (0, 100)),
    ],
)
def test_ranges_are_read(wanted, span):
    assert read_range(wanted, 100) == span


def test_a_missing_file(play, anyone):
    one = play()

    assert anyone.get(film_of(one, one.finished_render("gone-file"))).status_code == 404


def test_a_first_download_that_breaks(play, anyone):
    one = play()
    render_id = one.finished_render("cut-file")

    with pytest.raises(httpx2.RemoteProtocolError):
        anyone.get(film_of(one, render_id))
    answer = anyone.get(film_of(one, render_id))

    assert hashlib.sha256(answer.content).hexdigest() == one.books()["renders"][render_id]["sha256"]
    assert one.books()["files"][render_id]["whole"] == 1
    assert one.books()["files"][render_id]["requests"] == 2


def test_downloads_meet_faults_too(play, anyone):
    one = play()
    url = film_of(one, one.finished_render())
    one.sandbox.configure(server_errors=1.0)

    assert anyone.get(url).status_code == 500


def test_a_large_file_is_streamed(play, anyone):
    one = play(film_bytes="20000000-20000000")
    render_id = one.finished_render()
    total = hashlib.sha256()
    with anyone.stream("GET", film_of(one, render_id)) as answer:
        for piece in answer.iter_bytes():
            total.update(piece)

    assert total.hexdigest() == one.sandbox.film(render_id).sha256


def test_a_download_that_is_broken_off_by_the_client(play, eventually, anyone):
    one = play(film_bytes="20000000-20000000")
    render_id = one.finished_render()
    with anyone.stream("GET", film_of(one, render_id)) as answer:
        next(answer.iter_bytes())

    eventually(lambda: one.books()["requests"].get("GET /media") == {"gone": 1})
    assert one.books()["files"][render_id]["whole"] == 0
