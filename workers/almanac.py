"""Reads what happened hour by hour. Costs the same however many jobs there are, and writes nothing."""

from typing import Any

from redis import Redis, RedisError

from workers import keys
from workers.errors import LedgerUnavailable
from workers.hours import Hour, numbers, read_hour

DAY_HOURS = 24


class Almanac:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def day(self, hours: int = DAY_HOURS) -> list[Hour]:
        """Give the last ``hours`` hours by Redis's clock, the one that has just begun last; empty ones too.

        Raise ``LedgerUnavailable`` when Redis does not answer.
        """
        try:
            seconds, _ = self._redis.time()
            wanted = numbers(seconds, hours)
            pipeline: Any = self._redis.pipeline(transaction=False)
            for number in wanted:
                pipeline.hgetall(keys.hour(number))
            found = pipeline.execute()
        except RedisError as error:
            raise LedgerUnavailable(f"Redis did not answer as it should: {error}") from error
        return [read_hour(number, fields) for number, fields in zip(wanted, found, strict=True)]
