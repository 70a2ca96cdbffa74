"""The files of the organization: what is listed, and what the file host serves."""

from datetime import UTC, datetime
from typing import Any

from workers.sandbox.films import Film
from workers.sandbox.organization import Organization, file_id
from workers.sandbox.renders import Render

_MEGABYTE = 1_000_000
_CROP_BYTES = 20_000


def film_at(organization: Organization, path: str, now: float) -> tuple[str, Film] | None:
    """Find what is served below ``/media/``: the film of a finished render, or a crop of a job. The text is its key."""
    match path.split("/"):
        case ["crops", job_id, _]:
            crops = {f"crops/{job_id}/{number}.mp4" for number in _crop_numbers(organization, job_id)}
            return (path, Film(path, _CROP_BYTES)) if path in crops else None
        case [render_id, "out.mp4"]:
            render = organization.find_render(render_id)
            served = (
                render is not None
                and render.phase(now) == "done"
                and "gone-file" not in words_of(organization, render)
                and not organization.is_deleted(render)
            )
            return (render.id, render.film) if render and served else None
        case _:
            return None


def words_of(organization: Organization, render: Render) -> frozenset[str]:
    """Return the magic words of the render's job."""
    job = organization.find_job(render.job_id)
    return job.words if job else frozenset()


def uploads(organization: Organization, storage_mb: int, now: float) -> dict[str, Any]:
    """List totals in MB and files in bytes [SEED1, FLIST, FGET]."""
    done = [
        render
        for render in organization.renders()
        if render.phase(now) == "done" and not organization.is_deleted(render)
    ]
    used = sum(render.film.size for render in done) / _MEGABYTE
    return {
        "subSize": storage_mb,
        "usedSize": round(used, 2),
        "usedSizePercent": round(100 * used / storage_mb, 2),
        "files": [file_document(render) for render in done],
    }


def _crop_numbers(organization: Organization, job_id: str) -> range:
    job = organization.find_job(job_id)
    return range(1, len(job.shorts) + 1) if job else range(0)


def file_document(render: Render) -> dict[str, Any]:
    return {
        "id": file_id(render),
        "name": f"{render.id}.mp4",
        "type": "video",
        "size": render.film.size,
        "length": 2,
        "status": "completed",
        "description": None,
        "tags": ["short", "video"],
        "jobId": render.job_id,
        "url": render.url,
        "thumbnailUrl": None,
        "createdAt": datetime.fromtimestamp(render.ends_at, UTC).isoformat(timespec="milliseconds"),
    }
