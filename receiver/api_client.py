"""The running service, as the commands that ask it see it: its HTTP API."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import httpx2
from pydantic import SecretStr

from receiver.exits import NotRunning
from receiver.sightings import JobSighting, printable, read_job
from workers.documents import member, parse_json, text, whole
from workers.errors import InvalidInput, InvalidSettings, ServiceError, Unauthorized
from workers.settings import Settings

# Submitting may wait for its turn in the budget, and then for Swiftia.
_PATIENCE_S: Final = 90.0
_PAGE: Final = 100
# The stream of changes says at least every 15 seconds that it is there.
_QUIET_S: Final = 40.0
_PIECE: Final = 1 << 20


class Refused(ServiceError):
    """The service answered with a problem; its text names cause and fix."""


def admin_token(settings: Settings) -> SecretStr:
    """Return the token of the service with these settings. Raise InvalidSettings if there is none yet."""
    path = settings.data_dir / "admin-token"
    if settings.admin_token is not None:
        return settings.admin_token
    try:
        return SecretStr(path.read_text().strip())
    except FileNotFoundError:
        raise InvalidSettings(
            [f"no admin token: {path} does not exist; start the service first (up), or set DATA_DIR or ADMIN_TOKEN"]
        ) from None
    except OSError as error:
        raise InvalidSettings(
            [f"the admin token in {path} cannot be read: {error.strerror}; set ADMIN_TOKEN"]
        ) from None


class Api:
    """Every method raises NotRunning when nothing answers, and Refused with the words of the service."""

    def __init__(self, url: str, token: SecretStr) -> None:
        self.url = url.rstrip("/")
        self._http = httpx2.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {token.get_secret_value()}", "Accept": "application/json"},
            timeout=httpx2.Timeout(_PATIENCE_S, connect=3),
            # A proxy from the environment has no way to a service on this machine.
            trust_env=False,
        )

    def submit(self, order: Mapping[str, object], *, idempotency_key: str | None, wait: bool) -> JobSighting:
        return read_job(self.submitted(order, idempotency_key=idempotency_key, wait=wait))

    def submitted(
        self, order: Mapping[str, object], *, idempotency_key: str | None, wait: bool, dry_run: bool = False
    ) -> object:
        """Return the whole answer. ``dry_run``: nothing is submitted, as the answer says then."""
        headers = {} if wait else {"Prefer": "respond-async"}
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        asked = {"dry_run": "true"} if dry_run else {}
        return self._ask("POST", "/api/jobs", json=dict(order), headers=headers, params=asked)

    def callback_url(self, *, shared: bool, account: str | None = None) -> str:
        asked = {"shared": True} if shared else {}
        answer = self._ask("POST", "/api/callbacks", json=asked | ({"account": account} if account else {}))
        return printable(member(answer, "url"), limit=2000)

    def job(self, subject: str) -> JobSighting:
        return read_job(self.job_document(subject))

    def job_document(self, subject: str) -> object:
        return self._ask("GET", f"/api/jobs/{quote(subject, safe='')}")

    def jobs(
        self, wanted: Mapping[str, str], *, limit: int, looked_back: Callable[[str], None] = lambda _: None
    ) -> Iterator[Mapping[str, Any]]:
        """Yield the newest jobs, as many as ``limit``, over as many pages as that takes.

        ``wanted``: parameters of ``GET /api/jobs``. ``looked_back`` hears how far back a search has looked so far.
        """
        cursor: str | None = None
        while limit > 0:
            asked = {**wanted, "limit": min(limit, _PAGE), **({"cursor": cursor} if cursor else {})}
            page = self._ask("GET", "/api/jobs", params=asked)
            rows = member(page, "jobs")
            found = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
            yield from found[:limit]
            limit -= len(found)
            cursor = text(member(page, "next"))
            if cursor is None:
                return
            if back_to := text(member(page, "looked_back_to")):
                looked_back(back_to)

    def look(self, path: str) -> object:
        """Return the JSON that a route answers."""
        return self._ask("GET", path)

    def page(self, path: str) -> str:
        """Return the text that a route answers."""
        with self._reached():
            response = self._http.get(path)
        if not response.is_success:
            raise _refusal(self.url, response)
        return response.text

    def changes(self, after_ms: int) -> Iterator[object]:
        """Yield what happened since then, as ``GET /api/events`` tells it, and what happens from now on."""
        asked = {"last_event_id": f"{after_ms}-0"}
        quiet = httpx2.Timeout(_QUIET_S, connect=3)
        with self._reached(), self._http.stream("GET", "/api/events", params=asked, timeout=quiet) as response:
            if not response.is_success:
                response.read()
                raise _refusal(self.url, response)
            for line in response.iter_lines():
                if line.startswith("data:"):
                    yield parse_json(line[5:].encode(), what="an event")

    def callback_path(self, subject: str, receipt: str) -> str:
        return f"/api/jobs/{quote(subject, safe='')}/callbacks/{quote(receipt, safe='')}"

    def retry(self, subject: str) -> int:
        """Return how many subjects (the job, or each of its renders) were set going."""
        return whole(member(self._ask("POST", f"/api/jobs/{quote(subject, safe='')}/retry"), "retried")) or 0

    def redeliver(self, subject: str, n: int) -> int:
        path = f"/api/jobs/{quote(subject, safe='')}/deliveries/{n}/retry"
        return whole(member(self._ask("POST", path), "retried")) or 0

    def retry_all(self, state: str) -> int:
        """As ``retry``, for every job in a state, in as many calls as that takes."""
        retried = 0
        while True:
            answer = self._ask("POST", "/api/jobs/retry", params={"state": state})
            retried += whole(member(answer, "retried")) or 0
            if member(answer, "more") is not True or not whole(member(answer, "jobs")):
                return retried

    def erase(self, subject: str) -> None:
        self._ask("DELETE", f"/api/jobs/{quote(subject, safe='')}")

    def close(self) -> None:
        self._http.close()

    @contextmanager
    def file(self, path: str) -> Iterator[Iterator[bytes]]:
        """Open a file of a job, to be read piece by piece while the block runs."""
        with self._reached(), self._http.stream("GET", path) as response:
            if not response.is_success:
                response.read()
                raise _refusal(self.url, response)
            yield response.iter_bytes(_PIECE)

    def _ask(self, method: str, path: str, **asked: Any) -> object:
        with self._reached():
            response = self._http.request(method, path, **asked)
        if not response.is_success:
            raise _refusal(self.url, response)
        return parse_json(response.content, what=f"the answer of {self.url}{path}") if response.content else None

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            how = "does not answer in time" if isinstance(error, httpx2.ReadTimeout) else "cannot be reached"
            raise NotRunning(
                f"the service at {self.url} {how}; is it running? Start it with `swiftia-receiver up`, or say where "
                "it is with --url or PORT"
            ) from None


def _refusal(url: str, response: httpx2.Response) -> ServiceError:
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        return Unauthorized(
            f"{url} does not take this admin token; set DATA_DIR or ADMIN_TOKEN to those of the service"
        )
    try:
        problem = parse_json(response.content, what="the problem")
    except InvalidInput:
        problem = None
    words = [printable(member(problem, name), limit=1000) for name in ("title", "detail")]
    if not any(words):
        words = [f"{url} answered with status {response.status_code}; is that swiftia-receiver?"]
    message = ": ".join(word for word in words if word)
    if ref := printable(member(problem, "ref")):
        message += f"; whether the job exists now will show, follow it with: show {ref}"
    return Refused(message, status=response.status_code)
