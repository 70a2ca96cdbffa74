"""A ledger as a file: one Redis command a line, in JSON. Each byte is the character of that number.

What passes by itself (it has a time to live) is left out, but for the keys of submissions.
"""

import json
from pathlib import Path

from redis import Redis

Command = list[str]


def _text(value: bytes) -> str:
    return value.decode("latin-1")


def dump(redis: Redis) -> list[Command]:
    """Every key of ours and of RQ's queues, as the commands that write it."""
    commands = []
    for key in sorted([*redis.scan_iter("sr:*", count=1000), *redis.scan_iter("rq:*", count=1000)]):
        if redis.pttl(key) < 0 or key.startswith(b"sr:idempotency:"):
            commands += _commands(redis, key)
    return commands


def _commands(redis: Redis, key: bytes) -> list[Command]:
    name = _text(key)
    match redis.type(key):
        case b"string":
            return [["SET", name, _text(redis.get(key))]]
        case b"hash":
            pairs = sorted(redis.hgetall(key).items())
            return [["HSET", name, *(_text(word) for pair in pairs for word in pair)]]
        case b"list":
            return [["RPUSH", name, *map(_text, redis.lrange(key, 0, -1))]]
        case b"set":
            return [["SADD", name, *sorted(map(_text, redis.smembers(key)))]]
        case b"zset":
            members = redis.zrange(key, 0, -1, withscores=True)
            return [["ZADD", name, *(word for member, at in members for word in (f"{at:.0f}", _text(member)))]]
        case b"stream":
            entries = redis.xrange(key)
            added = [
                ["XADD", name, _text(at), *(_text(word) for pair in fields.items() for word in pair)]
                for at, fields in entries
            ]
            info = redis.xinfo_stream(key)
            last, count = _text(info["last-generated-id"]), str(info["entries-added"])
            return [*added, ["XSETID", name, last, "ENTRIESADDED", count, "MAXDELETEDID", "0-0"]]
        case other:
            raise AssertionError(f"{name} is a {other!r}")


def write(path: Path, commands: list[Command]) -> None:
    path.write_text("".join(json.dumps(command) + "\n" for command in commands), encoding="ascii")


def restore(redis: Redis, path: Path) -> None:
    pipe = redis.pipeline(transaction=False)
    for line in path.read_text(encoding="ascii").splitlines():
        command, *words = json.loads(line)
        pipe.execute_command(command, *(word.encode("latin-1") for word in words))
    pipe.execute()
