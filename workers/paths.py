"""Where artifacts lie inside the store. Every path is built here, from checked parts only."""

import re
from typing import NewType

from workers.errors import InvalidInput
from workers.identifiers import job_id as checked_job_id

ArtifactPath = NewType("ArtifactPath", str)

_RECEIPT = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_LAST_RENDER = 999_999
_PATH = re.compile(
    r"jobs/[A-Za-z0-9_-]{1,128}/(?:result\.json|callbacks/[A-Za-z0-9_-]{1,64}|renders/[1-9][0-9]{0,5}\.mp4)", re.ASCII
)


def job_folder(job_id: str) -> ArtifactPath:
    """Give the folder that holds everything kept for one job: ``jobs/<id>``."""
    return ArtifactPath(f"jobs/{checked_job_id(job_id)}")


def result_path(job_id: str) -> ArtifactPath:
    return ArtifactPath(f"{job_folder(job_id)}/result.json")


def artifact_path(text: str) -> ArtifactPath:
    """Read such a path; raise ``InvalidInput`` for what is none of ours."""
    match = _PATH.fullmatch(text)
    if match is None:
        raise InvalidInput("this is no path of a file that is kept here", got=repr(text)[:120])
    return ArtifactPath(text)


def callback_path(job_id: str, receipt: str) -> ArtifactPath:
    if not isinstance(receipt, str) or _RECEIPT.fullmatch(receipt) is None:
        raise InvalidInput("a receipt is 1 to 64 letters, digits, '-' and '_'", got=repr(receipt)[:80])
    return ArtifactPath(f"{job_folder(job_id)}/callbacks/{receipt}")


def render_path(job_id: str, n: int) -> ArtifactPath:
    """``n`` counts from 1."""
    if not isinstance(n, int) or isinstance(n, bool) or not 1 <= n <= _LAST_RENDER:
        raise InvalidInput(f"a render is numbered 1 to {_LAST_RENDER}", got=type(n).__name__)
    return ArtifactPath(f"{job_folder(job_id)}/renders/{n}.mp4")
