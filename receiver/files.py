"""``/api/jobs/<id>/…``: the kept documents, videos and callback bodies, streamed."""

import threading
from collections.abc import Iterator
from itertools import chain
from typing import Final

from flask import Blueprint, Response, request

from receiver.answers import GUARDED
from receiver.jobs import find
from receiver.problems import Kind, problem
from receiver.ranges import NotSatisfiable, Part, part_of
from workers.artifacts import Artifacts
from workers.catalog import Catalog
from workers.errors import NotFound, StoreUnavailable, TemporaryError
from workers.identifiers import JobSubject, RefSubject
from workers.paths import ArtifactPath, callback_path, render_path, result_path
from workers.views import JobView, RenderView

# Each holds a thread for as long as its reader likes; the others stay free for callbacks.
STREAMS_AT_ONCE: Final = 3
_CROWDED_S: Final = 5.0
_BAD_RANGE: Final = Kind(416, "range-not-satisfiable", "The range lies outside the file")


class Crowded(TemporaryError):
    """Too many files are being read at this moment."""


class Files:
    def __init__(self, catalog: Catalog, artifacts: Artifacts) -> None:
        self._catalog = catalog
        self._artifacts = artifacts
        self._room = threading.BoundedSemaphore(STREAMS_AT_ONCE)

    def add_to(self, api: Blueprint) -> None:
        api.add_url_rule("/jobs/<name>/result", view_func=self.result)
        api.add_url_rule("/jobs/<name>/renders/<int:n>/file", view_func=self.video)
        api.add_url_rule("/jobs/<name>/callbacks/<receipt>", view_func=self.callback)

    def result(self, name: str) -> Response:
        view = find(self._catalog, name)
        if not view.has_result or isinstance(view.subject, RefSubject):
            raise NotFound(f"the job is {view.summary.state} and its result is not kept yet")
        path = result_path(view.subject.job_id)
        return self._stream(path, self._size(path), etag=None, content_type="application/json")

    def video(self, name: str, n: int) -> Response:
        view = find(self._catalog, name)
        render = next((render for render in view.renders if render.n == n), None)
        if render is None or isinstance(view.subject, RefSubject):
            raise NotFound(f"the job has {len(view.renders)} renders, numbered from 1")
        if render.file is None:
            raise NotFound(f"render {n} is {render.state}; there is a file once it is kept")
        path = render_path(view.subject.job_id, n)
        return self._video(path, view, render)

    def callback(self, name: str, receipt: str) -> Response:
        view = find(self._catalog, name)
        if receipt not in {callback.receipt for callback in view.callbacks}:
            raise NotFound("the job has no callback with that receipt")
        body = self._callback_body(view.subject, receipt)
        # As sent by a stranger: never shown, only saved.
        headers = {**GUARDED, "Content-Disposition": f'attachment; filename="callback-{receipt}"'}
        return Response(body, headers=headers, content_type="application/octet-stream")

    def _callback_body(self, owner: JobSubject | RefSubject, receipt: str) -> bytes:
        body = self._catalog.callback_body(owner, receipt)
        if body is not None:
            return body
        if isinstance(owner, RefSubject):
            raise NotFound("the body of that callback is not kept")
        return self._artifacts.get(callback_path(owner.job_id, receipt))

    def _video(self, path: ArtifactPath, view: JobView, render: RenderView) -> Response:
        answer = self._stream(path, self._size(path), etag=render.sha256, content_type="video/mp4")
        name = f"{view.summary.id}-{render.n}.mp4"
        answer.headers["Content-Disposition"] = f'inline; filename="{name}"'
        return answer

    def _size(self, path: ArtifactPath) -> int:
        size = self._artifacts.size(path)
        if size is None:
            raise StoreUnavailable(f"{path} was kept and is not in the store any more; check STORAGE_URL")
        return size

    def _stream(self, path: ArtifactPath, size: int, *, etag: str | None, content_type: str) -> Response:
        tag = {} if etag is None else {"ETag": f'"{etag}"'}
        if etag is not None and request.if_none_match.contains_weak(etag):
            return Response(status=304, headers={**GUARDED, **tag})
        try:
            part = part_of(size, wanted=request.range, only_if=request.if_range, etag=etag)
        except NotSatisfiable as error:
            return problem(_BAD_RANGE, error.message, headers={"Content-Range": f"bytes */{size}"})
        headers = {**GUARDED, **tag, **part.headers}
        if request.method == "HEAD":
            return Response(status=part.status, headers=headers, content_type=content_type)
        return self._opened(path, part, headers, content_type)

    def _opened(self, path: ArtifactPath, part: Part, headers: dict[str, str], content_type: str) -> Response:
        if not self._room.acquire(blocking=False):
            raise Crowded("too many files are being read just now; try again soon", retry_after=_CROWDED_S)
        try:
            pieces = self._pieces(path, part)
        except BaseException:
            self._room.release()
            raise
        answer = Response(pieces, part.status, headers, content_type=content_type)
        answer.call_on_close(self._room.release)
        return answer

    def _pieces(self, path: ArtifactPath, part: Part) -> Iterator[bytes]:
        # The first piece is read before the status is sent: a store that fails is a problem, not a broken answer.
        if part.start == part.end:
            return iter(())
        pieces = self._artifacts.stream(path, part.start, part.end)
        return chain([next(pieces, b"")], pieces)
