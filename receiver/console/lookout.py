"""Gathers what the overview goes by: a dozen short questions to Redis, however many jobs there are.

They are asked once in ``FRESH_S`` seconds, however many pages are open. While Redis is away, what it said last is told
with the time of it, and what this machine knows by itself as it is now.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import structlog

from receiver.console.attention import Known, Room, Spooled
from workers.almanac import Almanac
from workers.census import Census
from workers.crew import read_crew
from workers.errors import LedgerUnavailable, SpoolUnavailable
from workers.parked import Parked
from workers.presence import Presence
from workers.services import Services
from workers.work import LANES

FRESH_S: Final = 2.0
_log = structlog.get_logger("console")


class Lookout:
    """``now``: Unix seconds. ``clock``: seconds that never go back."""

    def __init__(
        self,
        services: Services,
        census: Census,
        *,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._services = services
        self._census = census
        self._almanac = Almanac(services.redis)
        self._parked = Parked(services.redis)
        self._presence = Presence(services.redis)
        self._now = now
        self._clock = clock
        self._turn = threading.Lock()
        self._seen_at = float("-inf")
        self._known = Known(
            at=now(),
            redis=False,
            spool=None,
            room=None,
            jobs={},
            due={},
            day=(),
            budgets={},
            groups=(),
            clock={},
            hands={},
            busy={},
            present={},
            storage={},
            storage_warn=services.settings.storage_warn_percent,
            deliveries_parked=0,
            archive_soon=0,
        )

    def look(self) -> Known:
        """One asks while the others wait for what it finds. Never raises because of Redis or the spool."""
        with self._turn:
            if self._clock() - self._seen_at >= FRESH_S:
                self._known = replace(self._of_redis(), spool=self._spooled(), room=self._room())
                self._seen_at = self._clock()
            return self._known

    def _of_redis(self) -> Known:
        intake = self._services.intake
        if not intake.redis_trusted:
            return replace(self._known, redis=False)  # a server that hangs would hold everybody who looks
        try:
            intake.try_redis()
            return self._asked()
        except LedgerUnavailable as error:
            _log.warning("console.without_redis", reason=error.message)
            return replace(self._known, redis=False)

    def _asked(self) -> Known:
        numbers = self._census.take()
        crew = read_crew(self._services.redis)
        present: dict[str, int] = {}
        for process in self._presence.all():
            present[process.kind] = present.get(process.kind, 0) + 1
        return replace(
            self._known,
            at=self._now(),
            redis=True,
            jobs=numbers.jobs,
            due={name: (line.length, line.late_s) for name, line in numbers.due.items()},
            day=self._almanac.day(),
            budgets={name: way.budget.state() for name, way in self._services.upstreams.shown.items()},
            groups=self._parked.groups(),
            clock=numbers.clock,
            hands={lane: crew.on(lane) for lane in LANES},
            busy={lane: sum(hand.lane == lane and hand.task is not None for hand in crew.hands) for lane in LANES},
            present=present,
            storage=numbers.storage,
            deliveries_parked=numbers.deliveries_parked,
            archive_soon=numbers.archive_soon,
        )

    def _spooled(self) -> Spooled | None:
        try:
            depth = self._services.intake.spool.depth()
        except SpoolUnavailable:
            return None
        full = depth.bytes / self._services.settings.spool_max_bytes
        return Spooled(waiting=depth.count - depth.aside, aside=depth.aside, full=full)

    def _room(self) -> Room | None:
        space = self._services.artifacts.space()
        return None if space is None else Room(space.free, space.spare, paused=space.paused)
