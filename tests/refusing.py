"""A Redis that answers and takes no writes, for the length of a ``with`` block."""

import contextlib
from collections.abc import Iterator

from redis import Redis


@contextlib.contextmanager
def full(redis: Redis) -> Iterator[None]:
    redis.config_set("maxmemory", "1")
    try:
        yield
    finally:
        redis.config_set("maxmemory", "0")


@contextlib.contextmanager
def read_only(redis: Redis) -> Iterator[None]:
    redis.replicaof("127.0.0.1", "1")
    try:
        yield
    finally:
        redis.replicaof("NO", "ONE")
