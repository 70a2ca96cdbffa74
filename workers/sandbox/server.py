"""Put the sandbox together, start it, stop it."""

import logging
import signal
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from workers.sandbox.accounts import accounts
from workers.sandbox.api import Api
from workers.sandbox.books import Books
from workers.sandbox.chance import Chance
from workers.sandbox.config import SandboxConfig
from workers.sandbox.connection import handler_for
from workers.sandbox.controls import Controls
from workers.sandbox.films import Film
from workers.sandbox.front import Front
from workers.sandbox.listener import Listener, local
from workers.sandbox.messenger import Messenger
from workers.sandbox.organization import Organization

_log = logging.getLogger("workers.sandbox")


class Sandbox:
    """A stand-in for Swiftia on a port of its own; use it with ``with``, or ``start`` and ``stop``.

    It listens from the moment it is made (``InvalidSettings`` for a bad config, OSError for a taken port), so ``url``
    is known at once; it answers after ``start``. ``now`` returns epoch seconds.
    """

    def __init__(self, config: SandboxConfig | None = None, *, now: Callable[[], float] = time.time) -> None:
        self._first_config = self._config = config or SandboxConfig()
        self._now = now
        self._stopping = threading.Event()
        self._books = Books()
        self._organization = Organization(
            config=self._current,
            chance=Chance(self._config.seed, "work"),
            books=self._books,
            now=now,
            files=self._files,
        )
        self._messenger = Messenger(books=self._books, config=self._current, now=now)
        self._api = Api(
            organization=self._organization,
            messenger=self._messenger,
            books=self._books,
            config=self._current,
            now=now,
            files=self._files,
        )
        self._listener = self._listen()

    @property
    def url(self) -> str:
        return f"http://{local(self._config.host)}:{self._listener.server_address[1]}"

    @property
    def config(self) -> SandboxConfig:
        return self._config

    def start(self) -> Self:
        self._messenger.start()
        self._listener.start()
        _log.info("the sandbox is at %s", self.url)
        return self

    def stop(self) -> None:
        """End every connection and callback; the books stay readable."""
        self._stopping.set()
        self._messenger.stop()
        self._listener.stop()

    def books(self, *, hashes: bool = True) -> dict[str, Any]:
        """Return everything seen and done; the keys are in the package's docstring."""
        jobs_and_renders = accounts(self._organization, self._books, self._now(), hashes=hashes)
        return jobs_and_renders | self._books.snapshot()

    def film(self, render_id: str) -> Film:
        """Return the file of a render: its ``size``, ``sha256`` and ``read()``. Raise KeyError for an unknown one."""
        render = self._organization.find_render(render_id)
        if render is None:
            raise KeyError(render_id)
        return render.film

    def configure(self, **changes: object) -> None:
        """Change some fields from now on. Raise InvalidSettings, and change nothing, if one of them cannot be used."""
        self._config = self._config.changed(changes)

    def reset(self) -> None:
        """Forget all jobs, renders, calls to come and books, and go back to the first config."""
        self._config = self._first_config
        self._messenger.forget()
        self._organization.forget()
        self._api.forget()
        self._books.clear()

    def _current(self) -> SandboxConfig:
        return self._config

    def _files(self) -> str:
        return self._config.public_url.rstrip("/") or self.url

    def _listen(self) -> Listener:
        front = Front(
            api=self._api,
            controls=Controls(self),
            organization=self._organization,
            books=self._books,
            chance=Chance(self._config.seed, "faults"),
            config=self._current,
            now=self._now,
            pause=self._stopping.wait,
        )
        return Listener((self._config.host, self._config.port), handler_for(front.reply, self._books), self._books)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop()


def serve(config: SandboxConfig) -> None:
    """Run a sandbox until SIGTERM or SIGINT. Call it from the main thread."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with Sandbox(config):
        ended.wait()
