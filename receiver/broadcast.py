"""One thread of a web process reads the stream of changes and tells them to everybody who listens here.

It begins with the first listener and ends some time after the last one, so that nobody pays for what nobody hears. It
never waits for a listener: each has at most one piece under way, and takes the next from the changes that are kept for
all of them (``workers/tail.py``). One that is too slow falls behind their beginning, and is told so with ``reset``.
"""

import socket
import threading
import time
from collections.abc import Callable
from typing import Final

import structlog

from receiver.listeners import Listener
from receiver.pieces import Pieces, tell
from workers import frames
from workers.changes import Change
from workers.errors import Crowded, LedgerUnavailable, TemporaryError
from workers.feed import Feed
from workers.frames import StreamId
from workers.tail import Tail

# Where an application has it: ``app.extensions[BROADCAST]``. The server tells it of a stop, pages ask how many listen.
BROADCAST: Final = "broadcast"
MOST_LISTENERS: Final = 400
# One read of Redis. Longer waits would outlast the patience of the web's client, and hold up a stop.
_WAIT_MS: Final = 500
_WAIT_BEHIND_MS: Final = 50
# Changes that come in quick succession are told together: what follows a change waits so long.
_REST_S: Final = 0.05
_AWAY_S: Final = 0.5
_IDLE_S: Final = 60.0
_HEAR_EVERY_S: Final = 1.0
_READ: Final = 500
_AWAY: Final = frames.comment("the store behind this service does not answer; this goes on when it is back")
_log = structlog.get_logger("events")


class Broadcast:
    """``most``: listeners at a time. ``now``: seconds that never go back."""

    def __init__(self, feed: Feed, *, most: int = MOST_LISTENERS, now: Callable[[], float] = time.monotonic) -> None:
        self._feed = feed
        self._most = most
        self._now = now
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._stopping: Callable[[], bool] = lambda: False
        self._listeners: list[Listener] = []
        self._tail: Tail | None = None
        self._wanted_at = 0.0
        self._heard_at = 0.0
        self._away = False

    def __len__(self) -> int:
        return len(self._listeners)

    def admit(self) -> StreamId:
        """Say that somebody is going to listen. Answers how far the changes are known here.

        Raises ``Crowded``, or ``LedgerUnavailable`` where they are not known and Redis does not tell.
        """
        if not self._lock.acquire(timeout=_AWAY_S):  # the one who holds it waits for a Redis that hangs
            raise LedgerUnavailable("the stream of changes is being asked for, and Redis has not told it yet")
        try:
            if self._stop.is_set():
                raise TemporaryError("this process is about to end; ask again")
            if len(self._listeners) >= self._most:
                raise Crowded(f"{self._most} listen here already; ask again later, or fewer at a time")
            self._wanted_at = self._now()
            if self._tail is None:
                self._tail = self._feed.tail()
                threading.Thread(target=self._run, name="broadcast", daemon=True).start()
            return self._tail.end
        finally:
            self._lock.release()

    def holds(self, after: StreamId) -> bool:
        """Whether all is known that came behind ``after``. To be called after ``admit``."""
        with self._lock:
            if self._tail is None or not self._tail.holds(after):
                return False
            known = after <= self._tail.end
        # Another process may have told more than is known here yet, but not more than there is.
        return known or after <= self._feed.ends()[1]

    def join(
        self,
        sock: socket.socket,
        names: frozenset[str] | None,
        after: StreamId,
        *,
        chunked: bool,
        calm: bool = False,
    ) -> None:
        """Tell a connection, from here on ours, what comes behind ``after``. Closes it if there is no place left."""
        with self._lock:
            listener = Listener(sock, names, after, chunked=chunked, now=self._now(), calm=calm)
            if self._tail is None or self._stop.is_set() or len(self._listeners) >= self._most:
                listener.close()
                return
            self._listeners.append(listener)
            tell(listener, self._tail, {}, self._now())

    def stop_when(self, stopping: Callable[[], bool]) -> None:
        """Let everybody go as soon as ``stopping`` says so: it is asked twice a second."""
        self._stopping = stopping

    def stop(self) -> None:
        """Let everybody go now, and take nobody any more."""
        self._stop.set()
        with self._lock:
            for listener in self._listeners:
                listener.finish(self._now())
                listener.close()
            self._listeners.clear()
            self._tail = None

    def _run(self) -> None:
        while (tail := self._wanted()) is not None:
            try:
                self._turn(tail)
            except Exception as error:  # noqa: BLE001 - whatever it is, the next turn may do better
                _log.error("events.stuck", error=str(error), exc_info=True)
                self._stop.wait(_AWAY_S)

    def _wanted(self) -> Tail | None:
        """Give what the next turn goes on with, None if there is to be none."""
        if self._stopping():
            self.stop()
        with self._lock:
            if not self._listeners and self._now() - self._wanted_at > _IDLE_S:
                self._tail = None
            return self._tail

    def _turn(self, tail: Tail) -> None:
        behind = any(not listener.ready or listener.after < tail.end for listener in self._listeners)
        changes, end = self._read(tail, _WAIT_BEHIND_MS if behind else _WAIT_MS)
        with self._lock:
            if self._tail is not tail:
                return  # it was stopped, or begins anew, while this one read
            tail.add(changes, end)
            for change in changes:
                if change.digests:
                    tail.forget(change)
            self._tell_all(tail)
        if changes:
            self._stop.wait(_REST_S)

    def _read(self, tail: Tail, wait_ms: int) -> tuple[list[Change], StreamId]:
        try:
            if self._away:
                if self._feed.ends()[1] < tail.end:  # Redis has lost some of what it told
                    self._begin_anew(tail)
                self._away = False
            changes, end = self._feed.after(tail.end, most=_READ, wait_ms=wait_ms)
            if len(changes) == _READ and self._feed.ends()[0] > tail.end:  # more came than is kept
                self._begin_anew(tail)
        except LedgerUnavailable as error:
            self._wait_for_redis(error)
            return [], tail.end
        return changes, end

    def _begin_anew(self, tail: Tail) -> None:
        """Forget what is known, as the stream does not go on from there. Everybody hears ``reset``."""
        anew = self._feed.tail()
        with self._lock:
            if self._tail is tail:
                self._tail = anew
                for listener in self._listeners:
                    listener.lost = True
        _log.warning("events.lost", listeners=len(self))

    def _wait_for_redis(self, error: LedgerUnavailable) -> None:
        if not self._away and not self._stop.is_set():
            _log.warning("events.interrupted", error=error.message, listeners=len(self))
            with self._lock:
                for listener in self._listeners:
                    if listener.ready:
                        listener.send(_AWAY, self._now())
        self._away = True
        self._stop.wait(_AWAY_S)

    def _tell_all(self, tail: Tail) -> None:
        now = self._now()
        pieces: Pieces = {}
        hear = now - self._heard_at >= _HEAR_EVERY_S
        for listener in self._listeners:
            if hear:
                listener.hear()
            listener.flush(now)
            tell(listener, tail, pieces, now)
        if hear:
            self._heard_at = now
        self._listeners = [listener for listener in self._listeners if listener.open]
