"""The sandbox's own routes, which need no key: what it is, its books, its config, a fresh start."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, Protocol

from workers.errors import InvalidSettings
from workers.sandbox.answers import Answer, Refused, answer, error
from workers.sandbox.bodies import read_object
from workers.sandbox.config import SandboxConfig
from workers.sandbox.page import welcome
from workers.sandbox.requests import Request

_TEXT = "text/plain; charset=utf-8"
Handler = Callable[[Request], Answer]


class Keeper(Protocol):
    """What the controls turn."""

    @property
    def config(self) -> SandboxConfig: ...
    @property
    def url(self) -> str: ...
    def books(self, *, hashes: bool = True) -> dict[str, Any]: ...
    def configure(self, **changes: object) -> None: ...
    def reset(self) -> None: ...


class Controls:
    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._handlers: dict[tuple[str, str], Handler] = {
            ("GET", "/"): self._welcome,
            ("HEAD", "/"): self._welcome,
            ("GET", "/__books"): self._books,
            ("GET", "/__config"): self._config,
            ("POST", "/__config"): self._configure,
            ("POST", "/__reset"): self._reset,
        }

    def answer(self, route: str, request: Request) -> Answer:
        try:
            return self._handlers[request.method, route](request)
        except Refused as refused:
            return refused.answer

    def _welcome(self, _: Request) -> Answer:
        return Answer(200, welcome(self._keeper.url, self._keeper.config).encode(), kind=_TEXT)

    def _books(self, request: Request) -> Answer:
        """``?hashes=no`` leaves out the sums of the films, which take time where the films are large."""
        return answer(200, self._keeper.books(hashes="hashes=no" not in request.query))

    def _config(self, _: Request) -> Answer:
        config = self._keeper.config
        return answer(200, {each.name: getattr(config, each.name) for each in fields(config) if each.repr})

    def _configure(self, request: Request) -> Answer:
        changes = read_object(request.body, request.content_type)
        try:
            self._keeper.configure(**changes)
        except InvalidSettings as invalid:
            return error(400, invalid.message, "INVALID_INPUT")
        return self._config(request)

    def _reset(self, _: Request) -> Answer:
        self._keeper.reset()
        return answer(200, {"reset": True})
