import hashlib
import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from receiver.cli import cli
from receiver.demo import VIDEOS, faults, videos
from receiver.sightings import read_job
from receiver.trial import Trial, TrialFailed, foreign, free_ports

FILM = b"\x00\x00\x00\x18ftypisom" + b"film" * 100


def finished(film: bytes = FILM, **changes: object):
    render = {"n": 1, "state": "kept", "size": len(film), "sha256": hashlib.sha256(film).hexdigest(), **changes}
    return read_job({"id": "j1", "state": "finished", "renders": [render]})


def wrong_with(job, folder) -> list[str]:
    return faults([job], videos([job], folder))


@pytest.fixture
def kept(tmp_path):
    path = tmp_path / "jobs" / "j1" / "renders" / "1.mp4"
    path.parent.mkdir(parents=True)
    path.write_bytes(FILM)
    return path


def test_a_video_that_is_as_stated_is_fine(kept, tmp_path):
    (video,) = videos([finished()], tmp_path)
    assert (video.path, video.size, video.problem) == (kept, len(FILM), "")
    assert wrong_with(finished(), tmp_path) == []


def test_a_missing_video_is_found(tmp_path):
    (fault,) = wrong_with(finished(state="failed", reason="no luck"), tmp_path)
    assert fault.endswith("is missing; its render is failed no luck")


@pytest.mark.parametrize("change", [{"size": 1}, {"sha256": "0" * 64}, {"size": None}])
@pytest.mark.usefixtures("kept")
def test_a_video_that_is_not_what_was_stated_is_found(tmp_path, change):
    (fault,) = wrong_with(finished(**change), tmp_path)
    assert "is not what was stated" in fault


def test_a_file_that_is_no_film_is_found(kept, tmp_path):
    kept.write_bytes(b"<html>not found")
    (fault,) = wrong_with(finished(film=b"<html>not found"), tmp_path)
    assert "does not begin like an MP4" in fault


def test_jobs_that_did_not_finish_and_jobs_without_videos_are_found(tmp_path):
    jobs = [read_job({"id": "j1", "state": "parked", "reason": "why"}), read_job({"id": "j2", "state": "finished"})]
    assert faults(jobs, videos(jobs, tmp_path)) == ["j1 parked: why", "j2 is finished without a single video"]


def test_no_variable_of_ours_gets_into_a_trial(tmp_path):
    env = {"SWIFTIA_API_KEY": "real", "REDIS_URL": "redis://r", "SANDBOX_5XX": "1", "DELIVERY_URL": "x", "PATH": "/bin"}
    assert foreign(env) == {"PATH": "/bin"}
    trial = Trial(tmp_path, env, {"WORKERS": "1"})
    assert trial.settings.swiftia_api_key is None
    assert (trial.settings.workers, trial.settings.data_dir) == (1, tmp_path)


def test_free_ports_differ():
    assert len(set(free_ports(20))) == 20


def test_a_trial_that_cannot_start_says_why_with_the_last_words_of_its_log(tmp_path):
    with pytest.raises(TrialFailed, match="SANDBOX_DIALEKT") as caught, Trial(tmp_path, {}, {"SANDBOX_DIALEKT": "g3"}):
        pytest.fail("it started")
    assert str(tmp_path / "up.log") in caught.value.message


@pytest.mark.slow
def test_the_demo_brings_five_jobs_home_without_a_terminal(tmp_path):
    done = subprocess.run(  # noqa: S603 - the command is our own
        [sys.executable, "-m", "receiver", "demo", "--data-dir", str(tmp_path / "demo")],
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert sum(" finished, 3 of 3 videos" in line for line in lines) == len(VIDEOS)
    films = list((tmp_path / "demo" / "artifacts").rglob("*.mp4"))
    assert len(films) == 3 * len(VIDEOS)
    assert all(str(film) in done.stdout for film in films)
    assert all(hashlib.sha256(film.read_bytes()).hexdigest() in done.stdout for film in films)
    assert lines[-1] == "5 jobs finished, 15 videos checked, everything stopped"


@pytest.mark.slow
def test_the_benchmark_measures_every_job(tmp_path):
    result = CliRunner().invoke(
        cli, ["bench", "--jobs", "2", "--results", str(tmp_path)], obj={}, catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    (raw,) = tmp_path.glob("callback-to-kept-*.json")
    measured = json.loads(raw.read_text())
    for part in ("idle", "at_once"):
        assert [one["state"] for one in measured[part]["raw"]] == ["finished"] * 2
        assert all(one["kept_s"] is not None for one in measured[part]["raw"])
    assert measured["redis_bytes_per_job"] > 0
    assert '"raw"' not in result.stdout
