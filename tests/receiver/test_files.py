import hashlib
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from obstore.store import S3Store

from receiver import files
from receiver.app import create_app
from workers.artifacts import Artifacts
from workers.buckets import Bucket
from workers.errors import StoreUnavailable
from workers.identifiers import JobSubject, RefSubject, RenderSubject
from workers.paths import callback_path, render_path, result_path

FILM = bytes(range(256)) * 40
URL = "/api/jobs/job_1/renders/1/file"


@pytest.fixture
def job(services):
    """A job with a kept result and two renders: the first kept, the second not."""
    ledger = services.ledger
    ledger.accept(ref="", job_id="job_1", receipt="rc1", digest="d", meta={"size": 3}, body=b"<b>")
    services.artifacts.put(result_path("job_1"), b'{"id":"job_1","status":"COMPLETED"}')
    record = ledger.claim(JobSubject("job_1"), "fetch")
    ledger.plan(record, [{"short": {"id": 1}, "request": {}}, {"short": {"id": 2}, "request": {}}], {"shorts": 2})
    kept = services.artifacts.put(render_path("job_1", 1), FILM)
    for state in ("starting", "queued", "keeping", "kept"):
        record = ledger.claim(RenderSubject("job_1", 1), "render")
        ledger.move(record, state, wait_s=60, fields={"size": kept.size, "sha256": kept.sha256})
    return services


@pytest.mark.usefixtures("job")
def test_the_result_as_it_was_kept(api):
    answer = api.get("/api/jobs/job_1/result")
    assert answer.status_code == 200
    assert answer.content_type == "application/json"
    assert answer.data == b'{"id":"job_1","status":"COMPLETED"}'
    assert answer.headers["Content-Length"] == "35"


@pytest.mark.usefixtures("job")
def test_a_whole_video(api):
    answer = api.get(URL)
    assert answer.status_code == 200
    assert answer.data == FILM
    assert answer.content_type == "video/mp4"
    assert answer.headers["Content-Length"] == str(len(FILM))
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["ETag"] == f'"{hashlib.sha256(FILM).hexdigest()}"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.usefixtures("job")
def test_head_tells_the_size_and_reads_nothing(api):
    answer = api.head(URL)
    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(FILM))


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, len(FILM)),
        ("bytes=100-199", 100, 200),
        ("bytes=100-999999", 100, len(FILM)),
        ("bytes=-10", len(FILM) - 10, len(FILM)),
        ("bytes=-999999", 0, len(FILM)),
        (f"bytes={len(FILM) - 1}-", len(FILM) - 1, len(FILM)),
    ],
)
@pytest.mark.usefixtures("job")
def test_a_range(api, wanted, start, end):
    answer = api.get(URL, headers={"Range": wanted})
    assert answer.status_code == 206
    assert answer.data == FILM[start:end]
    assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(FILM)}"
    assert answer.headers["Content-Length"] == str(end - start)


@pytest.mark.parametrize("wanted", [f"bytes={len(FILM)}-", "bytes=99999-100000"])
@pytest.mark.usefixtures("job")
def test_a_range_outside_the_file(api, wanted):
    answer = api.get(URL, headers={"Range": wanted})
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{len(FILM)}"
    assert answer.content_type == "application/problem+json"


@pytest.mark.parametrize(
    "wanted", ["bytes=0-1,5-6", "lines=1-2", "bytes=x-y", "bytes", "bytes=5-1", "bytes=" + "9" * 3000]
)
@pytest.mark.usefixtures("job")
def test_a_range_that_is_not_served_gives_the_whole(api, wanted):
    answer = api.get(URL, headers={"Range": wanted})
    assert answer.status_code == 200
    assert answer.data == FILM


@pytest.mark.usefixtures("job")
def test_if_range_guards_against_mixing_two_files(api):
    etag = api.head(URL).headers["ETag"]
    for condition, status in [(etag, 206), ('"other"', 200), ("Sat, 01 Jan 2028 00:00:00 GMT", 200)]:
        assert api.get(URL, headers={"Range": "bytes=0-9", "If-Range": condition}).status_code == status


@pytest.mark.usefixtures("job")
def test_a_file_that_is_had_already_is_not_sent_again(api):
    etag = api.head(URL).headers["ETag"]
    answer = api.get(URL, headers={"If-None-Match": etag})
    assert (answer.status_code, answer.data) == (304, b"")


@pytest.mark.parametrize(
    "path", ["renders/2/file", "renders/3/file", "renders/0/file", "renders/x/file", "callbacks/other"]
)
@pytest.mark.usefixtures("job")
def test_what_is_not_there_is_not_found(api, path):
    answer = api.get(f"/api/jobs/job_1/{path}")
    assert answer.status_code == 404
    assert answer.content_type == "application/problem+json"


def test_a_result_that_is_not_kept_yet_is_not_found(api, services):
    services.ledger.link("", "job_1", first_ms=1000, by="test")
    answer = api.get("/api/jobs/job_1/result")
    assert answer.status_code == 404
    assert "waiting" in answer.json["detail"]


