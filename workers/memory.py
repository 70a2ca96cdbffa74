"""What has been learnt of how long an account's renders and jobs take: one small value each, kept in Redis.

Nothing depends on it but when to look again. Where it is gone, looks are as those of a new account.
"""

from typing import Final

import structlog
from redis import Redis, RedisError

from workers import keys
from workers.history import History, Observation

RENDERS: Final = "renders"
JOBS: Final = "jobs"

_log = structlog.get_logger("workers.memory")


class Memory:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def of(self, kind: str, account: str = "") -> History:
        """``kind``: RENDERS or JOBS."""
        try:
            return History.read(self._redis.get(keys.history(kind, account)))
        except RedisError as error:
            _log.warning("history.unread", kind=kind, error=str(error))
            return History()

    def learn(self, kind: str, history: History, seen: Observation, account: str = "") -> None:
        """Add to ``history``, as ``of`` gave it. Two at once may lose one lesson: the next render teaches it again."""
        try:
            self._redis.set(keys.history(kind, account), history.updated(seen).as_json())
        except RedisError as error:
            _log.warning("history.unwritten", kind=kind, error=str(error))
