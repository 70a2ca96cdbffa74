"""``/api/jobs/<id>/…``: the kept documents, videos and callback bodies, streamed."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

from flask import Blueprint, Response, request

from receiver import queries
from receiver.answers import GUARDED, TAGGED
from receiver.jobs import find
from receiver.ranges import Part, part_of
from workers.artifacts import Artifacts
from workers.catalog import Catalog
from workers.errors import Crowded, NotFound, StoreUnavailable
from workers.identifiers import JobSubject, RefSubject
from workers.paths import ArtifactPath, callback_path, render_path, result_path

# Each holds a thread for as long as its reader likes; the others stay free for callbacks.
STREAMS_AT_ONCE: Final = 3
_CROWDED_S: Final = 5.0
# Long enough to begin a download, short enough that a link which is passed on is soon worth nothing.
_LINK_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class Tag:
    """An ETag. ``weak``: what it stands for is the same, if not byte for byte."""

    value: str
    weak: bool = False

    @property
    def headers(self) -> dict[str, str]:
        return {**TAGGED, "ETag": f'{"W/" if self.weak else ""}"{self.value}"'}

    def is_had(self) -> bool:
        """Whether the one who asks has it already."""
        return request.if_none_match.contains_weak(self.value)


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
        # Weak: of two fetches at once the later may replace the file that the ledger has the hash of, by one that tells
        # the same of the same completed job, but perhaps in other bytes.
        tag = Tag(view.result_sha256, weak=True) if view.result_sha256 else None
        return self._stream(path, tag=tag, content_type="application/json")

    def video(self, name: str, n: int) -> Response:
        view = find(self._catalog, name)
        render = next((render for render in view.renders if render.n == n), None)
        if render is None or isinstance(view.subject, RefSubject):
            raise NotFound(f"the job has {len(view.renders)} renders, numbered from 1")
        if render.file is None:
            raise NotFound(f"render {n} is {render.state}; there is a file once it is kept")
        path = render_path(view.subject.job_id, n)
        tag = Tag(render.sha256) if render.sha256 else None
        return self._elsewhere(path, tag) or self._video(path, f"{view.summary.id}-{n}.mp4", tag)

    def callback(self, name: str, receipt: str) -> Response:
        view = find(self._catalog, name)
        if receipt not in {callback.receipt for callback in view.callbacks}:
            raise NotFound("the job has no callback with that receipt")
        tag = Tag(receipt)  # what came under it stays as it is
        if tag.is_had():
            return Response(status=304, headers=tag.headers)
        body = callback_body(self._catalog, self._artifacts, view.subject, receipt)
        # As sent by a stranger: never shown, only saved.
        disposition = f'attachment; filename="callback-{receipt}"'
        headers = {**tag.headers, "Content-Disposition": disposition}
        return Response(body, headers=headers, content_type="application/octet-stream")

    def _elsewhere(self, path: ArtifactPath, tag: Tag | None) -> Response | None:
        """Send to where the file lies, if that is asked for and there is such a place. A link is good for GET alone."""
        if not queries.redirect(request) or request.method != "GET" or (tag and tag.is_had()):
            return None
        url = self._artifacts.signed_url(path, _LINK_S)
        return None if url is None else Response(status=307, headers={**GUARDED, "Location": url})

    def _video(self, path: ArtifactPath, filename: str, tag: Tag | None) -> Response:
        answer = self._stream(path, tag=tag, content_type="video/mp4")
        answer.headers["Content-Disposition"] = f'inline; filename="{filename}"'
        return answer

    def _size(self, path: ArtifactPath) -> int:
        size = self._artifacts.size(path)
        if size is None:
            raise StoreUnavailable(f"{path} was kept and is not in the store any more; check STORAGE_URL")
        return size

    def _stream(self, path: ArtifactPath, *, tag: Tag | None, content_type: str) -> Response:
        if tag and tag.is_had():
            return Response(status=304, headers=tag.headers)
        size = self._size(path)
        strong = None if tag is None or tag.weak else tag.value
        part = part_of(size, wanted=request.range, only_if=request.if_range, etag=strong)
        headers = {**(tag.headers if tag else GUARDED), **part.headers}
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


def callback_body(catalog: Catalog, artifacts: Artifacts, owner: JobSubject | RefSubject, receipt: str) -> bytes:
    """Return what came under a receipt of this owner's, from wherever it is kept by now. Raise ``NotFound``."""
    body = catalog.callback_body(owner, receipt)
    if body is not None:
        return body
    if isinstance(owner, RefSubject):
        raise NotFound("the body of that callback is not kept")
    return artifacts.get(callback_path(owner.job_id, receipt))
