"""Questions to Redis: one, or many at once. A ``Reader`` writes nothing."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from redis import Redis, RedisError

from workers.errors import LedgerUnavailable

# One command for many hashes: as many of them as commands take this side several times as long.
_PICK: Final = """
local found = {}
for n, key in ipairs(KEYS) do found[n] = redis.call('HMGET', key, unpack(ARGV)) end
return found
"""
# Redis does nothing else meanwhile: a fraction of a millisecond.
_AT_ONCE: Final = 200
# More commands than these in one pipeline would hold too many answers in memory at once.
_PIPELINE: Final = 2000
_SCANNED: Final = 1000

Fields = Mapping[str, str]
Command = tuple[str, str, tuple[str, ...]]


class Reader:
    """Raises ``LedgerUnavailable`` from every method when Redis does not answer."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self._pick: Any = redis.register_script(_PICK)

    def many(self, commands: Sequence[Command]) -> list[Any]:
        """``commands``: name, key and arguments of each."""
        answers: list[Any] = []
        for first in range(0, len(commands), _PIPELINE):
            pipeline: Any = self.redis.pipeline(transaction=False)
            for name, key, arguments in commands[first : first + _PIPELINE]:
                pipeline.execute_command(name, key, *arguments)
            answers += self.ask(pipeline.execute)
        return answers

    def at_once(self, commands: Sequence[Command]) -> list[Any]:
        """As ``many``, for a few that nothing may come between."""
        pipeline: Any = self.redis.pipeline(transaction=True)
        for name, key, arguments in commands:
            pipeline.execute_command(name, key, *arguments)
        answers: list[Any] = self.ask(pipeline.execute)
        return answers

    def picked(self, keys: Sequence[str], names: Sequence[str]) -> list[dict[str, str]]:
        """Give those of the fields ``names`` that each of the hashes has."""
        found: list[list[bytes | None]] = []
        for first in range(0, len(keys), _AT_ONCE):
            found += self.ask(partial(self._pick, keys=list(keys[first : first + _AT_ONCE]), args=list(names)))
        return [
            texts({name: value for name, value in zip(names, values, strict=True) if value is not None})
            for values in found
        ]

    def names(self, beginning: str) -> Iterator[str]:
        """Give the keys that begin so; some of them twice, where Redis rearranges its table meanwhile."""
        cursor: Any = 0
        while True:
            cursor, found = self.ask(partial(self.redis.scan, cursor, match=f"{beginning}*", count=_SCANNED))
            yield from map(text, found)
            if cursor == 0:
                return

    def ask(self, question: Callable[[], Any]) -> Any:
        return asked(question)


def asked(question: Callable[..., Any], *arguments: object, **options: object) -> Any:
    """Answer what a client of Redis does. Raise ``LedgerUnavailable`` where Redis does not answer as it should."""
    try:
        return question(*arguments, **options)
    except RedisError as error:
        raise LedgerUnavailable(f"Redis did not answer as it should: {error}") from error


def text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def texts(fields: Mapping[Any, Any]) -> dict[str, str]:
    return {text(name): text(value) for name, value in fields.items()}
