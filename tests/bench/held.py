"""What the ledger holds of a job's renders and timeline, packed or not: for measuring, which looks past the API."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis

from workers import keys
from workers.bundle import PACKED, unpack
from workers.identifiers import JobSubject


@dataclass(frozen=True, slots=True)
class Held:
    """``renders``: their fields, the first first."""

    renders: Sequence[Mapping[bytes, bytes]]
    timeline: Sequence[Mapping[str, Any]]


def held(redis: Redis, job_id: str) -> Held:
    job = JobSubject(job_id)
    packed = redis.hget(keys.record(job), PACKED)
    if packed:
        bundle = unpack(packed, job)
        return Held(bundle.renders, [json.loads(entry) for entry in bundle.timeline])
    count = int(redis.hget(keys.record(job), "renders") or 0)
    renders = [redis.hgetall(f"sr:render:{job}/{n}") for n in range(1, count + 1)]
    if redis.hexists(keys.record(job), PACKED):
        return held(redis, job_id)  # it was packed in between
    return Held(renders, [json.loads(entry) for entry in redis.lrange(keys.timeline(job), 0, -1)])
