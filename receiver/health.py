"""``/healthz``: this process answers. ``/readyz``: a callback could be stored now, in Redis or in the spool."""

from typing import Any

from flask import Blueprint, Response
from redis import Redis, RedisError

from receiver.answers import json_answer
from workers import keys
from workers.artifacts import Artifacts
from workers.errors import LedgerUnavailable, SpoolUnavailable
from workers.intake import Intake
from workers.work import LANES


class Health:
    """``largest``: bytes of the largest callback that is taken."""

    def __init__(self, redis: Redis, intake: Intake, artifacts: Artifacts, *, largest: int) -> None:
        self._redis = redis
        self._intake = intake
        self._artifacts = artifacts
        self._largest = largest

    def blueprint(self) -> Blueprint:
        health = Blueprint("health", __name__)
        health.add_url_rule("/healthz", view_func=self.alive)
        health.add_url_rule("/readyz", view_func=self.ready)
        return health

    def alive(self) -> Response:
        return json_answer({"alive": True})

    def ready(self) -> Response:
        """``clock``: seconds since the clock looked after each lane, null if it never did, null whole without Redis.

        Without a clock callbacks are stored all the same, so it does not make the door unready.
        ``spool``: what waits here for Redis, null if the disk does not tell. ``storage``: the room for files on this
        machine, and whether downloads wait for more; callbacks do not.
        """
        ages = self._ages()
        if ages is None:
            self._intake.spool.check(self._largest)  # raises when nothing could be stored
        answer = {"ready": True, "redis": ages is not None, "clock": ages, "spool": self._spooled()}
        return json_answer({**answer, "storage": self._room()})

    def _ages(self) -> dict[str, float | None] | None:
        if not self._intake.redis_trusted:
            return None  # a server that hangs would hold each of these requests
        try:
            self._intake.try_redis()
            now_ms, passes = self._passes()
        except (LedgerUnavailable, RedisError):
            return None
        return {lane: round(max(0.0, (now_ms - float(at)) / 1000), 3) if at else None for lane, at in passes.items()}

    def _spooled(self) -> dict[str, int] | None:
        try:
            depth = self._intake.spool.depth()
        except SpoolUnavailable:
            return None
        return {"count": depth.count, "bytes": depth.bytes}

    def _room(self) -> dict[str, object] | None:
        space = self._artifacts.space()
        return None if space is None else {"free_bytes": space.free, "paused": space.paused}

    def _passes(self) -> tuple[float, dict[str, bytes | None]]:
        pipeline: Any = self._redis.pipeline(transaction=False)
        (seconds, micros), passes = pipeline.time().hmget(keys.CLOCK, *LANES).execute()
        return seconds * 1000 + micros / 1000, dict(zip(LANES, passes, strict=True))
