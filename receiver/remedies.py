"""What a person does about jobs: set them going again, or erase every trace of them."""

from typing import Final

from flask import Blueprint, Response, request

from receiver import requests
from receiver.answers import empty_answer, json_answer
from receiver.jobs import find
from workers.artifacts import Artifacts
from workers.catalog import Catalog
from workers.errors import Conflict, InvalidInput, NotFound
from workers.identifiers import JobSubject
from workers.ledger import Ledger
from workers.states import JobState

# One call stays short; whoever has more to retry calls again.
MOST_AT_ONCE: Final = 1000
_RETRYABLE: Final = (JobState.PARKED, JobState.FAILED)


class Remedies:
    def __init__(self, ledger: Ledger, catalog: Catalog, artifacts: Artifacts) -> None:
        self._ledger = ledger
        self._catalog = catalog
        self._artifacts = artifacts

    def add_to(self, api: Blueprint) -> None:
        api.add_url_rule("/jobs/retry", view_func=self.retry_many, methods=["POST"])
        api.add_url_rule("/jobs/<name>/retry", view_func=self.retry, methods=["POST"])
        api.add_url_rule("/jobs/<name>", view_func=self.erase, methods=["DELETE"])

    def retry(self, name: str) -> Response:
        """``retried`` counts what was set going: the job, or each of its renders."""
        view = find(self._catalog, name)
        retried = self._ledger.retry(view.subject)
        if not retried:
            raise Conflict(f"the job is {view.summary.state} and nothing of it is parked or failed to be retried")
        return json_answer({"retried": retried}, 202)

    def retry_many(self) -> Response:
        """``jobs``: how many were set going. ``more``: whether there were too many for one call."""
        state = requests.state_of(request)
        if state not in _RETRYABLE:
            raise InvalidInput(f"state is {' or '.join(_RETRYABLE)}: what else is there cannot be retried")
        jobs, retried = 0, 0
        for subject in self._catalog.subjects(state):
            if jobs == MOST_AT_ONCE:
                return json_answer({"jobs": jobs, "retried": retried, "more": True}, 202)
            going = self._ledger.retry(subject)
            jobs += going > 0
            retried += going
        return json_answer({"jobs": jobs, "retried": retried, "more": False}, 202)

    def erase(self, name: str) -> Response:
        """Repeating it, after an answer that was lost or a crash halfway, is no error."""
        view = self._catalog.find(name)
        if view is None:
            if self._catalog.is_erased(name):
                return empty_answer()
            raise NotFound("no job is known here by that id or ref")
        self._ledger.fence(view.subject)
        if isinstance(view.subject, JobSubject):
            self._artifacts.delete_job(view.subject.job_id)
        self._ledger.erase(view.subject)
        if isinstance(view.subject, JobSubject):
            self._artifacts.delete_job(view.subject.job_id)  # again: a step that was ending may have left a file
        return empty_answer()
