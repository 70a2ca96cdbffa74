"""The page of the books that lists jobs and renders."""

import math
from typing import Any

from workers.sandbox.books import Books
from workers.sandbox.jobs import Job
from workers.sandbox.organization import Organization
from workers.sandbox.renders import Render


def accounts(organization: Organization, books: Books, now: float, *, hashes: bool) -> dict[str, Any]:
    """Return ``jobs`` and ``renders`` by id, and ``renders_per_short``. ``hashes`` reads each film, the first time."""
    job_polls, render_polls = books.polls("job"), books.polls("render")
    renders = organization.renders()
    per_short: dict[str, dict[str, int]] = {}
    for render in renders:
        counts = per_short.setdefault(render.job_id, {})
        counts[str(render.short)] = counts.get(str(render.short), 0) + 1
    return {
        "jobs": {
            job.id: _job(job, now) | {"polls": job_polls.get(job.id, 0), "answered": not books.is_unanswered(job.id)}
            for job in organization.jobs()
        },
        "renders": {
            render.id: _render(render, now, hashes=hashes)
            | {"polls": render_polls.get(render.id, 0), "answered": not books.is_unanswered(render.id)}
            for render in renders
        },
        "renders_per_short": per_short,
    }


def _job(job: Job, now: float) -> dict[str, Any]:
    return {
        "video": job.video,
        "title": job.title,
        "dialect": job.dialect,
        "words": sorted(job.words),
        "webhook": job.webhook,
        "body_form": job.body_form,
        "phase": job.phase(now),
        "created_at": job.created_at,
        "ends_at": job.ends_at if job.ends_at < math.inf else None,
        "shorts": [short.id for short in job.shorts],
    }


def _render(render: Render, now: float, *, hashes: bool) -> dict[str, Any]:
    film = render.film
    return {
        "job": render.job_id,
        "short": render.short,
        "phase": render.phase(now),
        "created_at": render.created_at,
        "ends_at": render.ends_at,
        "url": render.url,
        "size": render.size,
        "file_bytes": film.size,
        "sha256": film.sha256 if hashes else None,
    }
