"""``/healthz``: this process answers. ``/readyz``: a callback could be stored now."""

from typing import Any, Final

from flask import Blueprint, Response
from redis import Redis, RedisError

from receiver.answers import json_answer
from workers import keys
from workers.errors import LedgerUnavailable
from workers.work import LANES

_PROBE: Final = f"{keys.PREFIX}probe"
_PROBE_S: Final = 60


class Health:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def blueprint(self) -> Blueprint:
        health = Blueprint("health", __name__)
        health.add_url_rule("/healthz", view_func=self.alive)
        health.add_url_rule("/readyz", view_func=self.ready)
        return health

    def alive(self) -> Response:
        return json_answer({"alive": True})

    def ready(self) -> Response:
        """``clock``: seconds since the clock looked after each lane, null if it never did.

        Without a clock callbacks are stored all the same, so it does not make the door unready.
        """
        try:
            now_ms, passes = self._probe()
        except RedisError as error:
            raise LedgerUnavailable(f"Redis takes no writes: {error}") from error
        ages = {lane: round(max(0.0, (now_ms - float(at)) / 1000), 3) if at else None for lane, at in passes.items()}
        return json_answer({"ready": True, "clock": ages})

    def _probe(self) -> tuple[float, dict[str, bytes | None]]:
        # A write: a full server or a replica answers a PING happily.
        pipeline: Any = self._redis.pipeline(transaction=False)
        pipeline.set(_PROBE, 1, ex=_PROBE_S).time().hmget(keys.CLOCK, *LANES)
        _, (seconds, micros), passes = pipeline.execute()
        return seconds * 1000 + micros / 1000, dict(zip(LANES, passes, strict=True))
