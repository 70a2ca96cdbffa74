"""The jobs, renders and brand presets of the one organization that owns the API key."""

import threading
from collections.abc import Callable
from typing import Any

from workers.sandbox.answers import Refused, answer, error, forbidden, invalid, not_found
from workers.sandbox.books import Books
from workers.sandbox.chance import Chance
from workers.sandbox.config import SandboxConfig
from workers.sandbox.drafts import draft_job, draft_render
from workers.sandbox.fields import names
from workers.sandbox.jobs import Job
from workers.sandbox.render_orders import RenderOrder
from workers.sandbox.renders import Render
from workers.sandbox.submissions import Submission

REFUSALS = ("full-storage", "no-phone", "no-credit")


def file_id(render: Render) -> str:
    return f"file_{render.id}"


class Organization:
    """Safe for threads: jobs and renders never change, and the two dictionaries are only met under the lock."""

    def __init__(
        self,
        *,
        config: Callable[[], SandboxConfig],
        chance: Chance,
        books: Books,
        now: Callable[[], float],
        files: Callable[[], str],
    ) -> None:
        self._config = config
        self._chance = chance
        self._books = books
        self._now = now
        self._files = files
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self._renders: dict[str, Render] = {}
        self._deleted: set[str] = set()

    def submit(self, submission: Submission) -> Job:
        config = self._config()
        for word in REFUSALS:
            if word in submission.words or word == config.refuse:
                raise Refused(forbidden(word, config.storage_mb))
        job = draft_job(submission, config=config, chance=self._chance, now=self._now())
        with self._lock:
            self._jobs[job.id] = job
        return job

    def find_job(self, job_id: str) -> Job | None:
        with self._lock:
            return self._jobs.get(job_id)

    def find_render(self, render_id: str) -> Render | None:
        with self._lock:
            return self._renders.get(render_id)

    def render_of_file(self, name: str, now: float) -> Render:
        """Raise Refused, a 404, for a file that is unknown or deleted [FGET, FDEL]."""
        found = next((render for render in self.renders() if file_id(render) == name), None)
        if found is None or found.phase(now) != "done" or self.is_deleted(found):
            raise Refused(answer(404, {"message": "File not found"}))
        return found

    def delete_file_of(self, render: Render) -> None:
        """For good [FDEL]."""
        with self._lock:
            self._deleted.add(file_id(render))

    def is_deleted(self, render: Render) -> bool:
        with self._lock:
            return file_id(render) in self._deleted

    def job(self, job_id: str) -> Job:
        """Raise Refused, a 404, for a job that is unknown or archived."""
        job = self.find_job(job_id)
        if job is None or job.phase(self._now()) == "archived":
            raise Refused(not_found("Job not found"))
        return job

    def render_short(self, order: RenderOrder) -> Render:
        job = self.job(order.job_id)
        if order.old_name and job.dialect != "g1":
            raise Refused(invalid("The 'id' parameter is required."))
        if job.phase(self._now()) != "completed":
            raise Refused(invalid("The job is not completed."))
        self._check_brand_preset(order.brand_preset)
        short = job.short(order.target)
        if short is None:
            self._books.count("unknown_targets")
            raise Refused(not_found("Short not found"))
        with self._lock:
            number = len(self._renders)
            render = draft_render(
                job, short, number, config=self._config(), chance=self._chance, now=self._now(), files=self._files()
            )
            self._renders[render.id] = render
        return render

    def render(self, render_id: str) -> Render:
        """Raise Refused, a 404, for a render that is unknown."""
        render = self.find_render(render_id)
        if render is None:
            raise Refused(not_found("Render not found"))
        return render

    def jobs(self) -> list[Job]:
        with self._lock:
            return list(self._jobs.values())

    def renders(self) -> list[Render]:
        with self._lock:
            return list(self._renders.values())

    def brand_presets(self) -> list[dict[str, Any]]:
        config = self._config()
        active, inactive = names(config.brand_presets), names(config.inactive_brand_presets)
        return [
            {"id": name, "name": name.title(), "preset": "VIRAL", "isActive": name in active, "isDefault": False}
            for name in active + inactive
        ]

    def forget(self) -> None:
        with self._lock:
            self._jobs.clear()
            self._renders.clear()
            self._deleted.clear()

    def _check_brand_preset(self, name: str) -> None:
        """The messages are documented, the shape around them is not [PR3]."""
        config = self._config()
        if name and name in names(config.inactive_brand_presets):
            raise Refused(error(400, "Selected brand preset is inactive", "INVALID_INPUT"))
        if name and name not in names(config.brand_presets):
            raise Refused(not_found("Brand preset not found for this organization"))
