"""Every request comes through here: it is routed, met by faults, answered and entered in the books."""

from collections.abc import Callable

from workers.sandbox import answers, media
from workers.sandbox.answers import Answer, Refused
from workers.sandbox.api import Api
from workers.sandbox.books import Books
from workers.sandbox.chance import Chance
from workers.sandbox.config import SandboxConfig
from workers.sandbox.controls import Controls
from workers.sandbox.faults import Fault, draw_fault, strikes
from workers.sandbox.organization import Organization
from workers.sandbox.replies import Reply, plain
from workers.sandbox.requests import Request, Route, find_route
from workers.sandbox.storage import film_at, words_of


class Front:
    """``pause`` waits for some seconds, or less when the sandbox is being stopped."""

    def __init__(
        self,
        *,
        api: Api,
        controls: Controls,
        organization: Organization,
        books: Books,
        chance: Chance,
        config: Callable[[], SandboxConfig],
        now: Callable[[], float],
        pause: Callable[[float], object],
    ) -> None:
        self._api = api
        self._controls = controls
        self._organization = organization
        self._books = books
        self._chance = chance
        self._config = config
        self._now = now
        self._pause = pause

    def reply(self, request: Request) -> Reply:
        route = find_route(request.path)
        name = f"{request.method} {route.name if route else '(unknown)'}"
        if request.path.startswith("/api/"):
            return self._api_reply(name, request, route)
        if route is None:
            return plain(name, answers.not_found("Not found"))
        if request.method not in route.methods:
            return plain(name, answers.wrong_method(route.methods))
        if route.name == "/media":
            return self._media_reply(name, request, route.argument)
        return plain(name, self._controls.answer(route.name, request))

    def _api_reply(self, name: str, request: Request, route: Route | None) -> Reply:
        try:
            allowance = self._api.admit(request)
        except Refused as refused:
            return plain(name, refused.answer)
        fault = self._meet(name)
        if fault and not fault.after:
            self._note(name, fault, effect=False, subject="")
            return _broken(name, fault, None)
        answer = self._api.reply(request, route)
        answer = answer.with_headers(allowance)
        if fault is None:
            return plain(name, answer)
        self._note(name, fault, effect=bool(answer.subject), subject=answer.subject)
        return _broken(name, fault, answer)

    def _media_reply(self, name: str, request: Request, path: str) -> Reply:
        found = film_at(self._organization, path, self._now())
        if found is None:
            return plain(name, answers.error(404, "Not found"))
        key, film = found
        fault = self._meet(name)
        if fault:
            self._note(name, fault, effect=False, subject=key)
        if fault and fault.kind != "cut":
            return _broken(name, fault, None)
        manner = "cut" if fault or self._breaks_first(key) else "send"
        return media.serve(name, key, film, request.wanted_range, manner=manner)

    def _meet(self, name: str) -> Fault | None:
        config = self._config()
        if not strikes(config, name):
            return None
        if self._chance.hits(config.slow):
            self._pause(config.slow_seconds * config.time_scale)
        return draw_fault(config, self._chance)

    def _breaks_first(self, key: str) -> bool:
        render = self._organization.find_render(key)
        breaks = render is not None and "cut-file" in words_of(self._organization, render)
        return breaks and self._books.file_requests(key) == 0

    def _note(self, name: str, fault: Fault, *, effect: bool, subject: str) -> None:
        self._books.fault(at=self._now(), route=name, fault=fault.kind, effect=effect, subject=subject)
        if effect:
            self._books.unanswered(subject)


def _broken(name: str, fault: Fault, answer: Answer | None) -> Reply:
    match fault.kind:
        case "5xx":
            return plain(name, answers.server_error())
        case "html":
            return plain(name, answers.html_error())
        case _:
            return plain(name, answer or answers.server_error(), manner=fault.kind)
