"""``/jobs/<id>/result`` and ``/jobs/<id>/callbacks/<receipt>``: what came, to be read.

It is a stranger's: shown as text alone, as far as a page can bear it, and without what looks like a secret. As it came
it is had from the API.
"""

import json
from dataclasses import dataclass
from typing import Final

from flask import Response

from receiver.console import shell
from receiver.console.gate import Gate
from receiver.console.job import path_of
from receiver.console.visitors import Visitor
from receiver.files import callback_body
from receiver.jobs import find
from workers.artifacts import Artifacts
from workers.catalog import Catalog
from workers.documents import parse_json
from workers.errors import InvalidInput, NotFound
from workers.identifiers import RefSubject
from workers.paths import result_path
from workers.redaction import redacted_text

MOST_BYTES: Final = 128 << 10
_MOST_LETTERS: Final = 4 * MOST_BYTES


@dataclass(frozen=True, slots=True)
class Document:
    """``size``: of all of it, in bytes. ``cut``: whether ``text`` is only its beginning."""

    text: str
    size: int
    cut: bool


class Documents:
    def __init__(self, catalog: Catalog, artifacts: Artifacts) -> None:
        self._catalog = catalog
        self._artifacts = artifacts

    def add_to(self, gate: Gate) -> None:
        gate.show("/jobs/<name>/result", self.result)
        gate.show("/jobs/<name>/callbacks/<receipt>", self.callback)

    def result(self, visitor: Visitor, name: str) -> Response:
        view = find(self._catalog, name)
        if not view.has_result or isinstance(view.subject, RefSubject):
            raise NotFound(f"the job is {view.summary.state} and its result is not kept yet")
        path = result_path(view.subject.job_id)
        size = self._artifacts.size(path)
        if size is None:
            raise NotFound("the result was kept and is not in the store any more; check STORAGE_URL")
        begun = b"".join(self._artifacts.stream(path, 0, min(size, MOST_BYTES)))
        return shell.page(
            visitor,
            "document.html",
            title="Result",
            document=readable(begun, size),
            path=path_of(view),
            source=f"/api{path_of(view)}/result",
            headers_of_it={},
        )

    def callback(self, visitor: Visitor, name: str, receipt: str) -> Response:
        view = find(self._catalog, name)
        found = next((callback for callback in view.callbacks if callback.receipt == receipt), None)
        if found is None:
            raise NotFound("the job has no callback with that receipt")
        body = callback_body(self._catalog, self._artifacts, view.subject, receipt)
        told = {"Content-Type": found.type, "User-Agent": found.agent}
        return shell.page(
            visitor,
            "document.html",
            title="Callback",
            document=readable(body[:MOST_BYTES], len(body)),
            path=path_of(view),
            source=f"/api{path_of(view)}/callbacks/{receipt}",
            headers_of_it={header: redacted_text(value) for header, value in told.items() if value},
        )


def readable(begun: bytes, size: int) -> Document:
    """Make text of the beginning of a document of ``size`` bytes: JSON in its lines, anything else as it is."""
    text = begun.decode("utf-8", "replace")
    if len(begun) == size:
        text = _in_lines(begun) or text
    cut = len(begun) < size or len(text) > _MOST_LETTERS
    return Document(redacted_text(text[:_MOST_LETTERS]), size, cut)


def _in_lines(body: bytes) -> str:
    try:
        return json.dumps(parse_json(body, what="the document"), indent=2, ensure_ascii=False)
    except (InvalidInput, RecursionError):
        return ""
