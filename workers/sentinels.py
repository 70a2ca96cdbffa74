"""Clients of whichever server is the primary now, by what Redis Sentinel says: ``redis+sentinel://…`` addresses.

The sentinels are asked at every connect. A server that stops being the primary loses its connections here, so that the
next try asks again; until a new one stands, the caller's retries pass the time.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from redis import ConnectionError, Redis, ResponseError, TimeoutError  # noqa: A004 - the library's names
from redis.backoff import NoBackoff
from redis.exceptions import MasterDownError, ReadOnlyError
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool, SentinelManagedConnection

from workers.errors import InvalidSettings

SCHEME: Final = "redis+sentinel"
_EXAMPLE: Final = f"{SCHEME}://h1:26379,h2:26379,h3:26379/name/0"
_SENTINEL_PORT: Final = 26379
_HIGHEST_PORT: Final = 65_535
_HOST: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")
_PATH: Final = re.compile(r"/([A-Za-z0-9._-]{1,100})(?:/([0-9]{1,4}))?/?")
_OPTIONS: Final = {"sentinel_username", "sentinel_password"}
# What a script meets inside itself comes as text on servers before 7.0; the last one ends a command that was waiting.
_NO_PRIMARY: Final = ("READONLY You can't write", "UNBLOCKED ")


@dataclass(frozen=True, slots=True)
class Address:
    """Where the sentinels are, and what they call the primary. The user and password are the primary's own."""

    sentinels: tuple[tuple[str, int], ...]
    service: str
    db: int
    username: str | None
    password: str | None = field(repr=False)
    sentinel_username: str | None
    sentinel_password: str | None = field(repr=False)


def read_address(url: str) -> Address:
    """Read ``redis+sentinel://[user:password@]h1:p,h2:p,h3:p/name/0``. Raises InvalidSettings, which quotes nothing.

    Reserved characters in a user or password are written as %XX. Sentinels that want a password themselves:
    ``?sentinel_username=…&sentinel_password=…``.
    """
    place, _, query = url.removeprefix(f"{SCHEME}://").partition("?")
    options = _options(query)
    authority, slash, rest = place.partition("/")
    user, at, hosts = authority.rpartition("@")
    path = _PATH.fullmatch(slash + rest)
    if path is None:
        raise _unreadable("after the hosts stand the primary's name and, if it is not 0, the database")
    username, _, password = user.partition(":")
    if at and not (username or password):
        raise _unreadable("the user and password before the @ are empty")
    return Address(
        sentinels=tuple(_host(host) for host in hosts.split(",")),
        service=path[1],
        db=int(path[2] or 0),
        username=unquote(username) or None,
        password=unquote(password) or None,
        sentinel_username=options.get("sentinel_username") or None,
        sentinel_password=options.get("sentinel_password") or None,
    )


def _options(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, strict_parsing=bool(query), keep_blank_values=True)
    except ValueError:
        pairs = [("", "")]
    options = dict(pairs)
    if "#" in query or len(options) < len(pairs) or set(options) - _OPTIONS:
        raise _unreadable("its options may be sentinel_username and sentinel_password; write a ? or # as %3F or %23")
    return options


def _host(text: str) -> tuple[str, int]:
    match = _HOST.fullmatch(text)
    port = int(match[2] or _SENTINEL_PORT) if match else 0
    if match is None or not 1 <= port <= _HIGHEST_PORT:
        raise _unreadable("a sentinel is no host:port")
    return match[1].strip("[]"), port


def _unreadable(why: str) -> InvalidSettings:
    return InvalidSettings([f"REDIS_URL: {why}; write {_EXAMPLE}"])


def primary(url: str, *, lookup_timeout: float, kind: type[Redis] = Redis, **options: Any) -> Redis:
    """Return a client of the primary, of that ``kind``. ``lookup_timeout``: seconds for one question to one sentinel.

    ``options``: those of a connection to the primary. Raises InvalidSettings.
    """
    address = read_address(url)
    # No retries of a single sentinel: the next one is asked instead.
    asking = {
        "socket_timeout": lookup_timeout,
        "socket_connect_timeout": lookup_timeout,
        "retry": Retry(NoBackoff(), 0),
        "username": address.sentinel_username,
        "password": address.sentinel_password,
    }
    sentinels = Sentinels(address.sentinels, sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
    pool = SentinelConnectionPool(  # type: ignore[no-untyped-call]
        address.service,
        sentinels,
        connection_class=PrimaryConnection,
        db=address.db,
        username=address.username,
        password=address.password,
        **options,
    )
    return kind.from_pool(pool)


class Sentinels(Sentinel):
    """Asks the one that answered last first.

    The library's own lookup reorders the list of sentinels, and threads that do so at once can lose one of them.
    """

    _last: Redis | None = None

    def discover_master(self, service_name: str) -> tuple[str, int]:
        """Return host and port of the primary. Raises MasterNotFoundError, a ConnectionError, so it is tried again."""
        faults: list[str] = []
        for sentinel in sorted(self.sentinels, key=lambda one: one is not self._last):
            try:
                state: Any = sentinel.sentinel_master(service_name)
            except (ConnectionError, TimeoutError, ResponseError) as error:
                faults.append(str(error))
                continue
            finally:
                # The next lookup may be days away; no connection is kept for it.
                sentinel.connection_pool.disconnect(inuse_connections=False)
            if self.check_master_state(state, service_name):  # type: ignore[no-untyped-call]
                self._last = sentinel
                return state["ip"], state["port"]
            faults.append("the primary is down")
        raise MasterNotFoundError(f"no sentinel names a primary for {service_name!r}: {'; '.join(faults)}")


class PrimaryConnection(SentinelManagedConnection):
    """Asks the sentinels at every connect, and leaves a server that turns out to be no primary any more.

    The library asks only where it takes a connection from the pool: the retries of a command go to the server that is
    gone (https://github.com/redis/redis-py/issues/3874), and of the answers below it knows READONLY alone.
    """

    def connect(self) -> None:
        self.retry.call_with_retry(lambda: self.connect_check_health(check_health=False), lambda _: None)

    def connect_check_health(self, check_health: bool = True, retry_socket_connect: bool = False) -> None:  # noqa: FBT001, FBT002 - the library's signature
        del retry_socket_connect  # the caller's retries come here again, and the primary may have changed by then
        if not self._sock:
            self.host, self.port = self.connection_pool.get_master_address()
            super().connect_check_health(check_health=check_health, retry_socket_connect=False)

    def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return super().read_response(*args, **options)
        except ResponseError as error:
            if isinstance(error, (ReadOnlyError, MasterDownError)) or any(words in str(error) for words in _NO_PRIMARY):
                self.disconnect()  # type: ignore[no-untyped-call]
                raise ConnectionError("this server is not the primary any more") from error
            raise
