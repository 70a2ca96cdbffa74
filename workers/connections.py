"""Clients of Redis, one for each temper: the web side gives up after about a second, workers after about a minute."""

import time
from collections.abc import Callable
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, urlsplit

import redis
from redis.backoff import AbstractBackoff, ExponentialWithJitterBackoff, NoBackoff
from redis.driver_info import DriverInfo
from redis.retry import Retry

from workers import sentinels
from workers.errors import InvalidSettings
from workers.steady import SteadyRedis

T = TypeVar("T")
_DIRECT = ("redis", "rediss", "unix")
_SCHEMES = (*_DIRECT, sentinels.SCHEME)
_OPTIONS = ("db", "username", "password")
# The library would look its own version up for each connection, which takes longer than to connect.
_DRIVER: Final = DriverInfo()


class Patience(Retry):
    """Retries that also end when ``seconds`` have passed since the first try.

    The library retries commands, connects and health checks one within the other: on a server that takes connections
    and never answers the tries multiply, and 40 of them would last for hours.
    """

    def __init__(self, backoff: AbstractBackoff, retries: int, *, seconds: float) -> None:
        super().__init__(backoff, retries)
        self._seconds = seconds

    def call_with_retry(self, do: Callable[[], T], fail: Callable[..., Any], *args: Any, **options: Any) -> T:
        began = time.monotonic()

        def fail_in_time(error: Exception, *count: int) -> None:
            fail(error, *count)
            if time.monotonic() - began >= self._seconds:
                raise error

        return super().call_with_retry(do, fail_in_time, *args, **options)


def web_redis(url: str) -> redis.Redis:
    """Return a client for requests: on a hung server a command fails after 1.5 seconds, without one at once.

    The one retry repeats a write whose answer was lost, so every write must be idempotent. Raises InvalidSettings.
    """
    options = {"socket_timeout": 1.5, "socket_connect_timeout": 1.0, "health_check_interval": 15}
    return _client(redis.Redis, url, lookup_timeout=0.3, retry=Patience(NoBackoff(), 1, seconds=1.0), **options)


def worker_redis(url: str) -> redis.Redis:
    """Return a client that sits out a restart of the server: about a minute of retries with jitter.

    A retry repeats a write whose answer was lost, so every write must be idempotent. Raises InvalidSettings.
    """
    retry = Patience(ExponentialWithJitterBackoff(base=0.05, cap=2), 40, seconds=60.0)
    options = {"socket_timeout": 5.0, "socket_connect_timeout": 2.0, "health_check_interval": 0}
    return _client(SteadyRedis, url, lookup_timeout=1.0, retry=retry, **options)


def _client(kind: type[redis.Redis], url: str, *, lookup_timeout: float, **options: Any) -> redis.Redis:
    options["driver_info"] = _DRIVER
    if url.startswith(f"{sentinels.SCHEME}://"):
        return sentinels.primary(url, lookup_timeout=lookup_timeout, kind=kind, **options)
    _refuse_what_we_do_not_take(url)
    try:
        return kind.from_url(url, **options)
    except (ValueError, TypeError):
        # The cause quotes parts of the URL, and the password may be among them.
        raise InvalidSettings([f"REDIS_URL={safe_url(url)} cannot be read; write redis://host:6379/0"]) from None


def _refuse_what_we_do_not_take(url: str) -> None:
    scheme = url.partition("://")[0]
    if "://" not in url or scheme not in _DIRECT:
        known = "redis://, rediss://, unix:// or redis+sentinel://"
        raise InvalidSettings([f"REDIS_URL={safe_url(url)} must begin with {known}"])
    if not _takes_options_of(url):
        # Not naming the strange one: behind an unquoted ? it may be half of a password.
        raise InvalidSettings(
            [f"REDIS_URL: its options may be {', '.join(_OPTIONS)} and ssl_… only; write a ? in a password as %3F"]
        )


def _takes_options_of(url: str) -> bool:
    # An option in the URL beats our arguments: one could take the timeouts away, or turn every bytes into a str.
    try:
        names = [name for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True)]
    except ValueError:
        return False
    return all(name in _OPTIONS or name.startswith("ssl_") for name in names)


def safe_url(url: str) -> str:
    """Return ``url`` for messages and logs: without user, password and options, whatever their characters.

    >>> safe_url("rediss://app:se?cr@et@cache.example:6380/1?password=x")
    'rediss://***'
    >>> safe_url("rediss://app:secret@cache.example:6380/1?password=x")
    'rediss://***@cache.example:6380/1'
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _SCHEMES:
        return "***"
    place = rest.replace("#", "?").partition("?")
    if "@" in place[2]:
        # Somewhere a secret holds an unquoted ? or #, so nothing tells where it begins.
        return f"{scheme}://***"
    _, user, address = place[0].rpartition("@")
    return f"{scheme}://{'***@' if user else ''}{address}"
