"""The running service, as the commands that ask it see it: its HTTP API."""

from collections.abc import Iterator, Mapping
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
        headers = {} if wait else {"Prefer": "respond-async"}
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        return read_job(self._ask("POST", "/api/jobs", json=dict(order), headers=headers))

    def callback_url(self, *, shared: bool) -> str:
        answer = self._ask("POST", "/api/callbacks", json={"shared": True} if shared else {})
        return printable(member(answer, "url"), limit=2000)

    def job(self, subject: str) -> JobSighting:
        return read_job(self.job_document(subject))

    def job_document(self, subject: str) -> object:
        return self._ask("GET", f"/api/jobs/{quote(subject, safe='')}")

    def jobs(self, *, state: str | None, limit: int) -> Iterator[Mapping[str, Any]]:
        """Yield the newest jobs, as many as ``limit``, over as many pages as that takes."""
        cursor: str | None = None
        while limit > 0:
            asked = {"state": state, "cursor": cursor, "limit": min(limit, _PAGE)}
            page = self._ask("GET", "/api/jobs", params={name: value for name, value in asked.items() if value})
            rows = member(page, "items", "jobs")
            found = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
            yield from found[:limit]
            limit -= len(found)
            cursor = text(member(page, "next"))
            if cursor is None or not found:
                return

    def retry(self, subject: str) -> int:
        """Return how many subjects (the job, or each of its renders) were set going."""
        return whole(member(self._ask("POST", f"/api/jobs/{quote(subject, safe='')}/retry"), "retried")) or 0

    def retry_parked(self) -> int:
        """As ``retry``, for every parked job, in as many calls as that takes."""
        retried = 0
        while True:
            answer = self._ask("POST", "/api/jobs/retry", params={"state": "parked"})
            retried += whole(member(answer, "retried")) or 0
            if member(answer, "more") is not True or not whole(member(answer, "jobs")):
                return retried

    def erase(self, subject: str) -> None:
        self._ask("DELETE", f"/api/jobs/{quote(subject, safe='')}")

    def close(self) -> None:
        self._http.close()

    def _ask(self, method: str, path: str, **asked: Any) -> object:
        try:
            response = self._http.request(method, path, **asked)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            how = "does not answer in time" if isinstance(error, httpx2.ReadTimeout) else "cannot be reached"
            raise NotRunning(
                f"the service at {self.url} {how}; is it running? Start it with `swiftia-receiver up`, or say where "
                "it is with --url or PORT"
            ) from None
        if not response.is_success:
            raise _refusal(self.url, response)
        return parse_json(response.content, what=f"the answer of {self.url}{path}") if response.content else None


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
