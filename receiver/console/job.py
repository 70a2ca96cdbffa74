"""``/jobs/<id>``: one job whole, as it happens."""

import json
from typing import Final

from flask import Response, request

from receiver.console import shell
from receiver.console.advice import advice, can_retry, goes_on
from receiver.console.gate import Gate, gone_to
from receiver.console.story import story
from receiver.console.visitors import Visitor
from receiver.jobs import find
from workers.catalog import Catalog
from workers.progress import UPSTREAM_SHARE
from workers.redaction import redacted
from workers.states import JOB_SETTLED, RENDER_SETTLED
from workers.views import JobView

DONE: Final = {
    "retried": "It is set going again.",
    "redelivered": "The event is on its way once more.",
}


class Job:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def add_to(self, gate: Gate) -> None:
        gate.show("/jobs/<name>", self.show, in_turn=True)

    def show(self, visitor: Visitor, name: str) -> Response:
        view = find(self._catalog, name)
        path = path_of(view)
        if request.path != path:
            return gone_to(path)  # a ref whose job is known by now
        return shell.page(
            visitor,
            "job.html",
            job=view.summary,
            view=view,
            name=name_of(view),
            path=path,
            metadata=_pretty(view.summary.metadata),
            advice=advice(view),
            can_retry=can_retry(view),
            chapters=story(view.timeline)[::-1],
            events=_events(view),
            render_settled=RENDER_SETTLED,
            upstream_share=UPSTREAM_SHARE,
            done=DONE.get(request.args.get("done", ""), ""),
        )


def name_of(view: JobView) -> str:
    """Return the id, or the ref as long as there is none."""
    return view.summary.id or view.summary.ref or ""


def path_of(view: JobView) -> str:
    """Return the address of its page. Ids and refs have no letter that would have to be quoted."""
    return f"/jobs/{name_of(view)}"


def _events(view: JobView) -> str:
    """Where the page hears of changes: of this job alone until it is settled, then of its deliveries among all."""
    if view.summary.state not in JOB_SETTLED:
        return f"/api/jobs/{name_of(view)}/events"
    return "/api/events" if goes_on(view) else ""


def _pretty(metadata: object) -> str:
    return "" if metadata is None else json.dumps(redacted(metadata), indent=2, ensure_ascii=False)
