"""What a person does about one job: retry, erase, send an event again. Each is asked about first, on its own page."""

from flask import Response

from receiver.console import shell
from receiver.console.advice import can_retry
from receiver.console.forms import Form
from receiver.console.gate import Gate, View, gone_to
from receiver.console.job import name_of, path_of
from receiver.console.visitors import Visitor
from receiver.jobs import find
from workers.catalog import Catalog
from workers.erasure import Erasure
from workers.errors import Conflict, NotFound
from workers.identifiers import DeliverySubject
from workers.ledger import Ledger
from workers.states import JobState
from workers.views import DeliveryView, JobView

_NOTHING = "nothing of the job is parked or failed, so there is nothing to be retried"


class Actions:
    def __init__(self, ledger: Ledger, catalog: Catalog, erasure: Erasure) -> None:
        self._ledger = ledger
        self._catalog = catalog
        self._erasure = erasure

    def add_to(self, gate: Gate) -> None:
        asked: dict[str, tuple[View, View]] = {
            "/jobs/<name>/retry": (self.ask_retry, self.retry),
            "/jobs/<name>/erase": (self.ask_erase, self.erase),
            "/jobs/<name>/deliveries/<int:n>/retry": (self.ask_redeliver, self.redeliver),
        }
        for rule, (ask, act) in asked.items():
            gate.show(rule, ask, to_look=False)
            gate.act(rule, act)

    def ask_retry(self, visitor: Visitor, name: str) -> Response:
        view = find(self._catalog, name)
        if not can_retry(view):
            raise Conflict(_NOTHING)
        return shell.page(visitor, "ask_retry.html", job=view.summary, name=name_of(view), path=path_of(view))

    def retry(self, _visitor: Visitor, _form: Form, name: str) -> Response:
        view = find(self._catalog, name)
        if not self._ledger.retry(view.subject):
            raise Conflict(_NOTHING)
        return gone_to(f"{path_of(view)}?done=retried")

    def ask_erase(self, visitor: Visitor, name: str) -> Response:
        view = find(self._catalog, name)
        ended = view.summary.state in (JobState.FINISHED, JobState.FAILED)
        return shell.page(
            visitor, "ask_erase.html", job=view.summary, view=view, name=name_of(view), path=path_of(view), ended=ended
        )

    def erase(self, _visitor: Visitor, _form: Form, name: str) -> Response:
        """Sent twice, it is as good as sent once."""
        view = self._catalog.find(name)
        if view is None and not self._catalog.is_erased(name):
            raise NotFound("no job is known here by that id or ref")
        if view is not None:
            self._erasure.erase(view.subject, why="asked")
        return gone_to("/jobs?done=erased")

    def ask_redeliver(self, visitor: Visitor, name: str, n: int) -> Response:
        view = find(self._catalog, name)
        return shell.page(visitor, "ask_redeliver.html", delivery=_delivery(view, n), path=path_of(view))

    def redeliver(self, _visitor: Visitor, _form: Form, name: str, n: int) -> Response:
        view = find(self._catalog, name)
        found = _delivery(view, n)
        if not self._ledger.redeliver(DeliverySubject(view.subject, n)):
            raise Conflict(f"delivery {n} is {found.state}: it is on its way already")
        return gone_to(f"{path_of(view)}?done=redelivered")


def _delivery(view: JobView, n: int) -> DeliveryView:
    found = next((delivery for delivery in view.deliveries if delivery.n == n), None)
    if found is None:
        raise NotFound(f"the job has {len(view.deliveries)} deliveries, numbered from 1")
    return found
