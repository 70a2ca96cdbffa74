"""A bucket over HTTP, against a real S3 server: large files in parts, broken connections, refusals, wrong keys."""

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from tests.workers.s3server import PYTHON, S3Server, credentials
from tests.workers.test_keep import KEEPER, at_the_door, attempt, is_whole, render_of
from tests.workers.wire import Plan, Wire, answering
from workers.artifacts import Artifacts
from workers.errors import StoreUnavailable
from workers.paths import ArtifactPath, render_path, result_path

MIB = 1 << 20
RENDER = render_path("job-1", 1)
LARGE = os.urandom(MIB) * 24


@pytest.fixture
def wire(s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """Lead the client over a wire that a test may break."""
    del bucket
    with Wire(s3.port) as wire:
        monkeypatch.setenv("AWS_ENDPOINT", wire.url)
        yield wire


@pytest.fixture
def opened(bucket: str, tmp_path) -> Callable[[], Artifacts]:
    return lambda: Artifacts.open(f"s3://{bucket}/prefix", staging=tmp_path / "staging")


def keep(artifacts: Artifacts, body: bytes = LARGE) -> None:
    """Keep a file as a download does."""
    with artifacts.unfinished(RENDER, origin="rd_1") as partial:
        if not partial.size:
            partial.begin('"v1"', len(body))
            partial.write(body)
        artifacts.finish(RENDER, partial)


def digest(artifacts: Artifacts, path: ArtifactPath = RENDER) -> str:
    found = hashlib.sha256()
    for piece in artifacts.stream(path):
        found.update(piece)
    return found.hexdigest()


def test_a_large_file_goes_up_in_parts_and_comes_back_whole_and_in_ranges(s3, bucket, opened, tmp_path):
    artifacts = opened()
    keep(artifacts)
    head = s3.http.head(f"/{bucket}/prefix/{RENDER}")
    assert int(head.headers["content-length"]) == artifacts.size(RENDER) == len(LARGE)
    assert head.headers["etag"].endswith('-5"'), "five parts"
    assert digest(artifacts) == hashlib.sha256(LARGE).hexdigest()
    assert b"".join(artifacts.stream(RENDER, 5 * MIB - 7, 11 * MIB)) == LARGE[5 * MIB - 7 : 11 * MIB]
    assert list((tmp_path / "staging").iterdir()) == []
    assert s3.uploads(bucket) == []


def test_a_connection_that_is_cut_in_the_middle_of_a_part_is_made_again(s3, bucket, wire, opened):
    wire.plans += [Plan(up=7 * MIB), Plan(up=3 * MIB)]
    artifacts = opened()
    keep(artifacts)
    assert not wire.plans
    assert wire.connections >= 3
    assert digest(artifacts) == hashlib.sha256(LARGE).hexdigest()
    assert s3.uploads(bucket) == []


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_that_cannot_just_now_is_asked_again(wire, opened, status):
    wire.plans += [answering(status), answering(status)]
    artifacts = opened()
    artifacts.put(result_path("job-1"), b"{}")
    assert artifacts.get(result_path("job-1")) == b"{}"
    assert not wire.plans


def test_an_upload_that_breaks_for_good_names_nothing_and_needs_no_second_download(wire, opened):
    artifacts = opened()
    wire.usual = lambda: Plan(up=3 * MIB)
    with pytest.raises(StoreUnavailable, match="check STORAGE_URL"):
        keep(artifacts)
    wire.usual = Plan
    assert artifacts.size(RENDER) is None
    assert artifacts.list_job("job-1") == []
    with artifacts.unfinished(RENDER, origin="rd_1") as partial:
        assert partial.size == partial.total == len(LARGE)
        artifacts.finish(RENDER, partial)
    assert digest(artifacts) == hashlib.sha256(LARGE).hexdigest()


def test_a_file_that_is_put_while_the_server_cannot_is_no_file(wire, opened):
    artifacts = opened()
    wire.usual = lambda: answering(500)
    with pytest.raises(StoreUnavailable):
        artifacts.put(result_path("job-1"), b"{}")
    wire.usual = Plan
    assert artifacts.size(result_path("job-1")) is None


def test_a_read_that_breaks_off_is_made_again(wire, opened):
    artifacts = opened()
    keep(artifacts)
    wire.plans += [Plan(down=2 * MIB)]
    again = opened()
    assert digest(again) == hashlib.sha256(LARGE).hexdigest()
    assert not wire.plans


@pytest.mark.parametrize("wrong", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_a_wrong_key_is_told_and_not_repeated(s3, opened, monkeypatch, wrong):
    right = s3.user(f"user-{wrong.lower()}")
    s3.guard(on=True)
    try:
        for name, value in right.items():
            monkeypatch.setenv(name, value)
        opened().put(result_path("job-1"), b"{}")
        monkeypatch.setenv(wrong, "Zx9wrongWrongWrong")
        with pytest.raises(StoreUnavailable, match=r"403|denied|Forbidden|permission.*its credentials") as caught:
            opened().put(result_path("job-1"), b"other")
    finally:
        s3.guard(on=False)
    assert "check STORAGE_URL, its credentials" in caught.value.message
    assert "Zx9" not in caught.value.message
    assert opened().get(result_path("job-1")) == b"{}"


def test_a_bucket_that_is_not_there_names_the_fix(bucket, tmp_path):
    artifacts = Artifacts.open(f"s3://not-{bucket}/x", staging=tmp_path)
    for attempt_ in (
        lambda: artifacts.put(result_path("job-1"), b"x"),
        lambda: artifacts.list_job("job-1"),
        lambda: keep(artifacts),
    ):
        with pytest.raises(StoreUnavailable, match=rf"s3://not-{bucket}/x: .*that the bucket exists"):
            attempt_()


def test_nobody_there_is_told_too(opened, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(StoreUnavailable):
        opened().size(RENDER)


SIGNATURE = """
import sys
from urllib.parse import parse_qs, urlsplit
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
base, _, query = sys.argv[1].partition("?")
said = {name: values[0] for name, values in parse_qs(query).items()}
signer = S3SigV4QueryAuth(Credentials(sys.argv[2], sys.argv[3]), "s3", sys.argv[4], expires=int(said["X-Amz-Expires"]))
request = AWSRequest("GET", base)
request.context["timestamp"] = said["X-Amz-Date"]
signer._modify_request_before_signing(request)
print(signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request))
"""


def test_a_signed_url_is_read_without_a_key_and_signed_as_amazons_own_library_does(s3, opened):
    artifacts = opened()
    artifacts.put(result_path("job-1"), b"0123456789")
    url = artifacts.signed_url(result_path("job-1"), 90)
    assert httpx2.get(url, trust_env=False).content == b"0123456789"
    part = httpx2.get(url, headers={"Range": "bytes=2-4"}, trust_env=False)
    assert (part.status_code, part.content) == (206, b"234")
    said = parse_qs(urlsplit(url).query)
    assert said["X-Amz-Expires"] == ["90"]
    ours = credentials(s3.url)
    key = [ours[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")]
    assert key[1] not in url
    found = subprocess.run([PYTHON, "-c", SIGNATURE, url, *key], capture_output=True, text=True, check=True)  # noqa: S603 - our own words
    assert said["X-Amz-Signature"] == [found.stdout.strip()]


def test_whatever_is_not_there_is_signed_all_the_same(opened):
    assert (opened().signed_url(RENDER, 60) or "").startswith("http")


def test_a_disk_signs_nothing(tmp_path):
    assert Artifacts.open(tmp_path.as_uri()).signed_url(RENDER, 60) is None


# The whole way.


def test_a_job_goes_into_the_bucket(make_station: Callable[..., Any], bucket: str) -> None:
    station = make_station(STORAGE_URL=f"s3://{bucket}/prefix")
    view = station.done("cut-file")
    assert view.summary.state == "finished"
    books = station.sandbox.books()
    for render in view.renders:
        path = render_path(view.summary.id, render.n)
        theirs = books["renders"][render.render_id]
        assert digest(station.services.artifacts, path) == render.sha256 == theirs["sha256"]
        assert books["files"][render.render_id]["bytes"] == theirs["file_bytes"]
    assert list((station.data_dir / "staging").iterdir()) == []


def test_a_process_that_is_killed_at_its_upload_costs_no_second_download(
    make_station: Callable[..., Any], s3: S3Server, bucket: str, redis_url: str
) -> None:
    station = make_station({"shorts": 1, "film_bytes": f"{12 * MIB}"}, STORAGE_URL=f"s3://{bucket}/prefix")
    job_id = at_the_door(station)
    data = str(station.services.settings.data_dir)
    with Wire(s3.port) as wire:
        plan = Plan(down=0, hold=threading.Event())
        wire.plans.append(plan)
        env = {
            **os.environ,
            **credentials(wire.url),
            "REDIS_URL": redis_url,
            "DATA_DIR": data,
            "STORAGE_URL": f"s3://{bucket}/prefix",
            "TRUSTED_NETWORKS": "127.0.0.0/8",
        }
        command = [sys.executable, "-c", KEEPER, f"{job_id}/1", render_of(station, job_id)["attempt"]]
        with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL) as keeper:  # noqa: S603 - our own words
            assert plan.held.wait(30)
            keeper.kill()
    assert station.services.artifacts.size(render_path(job_id, 1)) is None
    attempt(station, job_id)
    assert station.state(job_id) == "finished"
    assert is_whole(station, job_id)
    render = render_of(station, job_id)
    row = station.sandbox.books()["files"][render["render_id"]]
    assert (row["requests"], row["bytes"]) == (1, 12 * MIB)
