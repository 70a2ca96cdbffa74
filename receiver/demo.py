"""Five jobs through the whole chain, and a hard look at what came home."""

import contextlib
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from receiver import progress
from receiver.api_client import Api
from receiver.order import order
from receiver.sightings import JobSighting, RenderSighting
from receiver.trial import Trial, TrialFailed
from workers.paths import render_path

VIDEOS: Final = (
    "harbour-day",
    "https://www.youtube.com/watch?v=night-trains",
    "tide-talk-1",
    "https://youtu.be/two-bakers",
    "https://cdn.example.org/lecture.mp4",
)
# Every dialect and every callback body that the sandbox knows, at a pace that can be watched.
CHOSEN: Final = {
    "SANDBOX_DIALECT": "mixed",
    "SANDBOX_WEBHOOK_BODIES": "mixed",
    "SANDBOX_JOB_SECONDS": "2",
    "SANDBOX_RENDER_SECONDS": "2",
    "SANDBOX_QUEUE_SECONDS": "0.5",
    "WEB_CONCURRENCY": "1",
    "LOG_FORMAT": "json",
}
_LONGEST_S: Final = 240.0


@dataclass(frozen=True, slots=True)
class Video:
    """A file that was brought home, as it lies on the disk. ``problem`` is empty when it is as it should be."""

    path: Path
    size: int
    sha256: str
    problem: str


def run(trial: Trial, out: TextIO, *, now: Callable[[], float] = time.monotonic) -> list[JobSighting]:
    """Submit the jobs to a started trial, show them until all are settled, and return how they stand."""
    deadline = now() + _LONGEST_S

    def look(api: Api, jobs: Sequence[JobSighting]) -> list[JobSighting]:
        if now() > deadline:
            raise TrialFailed(f"not every job was settled within {_LONGEST_S:g} s; see {trial.log_path}")
        return [api.job(job.subject) for job in jobs]

    with contextlib.closing(trial.api()) as api, progress.board(out) as shown:
        jobs = [_submit(api, video) for video in VIDEOS]
        return progress.follow(lambda: look(api, jobs), shown)


def _submit(api: Api, video: str) -> JobSighting:
    body = order(video, function="VideoShorts", options=(), metadata=("from=demo",), render=True)
    return api.submit(body, idempotency_key=None, wait=True)


def videos(jobs: Sequence[JobSighting], artifacts: Path) -> list[Video]:
    """Look at the file of every render: there, of the size and hash that were stated, and an MP4."""
    return [_video(artifacts / render_path(job.job_id, render.n), render) for job in jobs for render in job.renders]


def _video(path: Path, stated: RenderSighting) -> Video:
    if not path.is_file():
        return Video(path, 0, "", f"is missing; its render is {stated.state} {stated.reason}".rstrip())
    with path.open("rb") as file:
        head = file.read(12)
        size = path.stat().st_size
        file.seek(0)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    problem = ""
    if (size, sha256) != (stated.size, stated.sha256):
        problem = f"is not what was stated: {stated.size} bytes, sha256 {stated.sha256}"
    elif head[4:8] != b"ftyp":
        problem = f"does not begin like an MP4: {head!r}"
    return Video(path, size, sha256, problem)


def faults(jobs: Sequence[JobSighting], found: Sequence[Video]) -> list[str]:
    """Say everything that is not as it should be."""
    unfinished = [job.summary() for job in jobs if not job.finished]
    empty = [f"{job.subject} is finished without a single video" for job in jobs if job.finished and not job.renders]
    return unfinished + empty + [f"{video.path} {video.problem}" for video in found if video.problem]
