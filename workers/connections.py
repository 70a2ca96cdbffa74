"""Clients of Redis, one for each temper: the web side gives up after about a second, workers after about a minute."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

import redis
from redis.backoff import AbstractBackoff, ExponentialWithJitterBackoff, NoBackoff
from redis.retry import Retry

from workers import sentinels
from workers.errors import InvalidSettings, LedgerUnavailable

T = TypeVar("T")
_DIRECT = ("redis", "rediss", "unix")
_SCHEMES = (*_DIRECT, sentinels.SCHEME)
_OPTIONS = ("db", "username", "password")


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
    return _client(url, lookup_timeout=0.3, retry=Patience(NoBackoff(), 1, seconds=1.0), **options)


def worker_redis(url: str) -> redis.Redis:
    """Return a client that sits out a restart of the server: about a minute of retries with jitter.

    A retry repeats a write whose answer was lost, so every write must be idempotent. Raises InvalidSettings.
    """
    retry = Patience(ExponentialWithJitterBackoff(base=0.05, cap=2), 40, seconds=60.0)
    options = {"socket_timeout": 5.0, "socket_connect_timeout": 2.0, "health_check_interval": 0}
    return _client(url, lookup_timeout=1.0, retry=retry, **options)


def _client(url: str, *, lookup_timeout: float, **options: Any) -> redis.Redis:
    if url.startswith(f"{sentinels.SCHEME}://"):
        return sentinels.primary(url, lookup_timeout=lookup_timeout, **options)
    _refuse_what_we_do_not_take(url)
    try:
        return redis.Redis.from_url(url, **options)
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


@dataclass(frozen=True, slots=True)
class Durability:
    """What a server says of how it keeps writes. None: it does not say (managed servers often forbid CONFIG)."""

    role: str | None
    maxmemory_policy: str | None
    appendonly: bool | None
    appendfsync: str | None
    replicas: int | None = field(default=None, compare=False)

    @property
    def problems(self) -> tuple[str, ...]:
        """What is certainly wrong, each with its fix."""
        found = (
            (
                self.role not in (None, "master"),
                f"this is a {self.role}, which takes no writes; connect to the primary",
            ),
            (
                self.maxmemory_policy not in (None, "noeviction"),
                f"maxmemory-policy is {self.maxmemory_policy}: a full memory erases accepted work; set noeviction",
            ),
            (
                self.appendonly is False,
                "appendonly is no: a crash loses every write since the last snapshot; set appendonly yes",
            ),
            (
                self.appendonly is not False and self.appendfsync not in (None, "always"),
                f"appendfsync is {self.appendfsync}: a power loss loses the last accepted webhooks; set always",
            ),
        )
        return tuple(text for wrong, text in found if wrong)

    def lacking(self, ack_replicas: int) -> tuple[str, ...]:
        """What keeps ``ack_replicas`` replicas from having each acknowledged write, with its fix."""
        if self.replicas is None or self.replicas >= ack_replicas:
            return ()
        found = f"{self.replicas} replicas are connected and ACK_REPLICAS={ack_replicas} waits for more"
        return (f"{found}: callbacks wait in the spool; start them, or lower ACK_REPLICAS",)

    @property
    def unknown(self) -> tuple[str, ...]:
        """The settings that the server does not tell; look them up in its console, or allow CONFIG GET."""
        values = {
            "role": self.role,
            "maxmemory-policy": self.maxmemory_policy,
            "appendonly": self.appendonly,
            "appendfsync": self.appendfsync,
        }
        return tuple(name for name, value in values.items() if value is None)

    @property
    def durable(self) -> bool:
        """Whether an acknowledged write certainly survives a crash: no problem, and nothing unknown."""
        return not self.problems and not self.unknown


def durability(client: redis.Redis) -> Durability:
    """Ask the server with CONFIG GET, else with INFO. Raises LedgerUnavailable when it does not answer."""
    try:
        info = _allowed(client.info) or {}
        aof_enabled = info.get("aof_enabled")
        appendonly = _config(client, "appendonly") or (None if aof_enabled is None else "yes" if aof_enabled else "no")
        return Durability(
            role=_text(info.get("role")),
            maxmemory_policy=_config(client, "maxmemory-policy") or _text(info.get("maxmemory_policy")),
            appendonly=None if appendonly is None else appendonly == "yes",
            appendfsync=_config(client, "appendfsync"),
            replicas=_online(info) if info else None,
        )
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise LedgerUnavailable("Redis does not answer; see that it runs and that REDIS_URL names it") from error


def longest_in_listpack(client: redis.Redis) -> int | None:
    """Give the size up to which a hash keeps its values in the form that takes least memory; None if it does not tell.

    Raises LedgerUnavailable when it does not answer.
    """
    try:
        text = _config(client, "hash-max-listpack-value")
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise LedgerUnavailable("Redis does not answer; see that it runs and that REDIS_URL names it") from error
    return int(text) if text and text.isdigit() else None


def _online(info: Mapping[object, object]) -> int:
    # Not connected_slaves: it counts those that are still loading, and their word comes much later.
    entries = [value for key, value in info.items() if re.fullmatch(r"slave[0-9]+", str(key))]
    return sum(isinstance(entry, dict) and entry.get("state") == "online" for entry in entries)


def _config(client: redis.Redis, name: str) -> str | None:
    found = _allowed(lambda: client.config_get(name)) or {}
    return next((_text(value) for key, value in found.items() if _text(key) == name), None)


def _allowed(ask: Callable[[], object]) -> dict[object, object] | None:
    try:
        answer = ask()
    except redis.ResponseError:
        return None
    return answer if isinstance(answer, dict) else None


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, str) else None
