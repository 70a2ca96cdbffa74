"""How the ledger writes: one script at a time, and with replicas where the answer is a promise."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from redis import Redis

from workers import origin, tracing
from workers.attic import Attic
from workers.errors import LedgerUnavailable
from workers.nudges import templates
from workers.outbox import NOTHING, Outbox
from workers.reader import asked
from workers.scripts import LedgerScripts


class NotReplicated(LedgerUnavailable):
    """The write is on the primary, which may be lost."""


class Scribe:
    """``now_ms``: a clock for tests; without it Redis's own is used.

    ``ack_replicas``: so many replicas must have a callback or a new ref before it counts as kept. ``several``: there
    are several accounts, and none may have all the workers. ``outbox``: what is announced to the team's application.
    ``frees``: a job's files at Swiftia are deleted once all of them are kept here.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        now_ms: Callable[[], int] | None = None,
        ack_replicas: int = 0,
        several: bool = False,
        outbox: Outbox = NOTHING,
        frees: bool = False,
    ) -> None:
        self._redis = redis
        self._ack_replicas = ack_replicas
        self._scripts = LedgerScripts(redis, templates(redis), several=several, outbox=outbox, frees=frees)
        self._attic = Attic(redis, self._scripts.run)
        self._now_ms = now_ms

    _read = staticmethod(asked)

    def _keep(self, name: str, arguments: Mapping[str, object], *binary: bytes) -> Any:
        """Run a script whose answer is a promise to somebody."""
        wanted = self._ack_replicas
        if not wanted:
            return self._run(name, arguments, *binary)
        given = self._timed(arguments)
        ask = partial(self._scripts.run_replicated, wanted, name, given, *binary)
        answer, having = self._read(self._attic.unpacked, self._timed({}), ask)
        if having < wanted:
            raise NotReplicated(
                f"the write is here but not on {wanted} replicas, only on {having}; start them or lower ACK_REPLICAS"
            )
        return answer

    def _run(self, name: str, arguments: Mapping[str, object], *binary: bytes) -> Any:
        ask = partial(self._scripts.run, name, self._timed(arguments), *binary)
        return self._read(self._attic.unpacked, self._timed({}), ask)

    def _timed(self, arguments: Mapping[str, object]) -> dict[str, object]:
        return {"now": "" if self._now_ms is None else str(self._now_ms()), **arguments}


def carried() -> dict[str, str]:
    """What goes with a piece of work that is set going here and now: the id of the request, and its trace."""
    found = {"request_id": request_id} if (request_id := origin.ids().get("request_id")) else {}
    if traceparent := tracing.traceparent():
        found["trace"] = traceparent
    return found
