"""``/api/jobs``: submit, watch, list and show jobs; ``/api/callbacks``: callback URLs."""

from collections.abc import Sequence

from flask import Blueprint, Response, request

from receiver import queries, requests
from receiver.answers import json_answer, tagged_json
from workers import tracing
from workers.artifacts import Artifacts
from workers.catalog import Catalog
from workers.documents import parse_json
from workers.errors import InvalidInput, LedgerUnavailable, NotFound, StoreUnavailable, TooLarge, UnreadableAnswer
from workers.identifiers import RefSubject
from workers.links import Links
from workers.paths import result_path
from workers.results import Short, read_result
from workers.submissions import Submission, Submissions
from workers.views import JobView


class Jobs:
    """``dry_run``: submissions are looked over, and nothing more."""

    def __init__(
        self,
        catalog: Catalog,
        submissions: Submissions,
        links: Links,
        artifacts: Artifacts,
        *,
        max_result_bytes: int,
        dry_run: bool = False,
    ) -> None:
        self._dry_run = dry_run
        self._catalog = catalog
        self._submissions = submissions
        self._links = links
        self._artifacts = artifacts
        self._max_result_bytes = max_result_bytes

    def add_to(self, api: Blueprint) -> None:
        api.add_url_rule("/jobs", view_func=self.submit, methods=["POST"])
        api.add_url_rule("/jobs", view_func=self.listed, methods=["GET"])
        api.add_url_rule("/jobs/<name>", view_func=self.show, methods=["GET"])
        api.add_url_rule("/jobs/<name>", view_func=self.watch, methods=["PUT"])
        api.add_url_rule("/callbacks", view_func=self.callback_url, methods=["POST"])

    def submit(self) -> Response:
        order = requests.read_order(request)
        key, wait = requests.idempotency_key(request), not requests.prefers_async(request)
        if queries.dry_run(request) or self._dry_run:
            draft = self._submissions.look_over(order.request, render=order.render, account=order.account)
            return json_answer({"dry_run": True, "request": draft.request, "notes": list(draft.notes)})
        with tracing.span("job.submit", kind="server", carrier=request.headers):
            submission = self._submissions.submit(
                order.request,
                metadata=order.metadata,
                render=order.render,
                idempotency_key=key,
                wait=wait,
                account=order.account,
                delivery=order.delivery,
            )
        headers = {"Location": f"/api/jobs/{submission.job_id or submission.ref}"}
        if submission.replayed:
            headers["Idempotency-Replayed"] = "true"
        if not wait:
            headers["Preference-Applied"] = "respond-async"
        notes = {"notes": list(submission.notes)} if submission.notes else {}
        return json_answer({**self._body_of(submission), **notes}, 201 if submission.job_id else 202, headers)

    def watch(self, name: str) -> Response:
        outcome = self._links.watch(name, *requests.read_watch(request))
        status = 201 if outcome == "new" else 200
        return json_answer(self._body(find(self._catalog, name)), status, {"Location": f"/api/jobs/{name}"})

    def listed(self) -> Response:
        wanted, cursor, limit = queries.wanted(request), request.args.get("cursor"), queries.limit(request)
        text = request.args.get("q")
        if text is None:
            page = self._catalog.jobs(wanted, cursor, limit)
        else:
            page = self._catalog.search(text, wanted, cursor=cursor, limit=limit)
        jobs = [item.as_json() for item in page.items]
        body = {"jobs": jobs, "next": page.next, "looked_back_to": page.looked_back_to}
        return tagged_json(request, body, lambda: body)

    def show(self, name: str) -> Response:
        view = find(self._catalog, name)
        # The shorts are those of the kept result; when another one is kept, the timeline says so.
        return tagged_json(request, [view.as_json(()), view.has_result], lambda: self._body(view))

    def callback_url(self) -> Response:
        order = requests.read_callback_order(request)
        if order.shared:
            return json_answer({"ref": None, "url": self._links.shared_url(order.account)})
        ref, url = self._links.callback_url(
            metadata=order.metadata, render=order.render, account=order.account, delivery=order.delivery
        )
        return json_answer({"ref": ref, "url": url}, 201, {"Location": f"/api/jobs/{ref}"})

    def _body_of(self, submission: Submission) -> dict[str, object]:
        # The job is submitted, and will be paid for: failing to look at it now must not read as a failed submission.
        try:
            return self._body(find(self._catalog, submission.job_id or submission.ref))
        except (LedgerUnavailable, StoreUnavailable, NotFound):
            return {
                "id": submission.job_id,
                "ref": submission.ref,
                "state": submission.state,
                "reason": submission.reason,
            }

    def _body(self, view: JobView) -> dict[str, object]:
        return view.as_json(self._shorts(view))

    def _shorts(self, view: JobView) -> Sequence[Short]:
        if not view.has_result or isinstance(view.subject, RefSubject):
            return ()
        job_id = view.subject.job_id
        try:
            raw = self._artifacts.get(result_path(job_id), max_bytes=self._max_result_bytes)
            return read_result(parse_json(raw, what="the kept result"), job_id=job_id).shorts
        except (NotFound, InvalidInput, TooLarge, UnreadableAnswer):
            return ()  # it was read once, when it came; what is gone or spoilt since is no reason to hide the job


def find(catalog: Catalog, name: str) -> JobView:
    """``name``: a job id or a ref. Raise NotFound."""
    view = catalog.find(name)
    if view is None:
        raise NotFound("no job is known here by that id or ref; PUT /api/jobs/<id> makes one known")
    return view
