"""``GET /metrics``: what Prometheus asks for, in its text format or as OpenMetrics.

Nearly every number is read when it is asked for, in Redis and in this machine's spool: each web process gives the same
ones, and a restart forgets none. What comes from Redis is the same on every machine, to be joined by ``max`` and not
``sum``. What the door counts is each machine's own, to be joined by ``sum``.

Where there are several accounts, what is told of a budget has a label ``account``; with one key it has none. To ask in
both cases alike: ``max without (account) (…)``.
"""

from collections.abc import Iterator
from typing import Final

import structlog
from flask import Blueprint, Response, request
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, Metric, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from receiver.answers import GUARDED
from receiver.auth import Auth
from receiver.budgetmetrics import BudgetMetrics
from receiver.families import by_one, counters, gauge, histogram
from receiver.ledgermetrics import LedgerMetrics
from receiver.metricsport import OPEN
from receiver.tally import BOUNDS, REFUSED, TAKEN, Tally
from workers.artifacts import Artifacts
from workers.census import Census, Numbers
from workers.errors import LedgerUnavailable, SpoolUnavailable
from workers.intake import Intake
from workers.standing import BudgetState
from workers.upstreams import Upstreams

_OPENMETRICS: Final = "application/openmetrics-text"
_OPENMETRICS_1: Final = f"{_OPENMETRICS}; version=1.0.0; charset=utf-8"
_log = structlog.get_logger("metrics")


class Metrics:
    """How many jobs there are is the team's own business, so this wants the admin token, but on a port of its own."""

    def __init__(
        self,
        intake: Intake,
        census: Census,
        upstreams: Upstreams,
        artifacts: Artifacts,
        tally: Tally,
        *,
        auth: Auth,
    ) -> None:
        self._intake = intake
        self._artifacts = artifacts
        self._census = census
        self._upstreams = upstreams
        self._tally = tally
        self._auth = auth

    def blueprint(self) -> Blueprint:
        metrics = Blueprint("metrics", __name__)
        metrics.add_url_rule("/metrics", view_func=self.show)
        return metrics

    def show(self) -> Response:
        refusal = None if OPEN in request.environ else self._auth.refusal(request)
        if refusal is not None:
            return refusal
        if any(kind.partition(";")[0].strip() == _OPENMETRICS for kind, _ in request.accept_mimetypes):
            text = openmetrics.generate_latest(self)  # type: ignore[no-untyped-call]  # the library has no types here
            return Response(text, headers=GUARDED, content_type=_OPENMETRICS_1)
        return Response(generate_latest(self), headers=GUARDED, content_type=CONTENT_TYPE_PLAIN_0_0_4)

    def collect(self) -> Iterator[Metric]:
        """Give each metric. Without Redis only what this machine knows; without the spool's disk only the rest."""
        known = self._known()
        yield gauge("redis_up", "1 if Redis takes writes, 0 if callbacks go to the spool.", 0 if known is None else 1)
        yield from self._door()
        yield from self._spooled()
        yield from self._room()
        if known is not None:
            numbers, states = known
            yield from LedgerMetrics(numbers, self._upstreams.accounts).collect()
            yield from BudgetMetrics(states, numbers.requests, self._upstreams.accounts).collect()

    def _known(self) -> tuple[Numbers, dict[str, BudgetState]] | None:
        if not self._intake.redis_trusted:
            return None  # a server that hangs would hold each scrape
        try:
            self._intake.try_redis()
            states = {name: way.budget.state() for name, way in self._upstreams.shown.items()}
            return self._census.take(), states
        except LedgerUnavailable as error:
            _log.warning("metrics.without_redis", reason=error.message)
            return None

    def _door(self) -> Iterator[Metric]:
        found = self._tally.outcomes()
        taken = by_one({outcome: found[outcome] for outcome in TAKEN})
        yield counters("callbacks", "Callbacks that were acknowledged, by outcome.", ["outcome"], taken)
        refused = by_one({cause: found[cause] for cause in REFUSED})
        yield counters("callbacks_refused", "Callbacks that were not acknowledged, by cause.", ["cause"], refused)
        cumulative, seconds = self._tally.latency()
        took = "How long it took to acknowledge a callback, from its arrival in the process."
        yield histogram("callback_accept_seconds", took, [], BOUNDS, [([], cumulative, seconds)])

    def _spooled(self) -> Iterator[Metric]:
        try:
            depth = self._intake.spool.depth()
        except SpoolUnavailable:
            return
        yield gauge("spool_callbacks", "Callbacks on this machine's disk that are not in Redis yet.", depth.count)
        yield gauge("spool_bytes", "Bytes that these callbacks take.", depth.bytes)

    def _room(self) -> Iterator[Metric]:
        space = self._artifacts.space()
        if space is not None:
            yield gauge("storage_free_bytes", "Room on this machine's disk for kept or staged files.", space.free)
            yield gauge("storage_paused", "1 while that is less than MIN_FREE_BYTES: downloads wait.", space.paused)
