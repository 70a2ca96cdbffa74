"""What a person does about jobs: set them going again, or erase every trace of them."""

from typing import Final

from flask import Blueprint, Response, request

from receiver import queries
from receiver.answers import empty_answer, json_answer
from receiver.jobs import find
from workers import tracing
from workers.catalog import Catalog
from workers.erasure import Erasure
from workers.errors import Conflict, InvalidInput, NotFound
from workers.identifiers import DeliverySubject
from workers.ledger import Ledger
from workers.states import DeliveryState, JobState

# One call stays short; whoever has more to retry calls again.
MOST_AT_ONCE: Final = 1000
_RETRYABLE: Final = (JobState.PARKED, JobState.FAILED)


class Remedies:
    def __init__(self, ledger: Ledger, catalog: Catalog, erasure: Erasure) -> None:
        self._ledger = ledger
        self._catalog = catalog
        self._erasure = erasure

    def add_to(self, api: Blueprint) -> None:
        api.add_url_rule("/jobs/retry", view_func=self.retry_many, methods=["POST"])
        api.add_url_rule("/jobs/<name>/retry", view_func=self.retry, methods=["POST"])
        api.add_url_rule("/jobs/<name>", view_func=self.erase, methods=["DELETE"])
        api.add_url_rule("/jobs/<name>/deliveries/<int:n>/retry", view_func=self.redeliver, methods=["POST"])
        api.add_url_rule("/deliveries/retry", view_func=self.redeliver_many, methods=["POST"])

    def retry(self, name: str) -> Response:
        """``retried`` counts what was set going: the job, or each of its renders."""
        view = find(self._catalog, name)
        with tracing.span("job.retry", kind="server", carrier=request.headers):
            retried = self._ledger.retry(view.subject)
        if not retried:
            raise Conflict(f"the job is {view.summary.state} and nothing of it is parked or failed to be retried")
        return json_answer({"retried": retried}, 202)

    def retry_many(self) -> Response:
        """``jobs``: how many were set going. ``more``: whether there were too many for one call."""
        state = queries.state(request)
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

    def redeliver(self, name: str, n: int) -> Response:
        """Send one delivery again, also one that was delivered. ``retried`` is 1."""
        view = find(self._catalog, name)
        found = next((delivery for delivery in view.deliveries if delivery.n == n), None)
        if found is None:
            raise NotFound(f"the job has {len(view.deliveries)} deliveries, numbered from 1")
        if not self._ledger.redeliver(DeliverySubject(view.subject, n)):
            raise Conflict(f"delivery {n} is {found.state}: it is on its way already")
        return json_answer({"retried": 1}, 202)

    def redeliver_many(self) -> Response:
        """Send again what was parked at ``since`` or later. ``more``: whether it was too much for one call."""
        state = request.args.get("state")
        if state != DeliveryState.PARKED:
            raise InvalidInput(f"state is {DeliveryState.PARKED.value}: what is not parked goes out by itself")
        since_ms = queries.since(request) or 0
        found = self._ledger.parked_deliveries(since_ms=since_ms, most=MOST_AT_ONCE + 1)
        retried = sum(self._ledger.redeliver(subject) for subject in found[:MOST_AT_ONCE])
        return json_answer({"retried": retried, "more": len(found) > MOST_AT_ONCE}, 202)

    def erase(self, name: str) -> Response:
        """Repeating it, after an answer that was lost or a crash halfway, is no error."""
        view = self._catalog.find(name)
        if view is None:
            if self._catalog.is_erased(name):
                return empty_answer()
            raise NotFound("no job is known here by that id or ref")
        self._erasure.erase(view.subject, why="asked")
        return empty_answer()
