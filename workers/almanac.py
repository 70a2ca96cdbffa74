"""Reads what happened hour by hour. Costs the same however many jobs there are, and writes nothing."""

from typing import Any

from redis import Redis

from workers import keys
from workers.hours import Hour, numbers, read_hour
from workers.reader import asked

DAY_HOURS = 24


class Almanac:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def day(self, hours: int = DAY_HOURS) -> list[Hour]:
        """Give the last ``hours`` hours by Redis's clock, the one that has just begun last; empty ones too.

        Raise ``LedgerUnavailable`` when Redis does not answer.
        """
        seconds, _ = asked(self._redis.time)
        wanted = numbers(seconds, hours)
        pipeline: Any = self._redis.pipeline(transaction=False)
        for number in wanted:
            pipeline.hgetall(keys.hour(number))
        found = asked(pipeline.execute)
        return [read_hour(number, fields) for number, fields in zip(wanted, found, strict=True)]
