"""Callbacks on their way into the ledger over one connection, one behind the other, answered in that order.

Nobody waits here: who has something to send hands it over, who hears that the connection can be read asks for what has
come. Under ``appendfsync always`` a server writes once for all that arrives together. What is on its way when the
connection fails may be stored or not; taking it again with the same receipt changes nothing.
"""

import contextlib
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import hiredis
from redis import Redis, RedisError

from workers.errors import LedgerUnavailable
from workers.records import Accepted, Callback

# As the web's client: a server that answers nothing for so long hangs.
PATIENCE_S: Final = 1.5
# More than that are not on their way at once; the others take turns with everything else that this process does.
MOST: Final = 256
_READ: Final = 64 << 10
Words = Callable[[Callback], tuple[bytes, bytes, bytes]]


class Pipeline:
    """``words``: of a callback the sha of the script, its argument and the body. ``load``: makes the script known."""

    def __init__(self, redis: Redis, words: Words, load: Callable[[], object], *, clock: Callable[[], float]) -> None:
        self._redis = redis
        self._words = words
        self._load = load
        self._clock = clock
        self._connection: Any = None
        self._socket: socket.socket | None = None
        self._reader = hiredis.Reader()
        self._out = b""
        self._sent_at: deque[float] = deque()

    def open(self) -> socket.socket:
        """Connect; the socket is there to be listened to. Raises LedgerUnavailable."""
        try:
            self._load()
            self._connection = self._redis.connection_pool.get_connection()
        except RedisError as error:
            raise LedgerUnavailable(f"Redis did not answer as it should: {error}") from error
        # Ours until it is closed: what comes in on it is read here alone.
        found = self._connection._get_socket()  # noqa: SLF001 - the library's clients wait for each answer
        if type(found) is not socket.socket:
            self.close()
            raise LedgerUnavailable("the connection to Redis is none that can be listened to as it is")
        found.setblocking(False)
        self._socket = found
        return found

    def close(self) -> None:
        self._sent_at.clear()
        self._out, self._reader, self._socket = b"", hiredis.Reader(), None
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(RedisError, OSError):
                connection.disconnect()
            self._redis.connection_pool.release(connection)

    @property
    def has_room(self) -> bool:
        return len(self._sent_at) < MOST

    @property
    def waiting(self) -> int:
        return len(self._sent_at)

    @property
    def is_late(self) -> bool:
        """Whether the oldest has been without an answer for too long."""
        return bool(self._sent_at) and self._clock() - self._sent_at[0] > PATIENCE_S

    def add(self, callback: Callback) -> None:
        """Put it behind the others. It leaves with ``flush``."""
        sha, argument, body = self._words(callback)
        self._out += b"*5\r\n$7\r\nEVALSHA\r\n$40\r\n%b\r\n$1\r\n0\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (
            sha,
            len(argument),
            argument,
            len(body),
            body,
        )
        self._sent_at.append(self._clock())

    def flush(self) -> bool:
        """Send as much as goes at once; whether that is all. Raises OSError."""
        if self._out and self._socket is not None:
            with contextlib.suppress(BlockingIOError):
                self._out = self._out[self._socket.send(self._out) :]
        return not self._out

    def answers(self) -> list[Accepted | None]:
        """What has been answered, the oldest first; None for one that must go the ordinary way. Raises OSError."""
        found = [accepted_of(answer) for answer in self._come_in()]
        self._answered(len(found))
        return found

    def _answered(self, count: int) -> None:
        for _ in range(count):
            self._sent_at.popleft()

    def _come_in(self) -> list[object]:
        if self._socket is None:
            return []
        try:
            data = self._socket.recv(_READ)
        except BlockingIOError:
            return []
        if not data:
            raise ConnectionResetError("Redis has closed the connection")
        self._reader.feed(data)
        found = []
        while (answer := self._reader.gets()) is not False:
            if not isinstance(answer, hiredis.PushNotification):  # the server's own news
                found.append(answer)
        return found


def accepted_of(answer: object) -> Accepted | None:
    # An error: the script is not known there any more, its job is packed, memory is full, and the like.
    return Accepted(*(part.decode() for part in answer)) if isinstance(answer, list) else None
