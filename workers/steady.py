"""A client of Redis for those who run scripts all the time: each thread keeps a connection for them.

Taking one out of the library's pool, and putting it back, costs a worker more than what it says and hears over it.
"""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import hiredis
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry


@dataclass(frozen=True, slots=True)
class Later:
    """A command that goes along with the next script of its thread. ``heard`` gets what was answered.

    ``command`` gives it when it leaves. ``again`` is called where an error was answered, or nothing: it asks by
    itself. Neither of the other two raises anything.
    """

    command: Callable[[], tuple[Any, ...]]
    heard: Callable[[Any], object]
    again: Callable[[], object]


class _Kept(threading.local):
    """The connection of this thread. ``pid``: who made it. ``later``: what goes with the next script."""

    connection: Any = None
    pid = 0

    def __init__(self) -> None:
        self.later: list[Later] = []


class SteadyRedis(redis.Redis):
    """Runs scripts over the connection that its thread keeps. Everything else is the library's client.

    Whatever is wrong with that connection, the library's way is tried next, with all its patience: it finds the new
    primary, or a server that is back. So a script may run twice, as it may with the library's own retries.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self._kept = _Kept()
        super().__init__(*args, **options)

    def evalsha(self, sha: str, numkeys: int, *keys_and_args: Any) -> Any:
        unheard, self._kept.later = self._kept.later, []
        try:
            return self._asked(unheard, "EVALSHA", sha, numkeys, *keys_and_args)
        except (redis.ConnectionError, redis.TimeoutError, redis.ReadOnlyError):
            return super().evalsha(sha, numkeys, *keys_and_args)
        finally:
            for each in unheard:
                each.again()

    def later(self, command: Later) -> None:
        """Send it with the next script of this thread, in one message. What ends before that sends it never."""
        self._kept.later.append(command)

    def close(self) -> None:
        self._hang_up()
        super().close()

    def _asked(self, unheard: list[Later], *command: Any) -> Any:
        """``unheard``: what goes along. What was answered is taken out of it."""
        connection = self._connection()
        try:
            commands = [*(each.command() for each in unheard), command]
            connection.send_packed_command([b"".join(map(hiredis.pack_command, commands))])
            for each in list(unheard):
                with suppress(redis.ResponseError):
                    answer = connection.read_response()
                    unheard.remove(each)
                    each.heard(answer)
            return connection.read_response()
        except BaseException as error:
            # A step may be ended on any line, and the answer that it did not read would be taken for the next one. What
            # a server refuses has been read; but one that takes no writes is not the one to stay with.
            if not isinstance(error, redis.ResponseError) or isinstance(error, redis.ReadOnlyError):
                self._hang_up()
            if not isinstance(error, Exception):
                unheard.clear()  # there is no time for it any more
            raise

    def _connection(self) -> Any:
        kept = self._kept
        if kept.connection is None or kept.pid != os.getpid():
            options = {**self.connection_pool.connection_kwargs, "retry": Retry(NoBackoff(), 0)}
            kept.connection, kept.pid = self.connection_pool.connection_class(**options), os.getpid()
        return kept.connection

    def _hang_up(self) -> None:
        connection, self._kept.connection = self._kept.connection, None
        if connection is not None:
            with suppress(redis.RedisError):
                connection.disconnect()
