"""Reads the stream of changes that the ledger's scripts write. Without Redis, ``LedgerUnavailable`` is raised."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from redis import Redis, ResponseError

from workers import keys
from workers.changes import Change, read_change
from workers.errors import LedgerUnavailable
from workers.frames import BEGINNING, StreamId, read_id, write_id
from workers.reader import asked, text, texts
from workers.tail import Tail
from workers.work import EVENTS_CAP

_NO_STREAM: Final = "no such key"


class Feed:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def tail(self) -> Tail:
        """Give all that the stream holds. Where nothing was ever removed from it, that is from the beginning on."""
        # At once: what is trimmed or added between two looks would be missed.
        pipeline: Any = self._redis.pipeline(transaction=True)
        pipeline.xinfo_stream(keys.EVENTS).xrange(keys.EVENTS)
        answer = self._ask(pipeline.execute)
        if answer is None:
            return Tail(BEGINNING, BEGINNING, EVENTS_CAP)
        info, entries = answer
        tail = Tail(*_ends(info), EVENTS_CAP)
        tail.add([change for _, change in _read(entries) if change], tail.end)
        return tail

    def ends(self) -> tuple[StreamId, StreamId]:
        """Answer as the tail's ``start`` and ``end``: behind the one all is there, the other was given out last."""
        info: Any = self._ask(lambda: self._redis.xinfo_stream(keys.EVENTS))
        return (BEGINNING, BEGINNING) if info is None else _ends(info)

    def after(self, at: StreamId, *, most: int, wait_ms: int | None) -> tuple[list[Change], StreamId]:
        """Give what comes behind ``at``, and how far that goes; wait for it, if ``wait_ms`` says how long."""
        answer: Any = self._ask(lambda: self._redis.xread({keys.EVENTS: write_id(at)}, count=most, block=wait_ms))
        found = _read(answer[0][1]) if answer else []
        return [change for _, change in found if change], found[-1][0] if found else at

    def _ask(self, question: Callable[[], Any]) -> Any:
        """Answer None where there is no stream: nothing has happened yet."""
        try:
            return asked(question)
        except LedgerUnavailable as error:
            if isinstance(error.__cause__, ResponseError) and _NO_STREAM in str(error.__cause__).lower():
                return None
            raise


def _ends(info: Mapping[str, Any]) -> tuple[StreamId, StreamId]:
    # Not the last entry: that may have been erased.
    end = read_id(text(info["last-generated-id"]))
    if info.get("entries-added", -1) == info["length"]:
        return BEGINNING, end
    first = info["first-entry"]
    return (read_id(text(first[0])) if first else end), end


def _read(entries: list[Any]) -> list[tuple[StreamId, Change | None]]:
    found = []
    for name, fields in entries:
        at = read_id(text(name))
        found.append((at, read_change(at, texts(fields or {}))))
    return found
