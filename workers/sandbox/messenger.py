"""Sends the callbacks: a heap of what is due, and threads that sleep until something is."""

import hashlib
import heapq
import itertools
import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from workers.sandbox.books import Books
from workers.sandbox.calls import Call
from workers.sandbox.config import SandboxConfig

_log = logging.getLogger("workers.sandbox")
_LONGEST_NAP = 0.1
_READ_AT_MOST = 65536
_SUCCESS = range(200, 300)


class Messenger:
    """``start`` before, ``stop`` after use; ``schedule`` and ``send`` may be called from any thread."""

    def __init__(self, *, books: Books, config: Callable[[], SandboxConfig], now: Callable[[], float]) -> None:
        self._books = books
        self._config = config
        self._now = now
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, Call]] = []
        self._order = itertools.count()
        self._stopped = False
        senders = range(config().webhook_senders)
        self._threads = [threading.Thread(target=self._run, name=f"callbacks-{n}", daemon=True) for n in senders]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self, patience: float = 2.0) -> None:
        """Send no more; wait ``patience`` seconds at most for each call that is under way."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(patience)

    def schedule(self, at: float, call: Call) -> None:
        with self._changed:
            heapq.heappush(self._due, (at, next(self._order), call))
            self._changed.notify()

    def forget(self) -> None:
        with self._changed:
            self._due.clear()

    def send(self, call: Call) -> None:
        """Send now and wait for the answer; a failed call is tried again later, if the config says so."""
        config = self._config()
        kind, body = call.content()
        outcome = _post(call.job.webhook, kind, body, config.webhook_timeout)
        self._books.callback(
            job=call.job.id,
            at=self._now(),
            attempt=call.attempt,
            form=call.job.body_form,
            content_type=kind,
            bytes=len(body),
            sha256=hashlib.sha256(body).hexdigest(),
            **outcome,
        )
        _log.info("callback job=%s form=%s outcome=%s", call.job.id, call.job.body_form, outcome)
        if outcome["status"] not in _SUCCESS and call.attempt < config.webhook_tries:
            wait = config.webhook_retry_seconds * config.time_scale * 2 ** (call.attempt - 1)
            self.schedule(self._now() + wait, replace(call, attempt=call.attempt + 1))

    def _run(self) -> None:
        while (call := self._next()) is not None:
            self.send(call)

    def _next(self) -> Call | None:
        with self._changed:
            while not self._stopped:
                wait = self._due[0][0] - self._now() if self._due else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._due)[2]
                # The clock is an argument and may run faster than the nap.
                self._changed.wait(None if wait is None else min(wait, _LONGEST_NAP))
        return None


def _post(url: str, kind: str, body: bytes, timeout: float) -> dict[str, int | str | None]:
    """Return ``status`` and ``error``, one of which is None. Redirects are not followed."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {"User-Agent": "swiftia-sandbox", **({"Content-Type": kind} if kind else {})}
    connection = (HTTPSConnection if secure else HTTPConnection)(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request("POST", target, body, headers)
        answer = connection.getresponse()
        answer.read(_READ_AT_MOST)
    except (OSError, HTTPException, ValueError) as error:
        return {"status": None, "error": f"{type(error).__name__}: {error}"}
    finally:
        connection.close()
    return {"status": answer.status, "error": None}
