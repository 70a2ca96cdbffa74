"""``export`` over the real API, from a store that is honest and from one that is not."""

import contextlib
import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from receiver.cli import cli
from receiver.export import parts
from workers.archive import keep_callbacks
from workers.identifiers import JobSubject, RenderSubject
from workers.paths import render_path, result_path
from workers.services import Services

FILM = bytes(range(256)) * 10_000
RESULT = b'{"id": "job_1", "status": "COMPLETED"}'
Run = Callable[..., Result]


@pytest.fixture
def service(serve: Callable[..., Services]) -> Services:
    return serve()


@pytest.fixture
def job(service: Services) -> Services:
    """A job with a result, two callbacks, one of them not in the files yet, and one kept video of two."""
    ledger = service.ledger
    ledger.accept(ref="", job_id="job_1", receipt="rc1", digest="d1", meta={}, body=b"\x00<first>")
    service.artifacts.put(result_path("job_1"), RESULT)
    record = ledger.claim(JobSubject("job_1"), "fetch")
    keep_callbacks(ledger, service.artifacts, JobSubject("job_1"))
    ledger.plan(record, [{"short": {"id": n}, "request": {}} for n in (1, 2)], {"shorts": 2})
    ledger.accept(ref="", job_id="job_1", receipt="rc2", digest="d2", meta={}, body=b"second")
    kept = service.artifacts.put(render_path("job_1", 1), FILM)
    for state in ("starting", "queued", "keeping", "kept"):
        record = ledger.claim(RenderSubject("job_1", 1), "render")
        ledger.move(record, state, wait_s=60, fields={"size": kept.size, "sha256": kept.sha256})
    return service


@pytest.fixture
def run(env: dict[str, str], tmp_path: Path) -> Iterator[Run]:
    with contextlib.chdir(tmp_path):
        yield lambda *words: CliRunner().invoke(cli, ["export", *words], obj=env, catch_exceptions=False)


@pytest.mark.usefixtures("job")
def test_everything_of_a_job_is_in_the_zip(run: Run, tmp_path: Path) -> None:
    result = run("job_1")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "6 files in job_1.zip")
    with zipfile.ZipFile(tmp_path / "job_1.zip") as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(found.pop("manifest.json"))
    assert json.loads(found.pop("job.json"))["state"] == "rendering"
    assert found == {
        "result.json": RESULT,
        "callbacks/rc1": b"\x00<first>",
        "callbacks/rc2": b"second",
        "renders/1.mp4": FILM,
    }
    assert manifest["job"] == "job_1"
    told = {one["path"]: (one["size"], one["sha256"]) for one in manifest["files"] if one["path"] != "job.json"}
    assert told == {name: (len(body), hashlib.sha256(body).hexdigest()) for name, body in found.items()}
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


@pytest.mark.usefixtures("job")
def test_a_file_that_is_there_is_not_written_over(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.zip").write_bytes(b"mine")
    result = run("job_1", "--out", "mine.zip")
    assert result.exit_code == 1
    assert "is there already" in result.stderr
    assert (tmp_path / "mine.zip").read_bytes() == b"mine"


@pytest.mark.usefixtures("job")
def test_a_place_that_cannot_be_written_is_told(run: Run) -> None:
    result = run("job_1", "--out", "no/such/folder.zip")
    assert result.exit_code == 1
    assert "name another --out" in result.stderr


def test_a_video_that_is_not_what_was_kept_is_refused_and_leaves_nothing(
    run: Run, job: Services, tmp_path: Path
) -> None:
    job.artifacts.put(render_path("job_1", 1), FILM[:-1] + b"x")
    result = run("job_1")
    assert result.exit_code == 1
    assert "renders/1.mp4 has the SHA-256" in result.stderr
    assert list(tmp_path.glob("*.zip*")) == []


@pytest.mark.usefixtures("service")
def test_a_job_that_is_not_known_is_told(run: Run, tmp_path: Path) -> None:
    result = run("job_7")
    assert result.exit_code == 1
    assert "no job is known here" in result.stderr
    assert list(tmp_path.glob("*.zip*")) == []


def test_a_job_that_has_nothing_yet_is_its_document(run: Run, service: Services, tmp_path: Path) -> None:
    ref = "r" * 22
    service.ledger.open_ref(ref, state="open", fields={}, due_ms=None)
    assert run(ref, "--out", "it.zip").exit_code == 0
    with zipfile.ZipFile(tmp_path / "it.zip") as archive:
        assert archive.namelist() == ["job.json", "manifest.json"]


def test_no_name_from_outside_leads_out_of_the_zip() -> None:
    renders = [{"n": "../9", "file": "x"}, {"n": -1, "file": "x"}, {"n": 3, "file": None}, None]
    callbacks = [{"receipt": "../../etc/passwd"}, {"receipt": 5}, {"receipt": "rc-1"}, "x"]
    found = [part.name for part in parts({"id": "job_1", "renders": renders, "callbacks": callbacks})]
    assert found == ["result.json", "callbacks/rc-1"]
