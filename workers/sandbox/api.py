"""The API itself: who may ask, what is allowed now, what goes wrong, and then the answer."""

from collections.abc import Callable
from hmac import compare_digest

from workers.sandbox import answers, render_documents
from workers.sandbox.answers import Answer, Refused, answer
from workers.sandbox.bodies import read_object
from workers.sandbox.books import Books
from workers.sandbox.calls import Call, call_times
from workers.sandbox.config import SandboxConfig
from workers.sandbox.job_documents import created, document
from workers.sandbox.limiter import Limiter
from workers.sandbox.messenger import Messenger
from workers.sandbox.organization import Organization
from workers.sandbox.render_orders import read_order
from workers.sandbox.requests import Request, Route
from workers.sandbox.storage import file_document, uploads
from workers.sandbox.submissions import read_submission


class Api:
    def __init__(
        self,
        *,
        organization: Organization,
        messenger: Messenger,
        books: Books,
        config: Callable[[], SandboxConfig],
        now: Callable[[], float],
        files: Callable[[], str],
    ) -> None:
        self._organization = organization
        self._messenger = messenger
        self._books = books
        self._config = config
        self._now = now
        self._files = files
        self._limiter = Limiter()
        self._handlers: dict[str, Callable[[Request, str], Answer]] = {
            "/api/jobs": self._create_job,
            "/api/jobs/{id}": self._job,
            "/api/render": self._create_render,
            "/api/render/{id}": self._render,
            "/api/uploads": self._uploads,
            "/api/uploads/files/{id}": self._file,
            "/api/organizations/brandings": self._brand_presets,
        }

    def forget(self) -> None:
        self._limiter.forget()

    def admit(self, request: Request) -> tuple[tuple[str, str], ...]:
        """Check key and allowance; return the headers that tell what is left. Raise Refused, a 401 or a 429."""
        config = self._config()
        given = request.authorization.encode("latin-1", "replace")
        if not compare_digest(given, f"Bearer {config.api_key}".encode()):
            self._books.count("unauthorized")
            raise Refused(answers.unauthorized(request.path))
        rate = config.rate
        verdict = self._limiter.arrive(self._now(), rate, count_refused=config.count_refused)
        if not verdict.allowed:
            self._books.count("rate_limited")
            raise Refused(answers.rate_limited(rate, verdict, honest=config.retry_after == "honest"))
        return answers.rate_headers(rate, verdict) if config.rate_headers else ()

    def reply(self, request: Request, route: Route | None) -> Answer:
        """Answer an admitted request; this is where it takes effect."""
        handler = self._handlers.get(route.name) if route else None
        if route is None or handler is None:
            return answers.not_found("Not found")
        if request.method not in route.methods:
            return answers.wrong_method(route.methods)
        try:
            return handler(request, route.argument)
        except Refused as refused:
            return refused.answer

    def _create_job(self, request: Request, _: str) -> Answer:
        submission = read_submission(read_object(request.body, request.content_type))
        job = self._organization.submit(submission)
        self._books.unknown_fields(submission.unknown)
        config = self._config()
        times = call_times(job, config)
        call = Call(job, self._files(), config.huge_bytes)
        if "early-calls" in job.words and times:
            times.pop(0)
            self._messenger.send(call)
        for at in times:
            self._messenger.schedule(at, call)
        status, body = created(job)
        return answer(status, body, subject=job.id)

    def _job(self, _: Request, job_id: str) -> Answer:
        job = self._organization.job(job_id)
        now = self._now()
        poll = self._books.poll("job", job.id)
        return answer(200, document(job, job.status(now, poll), now, files=self._files()))

    def _create_render(self, request: Request, _: str) -> Answer:
        order = read_order(read_object(request.body, request.content_type))
        render = self._organization.render_short(order)
        self._books.unknown_fields(order.unknown)
        return answer(200, {"renderId": render.id}, subject=render.id)

    def _render(self, _: Request, render_id: str) -> Answer:
        render = self._organization.render(render_id)
        self._books.poll("render", render.id)
        status, body = render_documents.document(render, self._now())
        return answer(status, body)

    def _uploads(self, _: Request, __: str) -> Answer:
        return answer(200, uploads(self._organization, self._config().storage_mb, self._now()))

    def _file(self, request: Request, file_id: str) -> Answer:
        render = self._organization.render_of_file(file_id, self._now())
        if request.method == "GET":
            return answer(200, file_document(render))
        self._organization.delete_file_of(render)
        return answer(200, {"id": file_id, "deleted": True}, subject=file_id)

    def _brand_presets(self, _: Request, __: str) -> Answer:
        return answer(200, self._organization.brand_presets())