def test_a_kept_file_that_is_gone_is_our_fault(api, job):
    job.artifacts.delete_job("job_1")
    for path in (URL, "/api/jobs/job_1/result"):
        assert api.get(path).status_code == 503


def test_a_callback_is_saved_and_never_shown(api, job):
    for _ in range(2):
        answer = api.get("/api/jobs/job_1/callbacks/rc1")
        assert answer.data == b"<b>"
        assert answer.content_type == "application/octet-stream"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="callback-rc1"'
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        job.artifacts.put(callback_path("job_1", "rc1"), b"<b>")
        job.ledger.drop_bodies(JobSubject("job_1"), ["rc1"])


def test_a_callback_of_a_submission_without_a_job(api, services, ref):
    services.ledger.accept(ref=ref, job_id="", receipt="rc1", digest="d", meta={}, body=b"early")
    assert api.get(f"/api/jobs/{ref}/callbacks/rc1").data == b"early"
    services.ledger.drop_bodies(RefSubject(ref), ["rc1"])
    assert api.get(f"/api/jobs/{ref}/callbacks/rc1").status_code == 404


@pytest.mark.usefixtures("job")
def test_only_so_many_are_read_at_once(app, admin_of):
    client = admin_of(app)
    reading = [client.get(URL) for _ in range(files.STREAMS_AT_ONCE)]
    refused = client.get(URL)
    assert refused.status_code == 503
    assert refused.headers["Retry-After"] == "5"
    assert refused.json["type"] == "/problems/crowded"
    reading[0].close()
    assert client.get(URL).status_code == 200


class Broken:
    """A store that knows sizes and cannot read."""

    def __init__(self, artifacts: Artifacts) -> None:
        self.size = artifacts.size

    def stream(self, *_):
        raise StoreUnavailable("the bucket at 10.0.0.7 is away")


def test_a_store_that_fails_is_a_problem_and_not_a_broken_answer(job, admin_of):
    client = admin_of(create_app(replace(job, artifacts=Broken(job.artifacts))))
    for _ in range(files.STREAMS_AT_ONCE + 1):
        answer = client.get(URL)
        assert answer.status_code == 503
        assert answer.json["type"].endswith("store-unavailable")
        assert "10.0.0.7" not in answer.text


@pytest.mark.usefixtures("job")
def test_a_callback_that_is_had_already_is_not_sent_again(api):
    url = "/api/jobs/job_1/callbacks/rc1"
    answer = api.get(url, headers={"If-None-Match": api.get(url).headers["ETag"]})
    assert (answer.status_code, answer.data) == (304, b"")


def test_a_result_that_is_had_already_is_not_sent_again(api, services):
    kept = services.artifacts.put(result_path("job_2"), b"{}")
    services.ledger.link("", "job_2", first_ms=1000, by="test")
    services.ledger.plan(services.ledger.claim(JobSubject("job_2"), "fetch"), [], {"result_sha256": kept.sha256})
    first = api.get("/api/jobs/job_2/result")
    assert first.headers["ETag"] == f'W/"{kept.sha256}"'
    asked = {"If-None-Match": first.headers["ETag"]}
    assert api.get("/api/jobs/job_2/result", headers=asked).status_code == 304
    # A weak tag vouches for no bytes, so no part is served by it.
    part = {"Range": "bytes=0-0", "If-Range": first.headers["ETag"]}
    assert api.get("/api/jobs/job_2/result", headers=part).status_code == 200


@pytest.fixture
def in_bucket(job, admin_of):
    """The same job, its files in a bucket; links to it are made without asking it."""
    keys = {"access_key_id": "id", "secret_access_key": "secret", "region": "eu-central-1"}
    bucket = Bucket("s3://films", lambda _timeout_s: S3Store("films", **keys))
    return admin_of(create_app(replace(job, artifacts=Artifacts(bucket))))


def test_a_video_in_a_bucket_is_fetched_there_by_who_asks_for_it(in_bucket):
    answer = in_bucket.get(f"{URL}?redirect=true")
    assert answer.status_code == 307
    assert answer.headers["Cache-Control"] == "no-store"
    link = urlsplit(answer.headers["Location"])
    assert (link.scheme, link.path) == ("https", "/films/jobs/job_1/renders/1.mp4")
    assert {"X-Amz-Expires": ["300"], "X-Amz-Algorithm": ["AWS4-HMAC-SHA256"]}.items() <= parse_qs(link.query).items()


def test_who_has_the_video_is_not_sent_to_the_bucket(in_bucket, api):
    etag = api.head(URL).headers["ETag"]
    assert in_bucket.get(f"{URL}?redirect=true", headers={"If-None-Match": etag}).status_code == 304


@pytest.mark.parametrize("query", ["", "?redirect=false", "?redirect=true"])
@pytest.mark.usefixtures("job")
def test_a_video_on_a_disk_is_streamed(api, query):
    assert api.get(URL + query).data == FILM


@pytest.mark.usefixtures("job")
def test_to_be_redirected_is_true_or_false(api):
    assert api.get(f"{URL}?redirect=yes").status_code == 400
