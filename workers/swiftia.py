"""The wire to Swiftia: one method per request, each handing a bounded answer to the pure readers.

What an answer means is decided in ``results``, ``renders`` and ``refusals``. Nothing is tried twice here, no redirect
followed, no cookie kept, no proxy taken from the environment.
"""

import json
import re
import ssl
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

import httpx2

from workers.certificates import certificates
from workers.documents import parse_json
from workers.errors import InvalidInput, InvalidSettings, ServiceError, UnreadableAnswer
from workers.exchanges import Answer, Exchanges, Reply, ignore
from workers.identifiers import job_id as checked_job_id
from workers.refusals import refusal
from workers.release import version
from workers.renders import RenderReport, is_render_failure, read_report, read_started
from workers.renders import render_id as checked_render_id
from workers.results import Result, read_created, read_result
from workers.uploads import Uploads, read_uploads
from workers.wire import Patience, Wire

__all__ = ["Answer", "Swiftia", "ignore", "wire"]

MAX_SMALL_BYTES: Final = 1 << 20
# Some write a slash in JSON with a backslash before it.
_CALLBACK: Final = re.compile(rb"(/webhooks\\?/swiftia\\?/)[A-Za-z0-9_.~%-]+")
# These two speak of the request, whatever a body says of a render.
_NEVER_OF_A_RENDER = (HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS)


def wire(
    base_url: str,
    api_key: str,
    *,
    patience: Patience = Patience(),  # noqa: B008 - it is frozen
    ssl_context: ssl.SSLContext | None = None,
) -> Wire:
    """Make the wire to Swiftia. Raise ``InvalidSettings`` for an address or a key that cannot be sent."""
    headers = [
        ("Authorization", f"Bearer {api_key}"),
        ("User-Agent", f"swiftia-receiver/{version() or '0'}"),
        ("Accept", "application/json"),
        ("Accept-Encoding", "identity"),  # so that a cap on bytes received is one on bytes kept
    ]
    return Wire(_checked(base_url, api_key), headers, patience=patience, ssl_context=ssl_context or certificates())


def _checked(base_url: str, api_key: str) -> httpx2.URL:
    problems = []
    try:
        url = httpx2.URL(base_url)
    except httpx2.InvalidURL:
        url = httpx2.URL()
    # User and password in the address would be sent in the place of the key.
    if url.scheme not in ("http", "https") or not url.host or url.userinfo:
        problems.append("SWIFTIA_BASE_URL is no http(s) address without a user; set it to https://app.swiftia.io")
    if not re.fullmatch(r"[\x21-\x7e]{1,4096}", api_key, re.ASCII):
        problems.append("SWIFTIA_API_KEY is empty or has signs that no header can carry; copy the key again")
    if problems:
        raise InvalidSettings(problems)
    return url


class Swiftia:
    """Each method sends one request. It raises the errors of ``refusals``, ``UpstreamUnavailable`` when no whole answer
    came, and ``UnreadableAnswer`` or ``TooLarge`` for a success that cannot be read: a POST has taken effect then.
    """

    def __init__(
        self,
        wire: Wire,
        *,
        key: str,
        max_result_bytes: int,
        answered: Callable[[Answer], None] = ignore,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._exchanges = Exchanges(wire, answered=answered, clock=clock)
        self._max_result_bytes = max_result_bytes
        self._key = key.encode()

    def create_job(self, body: Mapping[str, object]) -> str:
        """Submit a job with Swiftia's own body and return its id. Called again it makes, and bills, a second job."""
        doing = "submitting the job"
        return read_created(self._post("/api/jobs", body, doing))

    def job(self, job_id: str) -> tuple[Result, bytes]:
        """Return what the job says, and its document's bytes as received, for keeping."""
        doing, path = f"reading job {checked_job_id(job_id)}", f"/api/jobs/{job_id}"
        reply = self._exchanges.get(path, route="/api/jobs/{id}", doing=doing, limit=self._max_result_bytes)
        return read_result(self._success(reply, doing), job_id=job_id), reply.body

    def start_render(self, body: Mapping[str, object]) -> str:
        """Start a render and return its id. Called again it starts, and may bill, a second one."""
        return read_started(self._post("/api/render", body, "starting the render"))

    def render(self, render_id: str) -> RenderReport:
        """Return how the render is doing. A failed render is a report and no error, whatever status it comes with."""
        doing, path = f"watching render {checked_render_id(render_id)}", f"/api/render/{render_id}"
        reply = self._exchanges.get(path, route="/api/render/{id}", doing=doing, limit=MAX_SMALL_BYTES)
        failed = not reply.ok and _tells_of_failure(reply)
        document = _document(reply, doing) if failed else self._success(reply, doing)
        return read_report(document, status_code=reply.status)

    def uploads(self) -> Uploads:
        """Return how much of the storage is used, and its files."""
        # Bounded like a result: the list of files has no documented end.
        doing = "reading the storage"
        reply = self._exchanges.get("/api/uploads", route="/api/uploads", doing=doing, limit=self._max_result_bytes)
        return read_uploads(self._success(reply, doing))

    def delete_file(self, file_id: str) -> bool:
        """Delete a file for good. False if it was not there any more [FDEL]."""
        # A file's id is what a job's is: nothing else may become part of a URL.
        doing, path = f"deleting file {checked_job_id(file_id)}", f"/api/uploads/files/{file_id}"
        reply = self._exchanges.delete(path, route="/api/uploads/files/{id}", doing=doing, limit=MAX_SMALL_BYTES)
        if reply.status == HTTPStatus.NOT_FOUND:
            return False
        self._success(reply, doing)
        return True

    def _post(self, path: str, body: Mapping[str, object], doing: str) -> object:
        content = _encode(body, doing)
        return self._success(self._exchanges.post(path, content, doing=doing, limit=MAX_SMALL_BYTES), doing)

    def _success(self, reply: Reply, doing: str) -> object:
        if not reply.ok:
            raise self._refusal(reply, doing)
        return _document(reply, doing)

    def _refusal(self, reply: Reply, doing: str) -> ServiceError:
        # Some servers quote what they were sent.
        body = _CALLBACK.sub(rb"\1[token]", reply.body)
        body = body.replace(self._key, b"[key]") if self._key else body
        return refusal(reply.status, reply.headers, body, doing=doing)


def _encode(body: Mapping[str, object], doing: str) -> bytes:
    try:
        return json.dumps(dict(body), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        problem = type(error).__name__
    raise InvalidInput(f"{doing}: the request cannot be written as JSON ({problem}); use plain JSON values only")


def _document(reply: Reply, doing: str) -> object:
    try:
        return parse_json(reply.body, what=f"{doing}: Swiftia's answer")
    except InvalidInput as error:
        problem = error.message
    raise UnreadableAnswer(f"{problem}; check SWIFTIA_BASE_URL, or whether Swiftia is under maintenance")


def _tells_of_failure(reply: Reply) -> bool:
    if reply.status in _NEVER_OF_A_RENDER:
        return False
    try:
        return is_render_failure(parse_json(reply.body, what="the render"))
    except InvalidInput:
        return False
